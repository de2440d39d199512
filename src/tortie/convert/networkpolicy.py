"""Kubernetes NetworkPolicy to NetworkPolicy of the default tier.

Kubernetes rules only allow, so a rule that cannot be converted is left out and reported: the policy
then allows less than was meant, never more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Port, Rule
from tortie.api.strict import is_within
from tortie.base.addresses import Cidr
from tortie.base.errors import Problem
from tortie.convert import objects
from tortie.convert.converted import Converted, Unconvertible, each
from tortie.convert.findings import Findings, is_unknown, read
from tortie.convert.labelselector import namespace_selector, pod_selector
from tortie.convert.ports import ports_by_protocol
from tortie.convert.prefixes import prefix

NAME_PREFIX = "knp.default."
"""Before the names of converted policies in a datastore, where they stand among others of their namespace."""

ORDER = 1000.0
"""Order of every converted policy."""

TYPES = ("Ingress", "Egress")
"""Policy types, in the order in which they are given out."""


_IN_RULE = re.compile(r"spec\.(?:in|e)gress\[")


def network_policy(document: Mapping[str, Any]) -> Converted:
    """Convert a policy; it keeps its name, see `stored`. Rules with a mistake are left out of it.

    Raises:
        InvalidResource: the object has no name or the wrong shape, or its pod selector has no meaning.
    """
    given = read(document, objects.NetworkPolicy)
    found, metadata = given.found, given.value.metadata
    spec = given.value.spec or objects.NetworkPolicySpec()
    types = found.attempt(_types, spec) or ()
    policy = NetworkPolicy(
        metadata=Metadata(name=metadata.name, namespace=metadata.namespace),
        spec=NetworkPolicySpec(
            tier="default",
            order=ORDER,
            ingress=_rules(spec.ingress or (), "spec.ingress", found),
            egress=_rules(spec.egress or (), "spec.egress", found),
            selector=found.attempt(pod_selector, spec.pod_selector, "spec.podSelector") or "",
            types=types,
        ),
    )
    found.warnings += _unused(spec, types, found.object)
    return found.conclude(policy, _can_be_left_out)


def _can_be_left_out(problem: Problem) -> bool:
    """Whether the policy allows no more without the part that has the problem."""
    if _IN_RULE.match(problem.path):
        return True
    return is_unknown(problem) and not is_within(problem.path, "spec.podSelector")


def stored(policy: NetworkPolicy) -> NetworkPolicy:
    """A converted policy under the name that it has in a datastore."""
    metadata = msgspec.structs.replace(policy.metadata, name=NAME_PREFIX + policy.metadata.name)
    return msgspec.structs.replace(policy, metadata=metadata)


def _types(spec: objects.NetworkPolicySpec) -> tuple[str, ...]:
    """The types given; else Ingress, and Egress when there are egress rules, as the Kubernetes API fills in.

    Raises:
        Unconvertible: a type is not Kubernetes'.
    """
    given = spec.policy_types or ()
    each(partial(_type, type, f"spec.policyTypes[{index}]") for index, type in enumerate(given))
    if not given:
        given = TYPES if spec.egress else TYPES[:1]
    return tuple(type for type in TYPES if type in given)


def _type(type: str, path: str) -> str:
    if type not in TYPES:
        raise Unconvertible(path, f"{type!r} is not a policy type", "use Ingress or Egress")
    return type


def _unused(spec: objects.NetworkPolicySpec, types: tuple[str, ...], object: str) -> Iterator[Problem]:
    rules = {"Ingress": spec.ingress, "Egress": spec.egress}
    for type in TYPES:
        if types and rules[type] and type not in types:
            problem = f"has no effect, since policyTypes does not name {type}"
            yield Problem(object, f"spec.{type.lower()}", problem, f"add {type}, or leave the rules out")


def _rules(rules: Iterable[objects.Ingress | objects.Egress], path: str, found: Findings) -> tuple[Rule, ...]:
    """The rules with which nothing is wrong, each as one for each protocol and peer."""
    converted: list[Rule] = []
    for index, rule in enumerate(rules):
        place = f"{path}[{index}]"
        made = _rule(rule, place, found)
        if not found.has(place):
            converted += made
    return tuple(converted)


def _rule(rule: objects.Ingress | objects.Egress, path: str, found: Findings) -> list[Rule]:
    """One rule for each protocol and peer."""
    peers, name = (rule.from_, "from") if isinstance(rule, objects.Ingress) else (rule.to, "to")
    entities = found.attempt(
        each, (partial(_entity, peer, f"{path}.{name}[{index}]") for index, peer in enumerate(peers or ()))
    )
    protocols = found.attempt(ports_by_protocol, rule.ports or (), f"{path}.ports") or {}
    everything: list[tuple[str | None, tuple[Port, ...]]] = [(None, ())]
    rules: list[Rule] = []
    for protocol, ports in list(protocols.items()) or everything:
        for entity in entities or [EntityRule()]:
            if isinstance(rule, objects.Ingress):
                source, destination = entity, EntityRule(ports=ports)
            else:
                source, destination = EntityRule(), msgspec.structs.replace(entity, ports=ports)
            rules.append(Rule(action="Allow", protocol=protocol, source=source, destination=destination))
    return rules


def _entity(peer: objects.Peer, path: str) -> EntityRule:
    selects = peer.pod_selector is not None or peer.namespace_selector is not None
    if selects == (peer.ip_block is not None):
        remedy = "give selectors, or an ipBlock"
        raise Unconvertible(path, "has both selectors and an ipBlock" if selects else "says nothing", remedy)
    if peer.ip_block is not None:
        return _block(peer.ip_block, f"{path}.ipBlock")
    pods, namespaces = each(
        (
            partial(pod_selector, peer.pod_selector, f"{path}.podSelector"),
            partial(namespace_selector, peer.namespace_selector, f"{path}.namespaceSelector"),
        )
    )
    return EntityRule(selector=pods, namespace_selector=namespaces)


def _block(block: objects.IPBlock, path: str) -> EntityRule:
    exceptions = [(text, f"{path}.except[{index}]") for index, text in enumerate(block.except_ or ())]
    net, *parts = each(partial(prefix, *one) for one in ((block.cidr, f"{path}.cidr"), *exceptions))
    each(partial(_refuse_other_family, net, part, place) for part, (_, place) in zip(parts, exceptions, strict=True))
    return EntityRule(nets=(str(net),), not_nets=tuple(dict.fromkeys(map(str, parts))))


def _refuse_other_family(net: Cidr, part: Cidr, path: str) -> None:
    if part.family != net.family:
        raise Unconvertible(path, f"{part} is no part of {net}", "use one family")
