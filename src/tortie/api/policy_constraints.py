"""Constraints between fields of policies, profiles, tiers and their rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tortie.api.builtin import TIERS
from tortie.api.canonical import protocol
from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.expressions import holds, is_true, names, not_both, says
from tortie.api.formats import PROTOCOLS_WITH_PORTS
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy
from tortie.api.prefixes import versions
from tortie.api.profile import Profile
from tortie.api.rules import ICMP, EntityRule, HTTPPath, Port, Rule, ServiceMatch
from tortie.api.tier import Tier


def _speaks_icmp(given: int | str | None) -> bool:
    return given is not None and protocol(given) in ("ICMP", "ICMPv6", 1, 58)


def _named(rule: Rule, name: str) -> bool:
    return any(given is not None and protocol(given) == name for given in (rule.protocol, rule.not_protocol))


def _is_name(port: Port) -> bool:
    return isinstance(port, str) and not port.replace(":", "").isdecimal()


def _sides(rule: Rule) -> tuple[tuple[str, EntityRule], tuple[str, EntityRule]]:
    return ("source", rule.source), ("destination", rule.destination)


def _rule_search(rule: Rule) -> Iterator[Finding]:
    for name, side in _sides(rule):
        for field, ports in (("ports", side.ports), ("notPorts", side.not_ports)):
            if ports and not _may_have_ports(rule, ports):
                remedy = "set protocol to TCP, UDP or SCTP"
                yield f"{name}.{field}", "needs a protocol that has ports", remedy
    families = versions(net for _, side in _sides(rule) for net in (*side.nets, *side.not_nets))
    if len(families) > 1:
        yield "", "mixes IPv4 and IPv6 prefixes", "write one rule for each family"
    elif rule.ip_version is not None and families and families != {rule.ip_version}:
        yield "ipVersion", "does not fit the prefixes of the rule", f"set it to {families.pop()} or leave it out"


def _may_have_ports(rule: Rule, ports: tuple[Port, ...]) -> bool:
    if rule.protocol is None:
        return all(_is_name(port) for port in ports)
    return protocol(rule.protocol) in PROTOCOLS_WITH_PORTS


def policy_search(resource: Any) -> Iterator[Finding]:
    """What depends on the direction of a rule, or on the kind that holds it."""
    for direction in ("ingress", "egress"):
        for index, rule in enumerate(getattr(resource.spec, direction)):
            path = f"spec.{direction}[{index}]"
            if rule.http is not None and direction == "egress":
                yield f"{path}.http", "is for ingress rules only", "move the match to the receiving side"
            for name, side in _sides(rule):
                if side.services is not None:
                    where = f"{path}.{name}.services"
                    yield from _services(where, side.services, name, direction, resource.namespaced)


def _services(path: str, services: ServiceMatch, side: str, direction: str, namespaced: bool) -> Iterator[Finding]:
    possible = "source" if direction == "ingress" else "destination"
    if side != possible:
        yield path, f"cannot match the {side} of an {direction} rule", f"use {possible}"
    if not services.namespace and not namespaced:
        yield f"{path}.namespace", "is required in what belongs to the whole cluster", "name the service's namespace"


def _beside_services(side: EntityRule) -> bool:
    others = (side.selector, side.not_selector, side.namespace_selector, side.nets, side.not_nets)
    return side.services is not None and (any(others) or side.service_accounts is not None)


_OTHERS = " || ".join(map(holds, ("selector", "notSelector", "namespaceSelector", "nets", "notNets")))


def _tier_search(tier: Tier) -> Iterator[Finding]:
    for builtin in TIERS:
        if builtin.metadata.name != tier.metadata.name:
            continue
        order, action = builtin.spec.order, builtin.spec.default_action
        if tier.spec.order != order:
            yield "spec.order", "of a built-in tier is fixed", f"must be {order:.0f}"
        if tier.spec.default_action != action:
            yield "spec.defaultAction", "of a built-in tier is fixed", f"must be {action}"


GLOBAL_POLICY = (
    Constraint(
        "preDNAT",
        lambda spec: spec.pre_dnat and spec.do_not_track,
        "cannot be set together with doNotTrack",
        cel=not_both(is_true("preDNAT"), is_true("doNotTrack")),
    ),
    Constraint(
        "applyOnForward",
        lambda spec: (spec.pre_dnat or spec.do_not_track) and not spec.apply_on_forward,
        "must be true for preDNAT and doNotTrack",
        cel=f"!({is_true('preDNAT')} || {is_true('doNotTrack')}) || {is_true('applyOnForward')}",
    ),
    Constraint(
        "egress",
        lambda spec: spec.pre_dnat and spec.egress,
        "cannot be used with preDNAT",
        cel=not_both(is_true("preDNAT"), holds("egress")),
    ),
    Constraint(
        "types",
        lambda spec: spec.pre_dnat and "Egress" in spec.types,
        "cannot hold Egress with preDNAT",
        cel=not_both(is_true("preDNAT"), names("types", "Egress")),
    ),
)
"""What holds for the fields of enforced and staged policies of the whole cluster."""

CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
    ICMP: (
        Constraint(
            "code",
            lambda icmp: icmp.code is not None and icmp.type is None,
            "needs a type",
            "set type",
            "!has(self.code) || has(self.type)",
        ),
    ),
    HTTPPath: (
        Constraint(
            "",
            lambda path: bool(path.exact) == bool(path.prefix),
            "needs exactly one of exact and prefix",
            cel=f"{holds('exact')} != {holds('prefix')}",
        ),
    ),
    Rule: (
        Constraint(
            "icmp",
            lambda rule: rule.icmp is not None and not _speaks_icmp(rule.protocol),
            "needs protocol ICMP or ICMPv6",
        ),
        Constraint(
            "notICMP",
            lambda rule: rule.not_icmp is not None and not _speaks_icmp(rule.protocol),
            "needs protocol ICMP or ICMPv6",
        ),
        Constraint("ipVersion", lambda rule: rule.ip_version == 6 and _named(rule, "ICMP"), "must be 4 for ICMP"),
        Constraint("ipVersion", lambda rule: rule.ip_version == 4 and _named(rule, "ICMPv6"), "must be 6 for ICMPv6"),
        Constraint(
            "http",
            lambda rule: rule.http is not None and rule.action != "Allow",
            "is for action Allow only",
            cel=f"!has(self.http) || {says('action', 'Allow')}",
        ),
        Constraint(
            "http",
            lambda rule: (
                rule.http is not None and rule.protocol is not None and protocol(rule.protocol) not in ("TCP", 6)
            ),
            "needs protocol TCP",
        ),
        Constraint(
            "destination.services",
            lambda rule: (
                rule.destination.services is not None and (rule.destination.ports or rule.destination.not_ports)
            ),
            "brings its own ports",
            "leave out ports and notPorts",
            "!has(self.destination) || !has(self.destination.services) || "
            f"!({holds('destination.ports')} || {holds('destination.notPorts')})",
        ),
    ),
    EntityRule: (
        Constraint(
            "services",
            _beside_services,
            "cannot stand beside selectors, prefixes or service accounts",
            "write two rules",
            f"!has(self.services) || !({_OTHERS} || has(self.serviceAccounts))",
        ),
    ),
    GlobalNetworkPolicySpec: GLOBAL_POLICY,
}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {
    GlobalNetworkPolicy: policy_search,
    NetworkPolicy: policy_search,
    Profile: policy_search,
    Rule: _rule_search,
    Tier: _tier_search,
}
"""What takes more than one sentence, by struct."""
