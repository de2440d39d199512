"""Rules as people write them, compiled: one per address family, selectors and port names replaced by sets."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from tortie.api import rules as api
from tortie.base.addresses import Cidr
from tortie.base.hashes import unique_id
from tortie.calculation.ipsets import SetSpec
from tortie.calculation.newer import must_not_match
from tortie.calculation.ports import Ports, split_ports
from tortie.calculation.protocols import FAMILIES, protocol_number
from tortie.desired.policy import Action, ICMPMatch, Policy, PolicyId, Rule, SetId, Side, Stage
from tortie.selector.parser import Selector, parse
from tortie.selector.scoping import entity_selectors

_REMEMBERED = 4096
"""How many sides of rules are remembered."""


class CompiledPolicy(msgspec.Struct, frozen=True, gc=False):
    """A policy and every set that its rules name, each once."""

    policy: Policy
    sets: tuple[SetSpec, ...]


def compile_policy(
    policy_id: PolicyId,
    tier: str,
    ingress: Iterable[api.Rule],
    egress: Iterable[api.Rule],
    stage: Stage = Stage.NORMAL,
) -> CompiledPolicy:
    """Compile both directions of a policy or profile.

    Raises:
        ValueError: a prefix, protocol, port, action or selector cannot be read.
    """
    sets: dict[SetId, SetSpec] = {}
    policy = Policy(
        policy_id,
        tier,
        ingress=_compile_rules(ingress, policy_id.namespace, sets),
        egress=_compile_rules(egress, policy_id.namespace, sets),
        stage=stage,
    )
    return CompiledPolicy(policy, tuple(sets[set_id] for set_id in sorted(sets)))


def _compile_rules(rules: Iterable[api.Rule], namespace: str, sets: dict[SetId, SetSpec]) -> tuple[Rule, ...]:
    return tuple(
        compiled for index, rule in enumerate(rules) for compiled in _compile_rule(rule, index, namespace, sets)
    )


def _compile_rule(rule: api.Rule, index: int, namespace: str, sets: dict[SetId, SetSpec]) -> Iterable[Rule]:
    """The rule in every family that it can match in; once with family None when nothing depends on it."""
    if must_not_match(rule):
        return
    protocol = None if rule.protocol is None else protocol_number(rule.protocol)
    sides = (
        _read(rule.source, namespace, protocol, source=True),
        _read(rule.destination, namespace, protocol, source=False),
    )
    families = _families(rule, protocol, sides)
    if families:
        for side in sides:
            sets.update((spec.id, spec) for spec in side.specs)
    for family in families:
        yield Rule(
            action=Action(rule.action),
            index=index,
            family=family,
            protocol=protocol,
            not_protocol=None if rule.not_protocol is None else protocol_number(rule.not_protocol),
            icmp=_icmp(rule.icmp),
            not_icmp=_icmp(rule.not_icmp),
            source=sides[0].in_family(family),
            destination=sides[1].in_family(family),
        )


class _Entity(msgspec.Struct, frozen=True, gc=False):
    """One side of a rule before it is narrowed to a family."""

    nets: tuple[Cidr, ...]
    not_nets: tuple[Cidr, ...]
    side: Side
    specs: tuple[SetSpec, ...]

    def fits(self, family: int) -> bool:
        """Whether the side can match in a family: no list of prefixes is left empty, nor all excluded."""
        lists = [cidrs for cidrs in (self.nets, self.not_nets) if cidrs]
        return all(_of(family, cidrs) for cidrs in lists) and not any(
            cidr.length == 0 for cidr in _of(family, self.not_nets)
        )

    def in_family(self, family: int | None) -> Side:
        """The side with the prefixes of the family only; a prefix of length 0 excludes nothing of it."""
        if family is None:
            return self.side
        nets = _of(family, self.nets)
        if any(net.length == 0 for net in nets):
            nets = ()
        return msgspec.structs.replace(self.side, nets=nets, not_nets=_of(family, self.not_nets))


@lru_cache(_REMEMBERED)
def _read(entity: api.EntityRule, namespace: str, protocol: int | None, source: bool) -> _Entity:
    """One side of a rule; rules of a cluster have few that are different."""
    ports, not_ports = split_ports(entity.ports), split_ports(entity.not_ports)
    scoped = entity_selectors(entity, namespace)
    positive, negative = scoped.positive, scoped.negative
    port_sets = _port_sets(ports, positive, protocol)
    not_port_sets = _port_sets(not_ports, positive, protocol)
    # A set for a port name is already filtered by the selector.
    plain = [] if ports.names and not ports.ranges else _address_sets(positive)
    excluded = _address_sets(negative)
    service = _service_set(entity.services, namespace, source)
    side = Side(
        sets=_ids([*plain, *(service if source else [])]),
        not_sets=_ids(excluded),
        ports=ports.ranges,
        port_sets=_ids(port_sets),
        not_ports=not_ports.ranges,
        not_port_sets=_ids(not_port_sets),
        service_sets=() if source else _ids(service),
    )
    specs = (*plain, *excluded, *port_sets, *not_port_sets, *service)
    return _Entity(_nets(entity.nets), _nets(entity.not_nets), side, specs)


def _families(rule: api.Rule, protocol: int | None, sides: tuple[_Entity, _Entity]) -> tuple[int | None, ...]:
    named = {family for family in (rule.ip_version, FAMILIES.get(protocol or 0)) if family}
    if not named and not any(side.nets or side.not_nets for side in sides):
        return (None,)
    return tuple(family for family in (4, 6) if named <= {family} and all(side.fits(family) for side in sides))


def _nets(texts: Iterable[str]) -> tuple[Cidr, ...]:
    return tuple(sorted({Cidr.parse(text) for text in texts}))


def _of(family: int, cidrs: tuple[Cidr, ...]) -> tuple[Cidr, ...]:
    return tuple(cidr for cidr in cidrs if cidr.family == family)


def _ids(specs: Iterable[SetSpec]) -> tuple[SetId, ...]:
    return tuple(spec.id for spec in specs)


def _icmp(match: api.ICMP | None) -> ICMPMatch | None:
    return None if match is None or match.type is None else ICMPMatch(match.type, match.code)


def _address_sets(selector: Selector | None) -> list[SetSpec]:
    return [] if selector is None else [SetSpec(SetId(selector.unique_id), selector)]


def _port_sets(ports: Ports, selector: Selector | None, protocol: int | None) -> list[SetSpec]:
    whose = selector or parse("all()")
    return [
        SetSpec(
            id=SetId(unique_id("n", f"{whose.unique_id},{'' if protocol is None else protocol},{name}")),
            selector=whose,
            ports=True,
            port=name,
            protocol=protocol,
        )
        for name in ports.names
    ]


def _service_set(service: api.ServiceMatch | None, namespace: str, source: bool) -> list[SetSpec]:
    """Of a source only the addresses count, of a destination address, protocol and port."""
    if service is None:
        return []
    name = f"{service.namespace or namespace}/{service.name}"
    return [SetSpec(SetId(unique_id("svcnoport" if source else "svc", name)), ports=not source, service=name)]
