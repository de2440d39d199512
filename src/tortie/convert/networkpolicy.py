"""Kubernetes NetworkPolicy to NetworkPolicy of the default tier.

Kubernetes rules only allow, so a rule that cannot be converted is left out and reported: the policy
then allows less than was meant, never more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Port, Rule
from tortie.base.errors import InvalidResource, Problem
from tortie.convert import objects
from tortie.convert.converted import Converted, Unconvertible
from tortie.convert.labelselector import namespace_selector, pod_selector
from tortie.convert.ports import ports_by_protocol
from tortie.convert.prefixes import prefix

NAME_PREFIX = "knp.default."
"""Before the names of converted policies in a datastore, where they stand among others of their namespace."""

ORDER = 1000.0
"""Order of every converted policy."""

TYPES = ("Ingress", "Egress")
"""Policy types, in the order in which they are given out."""


def network_policy(document: Mapping[str, Any]) -> Converted:
    """Convert a policy; it keeps its name, see `stored`.

    Raises:
        InvalidResource: the object has no name or the wrong shape, or its pod selector has no meaning.
    """
    metadata, object = objects.named(document, "NetworkPolicy")
    try:
        spec = objects.read(objects.NetworkPolicy, document, object).spec or objects.NetworkPolicySpec()
        selector = pod_selector(spec.pod_selector, "spec.podSelector")
    except Unconvertible as error:
        raise InvalidResource(error.of(object)) from error
    types = _types(spec, object)
    warnings = _unused(spec, types, object)
    policy = NetworkPolicy(
        metadata=Metadata(name=metadata.name or "", namespace=metadata.namespace or ""),
        spec=NetworkPolicySpec(
            tier="default",
            order=ORDER,
            ingress=_rules(objects.Ingress, spec.ingress or (), "spec.ingress", object, warnings),
            egress=_rules(objects.Egress, spec.egress or (), "spec.egress", object, warnings),
            selector=selector,
            types=types,
        ),
    )
    return Converted(policy, tuple(warnings))


def stored(policy: NetworkPolicy) -> NetworkPolicy:
    """A converted policy under the name that it has in a datastore."""
    metadata = msgspec.structs.replace(policy.metadata, name=NAME_PREFIX + policy.metadata.name)
    return msgspec.structs.replace(policy, metadata=metadata)


def _types(spec: objects.NetworkPolicySpec, object: str) -> tuple[str, ...]:
    """The types given; else Ingress, and Egress when there are egress rules, as the Kubernetes API fills in."""
    given = spec.policy_types or ()
    for index, type in enumerate(given):
        if type not in TYPES:
            problem = f"{type!r} is not a policy type"
            raise InvalidResource(Problem(object, f"spec.policyTypes[{index}]", problem, "use Ingress or Egress"))
    if not given:
        given = TYPES if spec.egress else TYPES[:1]
    return tuple(type for type in TYPES if type in given)


def _unused(spec: objects.NetworkPolicySpec, types: tuple[str, ...], object: str) -> list[str]:
    rules = {"Ingress": spec.ingress, "Egress": spec.egress}
    return [
        f"{object}: its {type.lower()} rules have no effect, since policyTypes does not name {type}"
        for type in TYPES
        if rules[type] and type not in types
    ]


def _rules(
    type: type[objects.Ingress | objects.Egress],
    rules: Iterable[object],
    path: str,
    object: str,
    warnings: list[str],
) -> tuple[Rule, ...]:
    converted: list[Rule] = []
    for index, rule in enumerate(rules):
        place = f"{path}[{index}]"
        try:
            converted += _rule(objects.read(type, rule, object, place), place)
        except Unconvertible as error:
            warnings.append(f"{error.of(object)}; the rule {place} is left out, so that what it allows may be denied")
    return tuple(converted)


def _rule(rule: objects.Ingress | objects.Egress, path: str) -> list[Rule]:
    """One rule for each protocol and peer."""
    peers, name = (rule.from_, "from") if isinstance(rule, objects.Ingress) else (rule.to, "to")
    entities = [_entity(peer, f"{path}.{name}[{index}]") for index, peer in enumerate(peers or ())]
    protocols = ports_by_protocol(rule.ports or (), f"{path}.ports")
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
    return EntityRule(
        selector=pod_selector(peer.pod_selector, f"{path}.podSelector"),
        namespace_selector=namespace_selector(peer.namespace_selector, f"{path}.namespaceSelector"),
    )


def _block(block: objects.IPBlock, path: str) -> EntityRule:
    net = prefix(block.cidr, f"{path}.cidr")
    exceptions = [prefix(text, f"{path}.except[{index}]") for index, text in enumerate(block.except_ or ())]
    for index, exception in enumerate(exceptions):
        if exception.family != net.family:
            raise Unconvertible(f"{path}.except[{index}]", f"{exception} is no part of {net}", "use one family")
    return EntityRule(nets=(str(net),), not_nets=tuple(dict.fromkeys(map(str, exceptions))))
