"""What the cluster-wide policies of Kubernetes have in common: their place, rules, and failing closed.

A rule that asks for something this project cannot carry out must not let anything through: one that
allows is left out, one that denies or passes on denies everything instead, as the API prescribes for
what an implementation does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from tortie.api import rules as api
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, RuleMetadata
from tortie.base.errors import InvalidResource, Problem
from tortie.convert.adminpeers import in_parts, pods_of, refuse_port_names
from tortie.convert.converted import Converted, Unconvertible
from tortie.convert.findings import Findings, read
from tortie.convert.policynames import global_policy_name

HIGHEST_PRIORITY = 1000
"""Largest number that the API takes as a priority."""

MOST_RULES = 1024
"""Rules that a direction of a policy of ours may have."""

MOST_PORTS = 50
"""Ports that a rule of ours may have."""

LONGEST_RULE_NAME = 100
"""Characters that the API lets the name of a rule have."""


class Place(msgspec.Struct, frozen=True):
    """Where among all policies one stands."""

    tier: str
    order: float


PortsByProtocol = dict[str | None, tuple[api.Port, ...]]
"""Protocol None is any; no ports are all."""


class Form(msgspec.Struct, frozen=True):
    """One kind of policy: what its objects look like, and what is its own in reading them.

    Args:
        version: of its API.
        prefix: before the names of converted policies.
        document: shape of a whole object; its rules have `name`, `action`, and peers in `from_` or `to`.
        actions: those of its rules, as ours.
        place: of a `spec` under a name. May raise Unconvertible.
        peer: what it stands for, by peer and path. May raise Unconvertible, or NotSupported.
        ports: of a rule at a path; none at all is every packet. May raise Unconvertible.
    """

    version: str
    prefix: str
    document: type[Any]
    actions: Mapping[str, str]
    place: Callable[[str, Any], Place]
    peer: Callable[[Any, str], list[EntityRule]]
    ports: Callable[[Any, str], PortsByProtocol]

    @property
    def kind(self) -> str:
        """Of its objects."""
        return str(self.document.known_as)


def global_network_policy(form: Form, document: Mapping[str, Any]) -> Converted:
    """The policy under its own name; see `stored` for the one that it has in a datastore.

    Raises:
        InvalidResource: the object is not what the API describes; lists every problem.
    """
    given = read(document, form.document)
    found, name, spec = given.found, given.value.metadata.name, given.value.spec
    found.attempt(global_policy_name, form.prefix, name)
    place = found.attempt(form.place, name, spec)
    subject = found.attempt(pods_of, spec.subject)
    ingress, egress = _rules(form, spec.ingress, "ingress", found), _rules(form, spec.egress, "egress", found)
    if found.problems or place is None or subject is None:
        raise InvalidResource(*found.problems)
    policy = GlobalNetworkPolicy(
        metadata=Metadata(name=name),
        spec=GlobalNetworkPolicySpec(
            tier=place.tier,
            order=place.order,
            ingress=ingress,
            egress=egress,
            selector=subject.selector,
            namespace_selector=subject.namespace_selector,
            types=tuple(type for type, rules in (("Ingress", spec.ingress), ("Egress", spec.egress)) if rules),
        ),
    )
    return Converted(policy, tuple(found.warnings))


def stored(form: Form, converted: Converted) -> Converted:
    """A converted policy under the name that it has in a datastore."""
    resource = converted.resource
    metadata = Metadata(name=global_policy_name(form.prefix, resource.metadata.name))
    return msgspec.structs.replace(converted, resource=msgspec.structs.replace(resource, metadata=metadata))


def priority(value: int) -> float:
    """A priority as an order. Raises Unconvertible."""
    if not 0 <= value <= HIGHEST_PRIORITY:
        raise Unconvertible("spec.priority", f"is {value}", f"use 0 to {HIGHEST_PRIORITY}")
    return float(value)


def _rules(form: Form, rules: Iterable[Any] | None, direction: str, found: Findings) -> tuple[api.Rule, ...]:
    converted = tuple(
        one
        for index, rule in enumerate(rules or ())
        for one in _rule(form, rule, direction, f"spec.{direction}[{index}]", found)
    )
    if len(converted) > MOST_RULES:
        problem = f"becomes {len(converted)} rules, one for each peer and protocol, of at most {MOST_RULES}"
        found.find((f"spec.{direction}", problem, "write several policies"))
    return converted


def _rule(form: Form, rule: Any, direction: str, path: str, found: Findings) -> list[api.Rule]:
    """One rule for each protocol, peer and family; or what stands for them when not all can be carried out."""
    peers, field = (rule.from_, "from") if direction == "ingress" else (rule.to, "to")
    action = found.attempt(_action, form, rule, path) or "Deny"
    found.attempt(_refuse_oddities, rule, peers, f"{path}.{field}", path)
    entities = [found.attempt(form.peer, peer, f"{path}.{field}[{index}]") for index, peer in enumerate(peers)]
    ports = found.attempt(form.ports, rule, path)
    if ports and None in ports:
        found.attempt(refuse_port_names, peers, path)
    metadata = RuleMetadata(annotations={"name": rule.name}) if rule.name else None
    if found.gaps:
        _warn(action, path, found)
        return [] if action == "Allow" else [api.Rule(action="Deny", metadata=metadata)]
    everything: PortsByProtocol = {None: ()}
    return [
        _one(action, direction, protocol, entity, some, metadata)
        for protocol, numbers in (ports or everything).items()
        for some in in_parts(numbers, MOST_PORTS)
        for peer in entities
        for entity in peer or ()
    ]


def _one(
    action: str,
    direction: str,
    protocol: str | None,
    peer: EntityRule,
    ports: tuple[api.Port, ...],
    metadata: RuleMetadata | None,
) -> api.Rule:
    """Ports are those of the receiver, who is the peer of an egress rule."""
    if direction == "ingress":
        source, destination = peer, EntityRule(ports=ports)
    else:
        source, destination = EntityRule(), msgspec.structs.replace(peer, ports=ports)
    return api.Rule(action=action, protocol=protocol, source=source, destination=destination, metadata=metadata)


def _action(form: Form, rule: Any, path: str) -> str:
    if rule.action not in form.actions:
        problem = f"{rule.action!r} is not an action of {form.kind}"
        raise Unconvertible(f"{path}.action", problem, f"use one of {', '.join(form.actions)}")
    return form.actions[rule.action]


def _refuse_oddities(rule: Any, peers: tuple[Any, ...], place: str, path: str) -> None:
    if rule.name and len(rule.name) > LONGEST_RULE_NAME:
        raise Unconvertible(f"{path}.name", f"has {len(rule.name)} characters", f"use {LONGEST_RULE_NAME} at most")
    if not peers:
        raise Unconvertible(place, "is empty", "give a peer; namespaces: {} are all pods")


def _warn(action: str, path: str, found: Findings) -> None:
    """Say of the rule at hand what becomes of it."""
    instead = "is left out: it allows nothing" if action == "Allow" else "denies all traffic instead"
    for gap in found.gaps:
        problem = f"{gap.problem}; the whole rule {path} {instead}"
        found.warnings.append(Problem(found.object, gap.path, problem, gap.remedy))
    found.gaps.clear()
