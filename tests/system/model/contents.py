"""Random contents of a datastore: labels, ports, profiles, sets, tiers and policies around six workloads that stay."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import msgspec
from model.dice import Dice

from tortie.api.endpointslice import SERVICE_LABEL, Backend, BackendPort, EndpointSlice
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.networkset import GlobalNetworkSet, NetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeAddress, NodeSpec, NodeStatus
from tortie.api.pod import Container, ContainerPort, Pod, PodSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import ICMP, EntityRule, HTTPMatch, Rule, ServiceAccountMatch, ServiceMatch
from tortie.api.stagedpolicy import (
    StagedGlobalNetworkPolicy,
    StagedGlobalNetworkPolicySpec,
    StagedNetworkPolicy,
    StagedNetworkPolicySpec,
)
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.lab.fabric import UPLINK


class Contents(dict[ResourceKey, Resource]):
    """All resources by key; shows what was given of each, and nothing else."""

    def __repr__(self) -> str:
        return "\n".join(f"{key}: {msgspec.json.encode(one).decode()}" for key, one in sorted(self.items()))


class Member(msgspec.Struct, frozen=True):
    """A workload that is always there; what the datastore says of it is random.

    Of IPv6 addresses it has one: the kernel would choose among several for what it sends.
    """

    name: str
    namespace: str
    host: str
    addresses: tuple[str, ...]


CAST = (
    Member("r1", "red", "h1", ("10.65.0.1", "fd00:65::1")),
    Member("b1", "blue", "h1", ("10.65.0.2", "fd00:65::2", "10.65.0.130")),
    Member("r2", "red", "h1", ("10.65.0.3", "fd00:65::3")),
    Member("b2", "blue", "h2", ("10.65.0.4", "fd00:65::4")),
    Member("r3", "red", "h2", ("10.65.0.5", "fd00:65::5")),
    Member("b3", "blue", "h2", ("10.65.0.6", "fd00:65::6")),
)
PORTS = (1, 53, 80, 81, 1000, 1001, 1002, 8080, 65534, 65535)
"""What everybody listens on; bounds of the ranges in rules."""
SOURCE_PORTS = range(40000, 40064)
"""What packets come from."""

_BOUNDS = (*PORTS, 65535, 65535)
_SOURCE_BOUNDS = (40000, 40001, 40015, 40031, 40032, 40033, 40062, 40063)
NETS4 = (
    "10.65.0.1/32",
    "10.65.0.4/32",
    "10.65.0.130/32",
    "10.65.0.2/31",
    "10.65.0.4/31",
    "10.65.0.0/30",
    "10.65.0.4/30",
    "10.65.0.0/29",
    "10.65.0.128/25",
    "10.65.0.0/16",
    "172.31.0.0/24",
    "172.31.0.254/32",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "192.0.2.0/24",
)
NETS6 = (
    "fd00:65::1/128",
    "fd00:65::4/128",
    "fd00:65::2/127",
    "fd00:65::4/127",
    "fd00:65::/126",
    "fd00:65::4/126",
    "fd00:65::/125",
    "fd00:65::/64",
    "fd00:31::/64",
    "::/1",
    "8000::/1",
    "2001:db8::/32",
)
_EVERYTHING = ("0.0.0.0/0", "::/0")

_SELECTORS = (
    "all()",
    "role == 'server'",
    "role != 'server'",
    "has(env)",
    "!has(env)",
    "env in {'x', 'y'}",
    "env not in {'x'}",
    "role contains 'er'",
    "role starts with 'c'",
    "env ends with 'y'",
    "(role == 'server' || env == 'x') && !has(none)",
    "!(role == 'client' && has(env))",
    "pcns.team == 'a'",
    "pcns.team != 'a'",
    "pcsa.level == 'high'",
    "projectcalico.org/namespace == 'red'",
    "zone == 'net'",
    "zone == 'net'",
    "zone == 'net'",
    "zone == 'net' && !has(role)",
    "has(zone) || role == 'client'",
    "!has(role)",
    "!has(role)",
    "role == 'nobody'",
    "has(tortie/node)",
    "has(tortie/node) && role != 'server'",
)
_NAMESPACE_SELECTORS = ("all()", "team == 'a'", "team != 'a'", "has(team)", "projectcalico.org/name == 'red'")
_PORT_NAMES = ("web", "dns")
_PROTOCOLS = (
    "TCP",
    "UDP",
    "SCTP",
    "TCP",
    "UDP",
    "SCTP",
    "ICMP",
    "ICMPv6",
    6,
    17,
    132,
    1,
    58,
    "6",
    "UDPLite",
    136,
    47,
    4,
    253,
)
_ACCOUNTS = (
    ServiceAccountMatch(names=("robot",)),
    ServiceAccountMatch(selector="level == 'high'"),
    ServiceAccountMatch(names=("robot", "human"), selector="has(level)"),
)
_SERVICE = ServiceMatch(name="shop", namespace="red")
_RULE_MATCHES = ("protocol", "protocol", "protocol", "not_protocol", "ip_version", *("icmp", "not_icmp") * 4)
_SIDE_MATCHES = (
    *("selector", "not_selector", "nets", "not_nets", "ports", "not_ports") * 3,
    *("namespace_selector", "service_accounts", "services", "services"),
)
_MATCHES = (
    *(("rule", name) for name in _RULE_MATCHES),
    *((side, name) for side in ("source", "destination") for name in _SIDE_MATCHES),
)


def contents(dice: Dice) -> Contents:
    """Everything; seldom a workload or the profile of a namespace is missing."""
    found: list[Resource] = [_endpoint(dice, member) for member in CAST if dice.happens(0.95)]
    found += [_namespace_profile(dice, name) for name in ("red", "blue") if dice.happens(0.95)]
    found += [_tier(dice, name) for name in ("early", "late") if dice.happens(0.95)]
    found += [draw(dice) for draw in (_extra_profile, _account_profile) if dice.happens(0.7)]
    found += dice.several(_set, 4)
    found += dice.several(_policy, 7, 1)
    found += dice.several(_staged, 3)
    found += dice.several(_slice, 3)
    found += dice.several(_pod, 2)
    found += dice.several(_host_endpoint, 2)
    found += dice.several(_node, 2)
    return Contents((resource.key, resource) for resource in found)


def guarded(dice: Dice) -> Contents:
    """The same with hosts that are guarded at every place, without tracking too, by name, by address and all in all."""
    found = contents(dice)
    more = (*dice.several(_guard, 4, 1), *dice.several(_host_policy, 5, 1))
    return Contents({**found, **{one.key: one for one in more}})


def _metadata(name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Metadata:
    return Metadata(name=name, namespace=namespace, labels=labels or {})


def _labels(dice: Dice) -> dict[str, str]:
    values = {"role": ("server", "client", ""), "env": ("x", "y", "xy")}
    return {name: dice.choice(several) for name, several in values.items() if dice.happens(0.6)}


def _endpoint(dice: Dice, member: Member) -> WorkloadEndpoint:
    """What the datastore says of a workload; now and then it knows some of its addresses only."""
    known = member.addresses if dice.happens(0.9) else dice.some(member.addresses, 2)
    account = dice.choice(("", "robot"))
    own = [f"kns.{member.namespace}", *(["ksa.red.robot"] if account else [])]
    own[dice.choice((0, len(own))) : 0] = dice.choice(
        ([], [], [], ["extra"], ["extra"], ["missing"], ["projectcalico-default-allow"])
    )
    spec = WorkloadEndpointSpec(
        node=member.host,
        orchestrator="k8s",
        pod=member.name,
        service_account_name=account,
        ip_networks=tuple(f"{one}/{128 if ':' in one else 32}" for one in known),
        profiles=tuple(own),
        ports=dice.several(_endpoint_port, 4),
    )
    return WorkloadEndpoint(metadata=_metadata(member.name, member.namespace, _labels(dice)), spec=spec)


def _endpoint_port(dice: Dice) -> EndpointPort:
    return EndpointPort(
        name=dice.choice(_PORT_NAMES), protocol=dice.choice(("TCP", "UDP", "SCTP")), port=dice.choice(PORTS)
    )


def _profile(dice: Dice, name: str, labels: dict[str, str]) -> Profile:
    ways = {way: (Rule(action="Allow"),) if dice.happens(0.7) else _rules(dice) for way in ("ingress", "egress")}
    return Profile(metadata=_metadata(name), spec=ProfileSpec(labels_to_apply=labels, **ways))


def _namespace_profile(dice: Dice, namespace: str) -> Profile:
    team = {"pcns.team": dice.choice("ab")} if dice.happens(0.7) else {}
    return _profile(dice, f"kns.{namespace}", {"pcns.projectcalico.org/name": namespace, **team})


def _extra_profile(dice: Dice) -> Profile:
    return _profile(dice, "extra", _labels(dice))


def _account_profile(dice: Dice) -> Profile:
    return _profile(dice, "ksa.red.robot", dice.choice(({"pcsa.level": "high"}, {"pcsa.level": "low"}, {})))


def _tier(dice: Dice, name: str) -> Tier:
    order, end = dice.choice((None, 10.0, 20.0, 2_000_000.0)), dice.choice(("Pass",) * 8 + ("Deny", None))
    return Tier(metadata=_metadata(name), spec=TierSpec(order=order, default_action=end), status=TierStatus())


def _set(dice: Dice) -> NetworkSet | GlobalNetworkSet:
    labels = {"zone": "net"} if dice.happens(0.5) else _labels(dice)
    if dice.happens(0.5):
        spec = NetworkSetSpec(nets=dice.some((*NETS4, *NETS6), 5))
        return NetworkSet(metadata=_metadata(dice.choice("abc"), dice.choice(("red", "blue")), labels), spec=spec)
    spec = NetworkSetSpec(nets=dice.some((*NETS4, *NETS6, *_EVERYTHING), 5))
    return GlobalNetworkSet(metadata=_metadata(dice.choice("abc"), "", labels), spec=spec)


def _slice(dice: Dice) -> EndpointSlice:
    """Backends of the service of rules, or seldom of another."""
    addresses = dice.some([address for member in CAST for address in member.addresses], 3)
    return EndpointSlice(
        metadata=_metadata(dice.choice("abc"), "red", {SERVICE_LABEL: dice.choice(("shop", "shop", "shop", "other"))}),
        endpoints=tuple(Backend(addresses=(address,)) for address in addresses),
        ports=dice.several(_backend_port, 4),
    )


def _backend_port(dice: Dice) -> BackendPort:
    return BackendPort(protocol=dice.choice(("", "TCP", "UDP", "SCTP")), port=dice.choice((*PORTS, None)))


def _host_endpoint(dice: Dice) -> HostEndpoint:
    """Of the interface between hosts, or of all; the addresses that it is said to have are those of anybody."""
    spec = HostEndpointSpec(
        node=dice.choice(("h1", "h2")),
        interface_name=dice.choice((UPLINK, "*")),
        expected_ips=dice.some(("172.31.0.254", "fd00:31::254", "10.65.0.4", "fd00:65::1"), 2, 0),
        profiles=dice.choice(((), ("extra",))),
    )
    return HostEndpoint(metadata=_metadata(dice.choice("ab"), "", _labels(dice)), spec=spec)


def _guard(dice: Dice) -> HostEndpoint:
    """Of any interface of a host, or of whichever has an address."""
    interface = dice.choice((UPLINK, UPLINK, UPLINK, "*", "*", "", ""))
    spec = HostEndpointSpec(
        node=dice.choice(("h1", "h2")),
        interface_name=interface,
        expected_ips=dice.some(("172.31.0.1", "172.31.0.2", "fd00:31::1", "fd00:31::2", "10.65.0.4"), 2),
        profiles=dice.choice(((), ("extra",), ("projectcalico-default-allow",))),
        ports=dice.several(_endpoint_port, 2),
    )
    return HostEndpoint(metadata=_metadata(dice.choice("abcd"), "", _labels(dice)), spec=spec)


def _host_policy(dice: Dice) -> GlobalNetworkPolicy:
    """One that host endpoints meet at one of their places, usually one that decides something there."""
    stages = ({}, {"apply_on_forward": True}, {"pre_dnat": True}, {"do_not_track": True})
    stage: dict[str, Any] = dice.choice(stages)
    if stage.keys() & {"pre_dnat", "do_not_track"}:
        stage = {**stage, "apply_on_forward": True}
    rules = {way: _rules(dice) + _last(dice) for way in ("ingress", "egress")}
    types = ("Ingress",) if "pre_dnat" in stage else ("Ingress", "Egress")
    spec = GlobalNetworkPolicySpec(
        selector=dice.choice(("", "all()", *_SELECTORS)),
        tier=dice.choice(("early", "late", "default")),
        order=dice.choice((None, 1.0, 2.0)),
        types=dice.choice((types, types, ("Ingress",))),
        **stage,
        **rules,
    )
    return GlobalNetworkPolicy(metadata=_metadata(dice.choice("ghijkl")), spec=spec)


def _last(dice: Dice) -> tuple[Rule, ...]:
    """What becomes of the rest: usually something, so that later places have their say too."""
    action = dice.choice(("Allow", "Allow", "Pass", ""))
    return (Rule(action=action),) if action else ()


def _node(dice: Dice) -> Node:
    """A node that rules can name; its addresses are those of anybody."""
    addresses = dice.some(("172.31.0.254", "fd00:31::254", "10.65.0.4", "fd00:65::1"), 3)
    spec = NodeSpec(addresses=tuple(NodeAddress(address=one, type="InternalIP") for one in addresses))
    return Node(metadata=_metadata(dice.choice("ab"), "", _labels(dice)), spec=spec, status=NodeStatus())


def _pod(dice: Dice) -> Pod:
    """What a pod says of itself beside what is stored of its endpoint."""
    member = dice.choice(CAST)
    port = ContainerPort(name=dice.choice(_PORT_NAMES), protocol="UDP", container_port=dice.choice(PORTS))
    return Pod(
        metadata=_metadata(member.name, member.namespace, _labels(dice)),
        spec=PodSpec(service_account_name=dice.choice(("", "robot")), containers=(Container(ports=(port,)),)),
    )


def _policy(dice: Dice) -> NetworkPolicy | GlobalNetworkPolicy:
    fields: dict[str, Any] = {
        "selector": dice.choice(("", "all()", dice.choice(_SELECTORS))),
        "tier": dice.choice(("early", "late") * 4 + ("", "default", "absent")),
        "order": dice.choice((None, 1.0, 2.0, 2.0, -1.5)),
        "types": dice.choice(((), ("Ingress",), ("Egress",), ("Ingress", "Egress"))),
        "service_account_selector": dice.choice(("level == 'high'", "all()")) if dice.happens(0.1) else "",
        "ingress": _rules(dice),
        "egress": _rules(dice),
    }
    name = dice.choice("abcd")
    if dice.happens(0.4):
        metadata = _metadata(name, dice.choice(("red", "blue")))
        return NetworkPolicy(metadata=metadata, spec=NetworkPolicySpec(**fields))
    namespaces = dice.choice(_NAMESPACE_SELECTORS) if dice.happens(0.2) else ""
    stage = dice.choice(({}, {}, {"apply_on_forward": True}, {"apply_on_forward": True, "pre_dnat": True}))
    spec = GlobalNetworkPolicySpec(namespace_selector=namespaces, **stage, **fields)
    return GlobalNetworkPolicy(metadata=_metadata(name), spec=spec)


def _staged(dice: Dice) -> StagedNetworkPolicy | StagedGlobalNetworkPolicy:
    """A policy that must make no difference, seldom one that would take another away."""
    policy = _policy(dice)
    fields = {name: getattr(policy.spec, name) for name in policy.spec.__struct_fields__}
    fields["staged_action"] = dice.choice(("", "Set", "Learn", "Delete", "Ignore"))
    if isinstance(policy, NetworkPolicy):
        return StagedNetworkPolicy(metadata=policy.metadata, spec=StagedNetworkPolicySpec(**fields))
    return StagedGlobalNetworkPolicy(metadata=policy.metadata, spec=StagedGlobalNetworkPolicySpec(**fields))


def _rules(dice: Dice) -> tuple[Rule, ...]:
    return dice.several(_rule, 3)


def _rule(dice: Dice) -> Rule:
    """A rule with up to five matches; not all are such as people could write, but all can be compiled."""
    parts: dict[str, dict[str, Any]] = {"rule": {}, "source": {}, "destination": {}}
    for part, name in dice.choices(_MATCHES, k=dice.choice((1, 2, 1, 2, 1, 2, 3, 3, 0, 5))):
        parts[part][name] = _match(dice, name, _BOUNDS if part == "destination" else _SOURCE_BOUNDS)
    return Rule(
        action=dice.choice(("Allow", "Deny", "Pass", "Log", "Allow", "Deny")),
        source=EntityRule(**parts["source"]),
        destination=EntityRule(**parts["destination"]),
        http=HTTPMatch(methods=("GET",)) if dice.happens(0.05) else None,
        **parts["rule"],
    )


def _match(dice: Dice, name: str, bounds: Sequence[int]) -> Any:
    """A value of a field of a rule, or of one of its sides; `bounds` are ports."""
    match name.removeprefix("not_"):
        case "protocol":
            return dice.choice(_PROTOCOLS)
        case "ip_version":
            return dice.choice((4, 6))
        case "icmp":
            return ICMP(type=dice.choice((8, 128) * 5 + (13, 139) * 2 + (0, 135)), code=dice.choice((None, 0, 1)))
        case "selector":
            return dice.choice(_SELECTORS)
        case "namespace_selector":
            return dice.choice((*_NAMESPACE_SELECTORS, "global()"))
        case "nets" if dice.happens(0.15):
            return _many_nets(dice)
        case "nets":
            return dice.some(dice.choice((NETS4, NETS6, NETS4, NETS6, (*NETS4, *NETS6, *_EVERYTHING))), 4)
        case "ports":
            most = dice.choice((3,) * 6 + (40,))
            return tuple(dict.fromkeys(_port(dice, bounds) for _ in range(dice.randint(1, most))))
        case "service_accounts":
            return dice.choice(_ACCOUNTS)
    return _SERVICE


def _many_nets(dice: Dice) -> tuple[str, ...]:
    """More than fit in one line, side by side and inside one another, and not all written from their first address."""
    family = dice.choice((4, 6))
    bits, near = (32, ("10.65.0.1", "172.31.0.1")) if family == 4 else (128, ("fd00:65::", "fd00:31::"))
    starts = (int(ipaddress.ip_address(dice.choice(near))) for _ in range(dice.randint(5, 40)))
    found = (ipaddress.ip_address(start + dice.randint(0, 9)) for start in starts)
    return tuple(dict.fromkeys(f"{one}/{bits - dice.choice((0, 0, 1, 2, 3))}" for one in found))


def _port(dice: Dice, bounds: Sequence[int]) -> int | str:
    """A number, a range or a name."""
    first, last = sorted(dice.choices(bounds, k=2))
    return dice.choice((first, f"{first}:{last}", dice.choice((*_PORT_NAMES, *_PORT_NAMES, "unknown"))))
