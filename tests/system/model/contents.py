"""Random contents of a datastore: labels, ports, profiles, sets, tiers and policies around six workloads that stay."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from tortie.api.networkset import GlobalNetworkSet, NetworkSet, NetworkSetSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import ICMP, EntityRule, Rule, ServiceAccountMatch, ServiceMatch
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec


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
    "has(zone) || role == 'client'",
    "role == 'nobody'",
)
_NAMESPACE_SELECTORS = ("all()", "team == 'a'", "team != 'a'", "has(team)", "projectcalico.org/name == 'red'")
_PORT_NAMES = ("web", "dns")

LABELS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(("server", "client", "")),
        "env": st.sampled_from(("x", "y", "xy")),
        "zone": st.just("net"),
    },
)


def metadata(name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Metadata:
    """Metadata of a resource."""
    return Metadata(name=name, namespace=namespace, labels=labels or {})


def some(values: st.SearchStrategy[Any], most: int = 2, least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    """A few different values."""
    return st.lists(values, min_size=least, max_size=most, unique=True).map(tuple)


def _span(bounds: tuple[int, ...]) -> st.SearchStrategy[int | str]:
    ends = st.tuples(st.sampled_from(bounds), st.sampled_from(bounds)).map(sorted)
    return st.one_of(st.sampled_from(bounds), ends.map(lambda pair: f"{pair[0]}:{pair[1]}"))


def _ports(bounds: tuple[int, ...]) -> st.SearchStrategy[tuple[int | str, ...]]:
    return some(st.one_of(_span(bounds), st.sampled_from((*_PORT_NAMES, *_PORT_NAMES, "unknown"))), 3)


_NETS = st.one_of(
    some(st.sampled_from(NETS4), 3),
    some(st.sampled_from(NETS6), 3),
    some(st.sampled_from((*NETS4, *NETS6, *_EVERYTHING)), 4),
)


def _entity_fields(bounds: tuple[int, ...]) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "selector": st.sampled_from(_SELECTORS),
        "not_selector": st.sampled_from(_SELECTORS),
        "namespace_selector": st.sampled_from((*_NAMESPACE_SELECTORS, "global()")),
        "nets": _NETS,
        "not_nets": _NETS,
        "ports": _ports(bounds),
        "not_ports": _ports(bounds),
        "service_accounts": st.sampled_from(
            (
                ServiceAccountMatch(names=("robot",)),
                ServiceAccountMatch(selector="level == 'high'"),
                ServiceAccountMatch(names=("robot", "human"), selector="has(level)"),
            )
        ),
        "services": st.just(ServiceMatch(name="shop", namespace="red")),
    }


_ICMP = st.builds(ICMP, type=st.sampled_from((8, 128, 8, 128, 0, 135)), code=st.sampled_from((None, 0, 1)))
_PROTOCOLS = st.sampled_from(
    ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6", 6, 17, 132, 1, 58, "6", "UDPLite", 47, "TCP", "UDP", "SCTP")
)
_RULE_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "protocol": _PROTOCOLS,
    "not_protocol": _PROTOCOLS,
    "ip_version": st.sampled_from((4, 6)),
    "icmp": _ICMP,
    "not_icmp": _ICMP,
}
_FIELDS = {
    **{("rule", name): values for name, values in _RULE_FIELDS.items()},
    **{("source", name): values for name, values in _entity_fields(_SOURCE_BOUNDS).items()},
    **{("destination", name): values for name, values in _entity_fields(PORTS).items()},
}
_LIKELY = (("rule", "protocol"), ("source", "selector"), ("destination", "ports"), ("destination", "selector"))
_CHOICES = st.sampled_from((*_FIELDS, *_LIKELY))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule with up to five matches; not all are such as people could write, but all can be compiled."""
    parts: dict[str, dict[str, Any]] = {"rule": {}, "source": {}, "destination": {}}
    for _ in range(draw(st.sampled_from((1, 2, 3, 1, 2, 0, 5)))):
        part, name = draw(_CHOICES)
        parts[part][name] = draw(_FIELDS[part, name])
    return Rule(
        action=draw(st.sampled_from(("Allow", "Deny", "Pass", "Log", "Allow"))),
        source=EntityRule(**parts["source"]),
        destination=EntityRule(**parts["destination"]),
        **parts["rule"],
    )


@st.composite
def several(draw: st.DrawFn, one: st.SearchStrategy[Any], counts: tuple[int, ...]) -> tuple[Any, ...]:
    """As many as one of these numbers, each as likely as the others."""
    return tuple(draw(one) for _ in range(draw(st.sampled_from(counts))))


RULES = several(rules(), (2, 1, 3, 0))
_POLICY_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "selector": st.sampled_from(("", "all()", *_SELECTORS)),
    "tier": st.sampled_from(("early", "late", "", "default", "early", "late", "absent")),
    "order": st.sampled_from((None, 1.0, 2.0, 2.0, -1.5)),
    "types": st.sampled_from(((), ("Ingress",), ("Egress",), ("Ingress", "Egress"))),
    "service_account_selector": st.sampled_from(("", "", "", "level == 'high'", "all()")),
    "ingress": RULES,
    "egress": RULES,
}
_NAMES = st.sampled_from("abc")
_NAMESPACES = st.sampled_from(("red", "blue"))

POLICIES = st.one_of(
    st.builds(
        NetworkPolicy,
        metadata=st.builds(metadata, _NAMES, _NAMESPACES),
        spec=st.builds(NetworkPolicySpec, **_POLICY_FIELDS),
    ),
    st.builds(
        GlobalNetworkPolicy,
        metadata=st.builds(metadata, _NAMES),
        spec=st.builds(
            GlobalNetworkPolicySpec,
            **_POLICY_FIELDS,
            namespace_selector=st.sampled_from(("", "", "", *_NAMESPACE_SELECTORS)),
        ),
    ),
)
TIERS = tuple(
    st.builds(
        Tier,
        metadata=st.just(metadata(name)),
        spec=st.builds(
            TierSpec,
            order=st.sampled_from((None, 10.0, 20.0, 2_000_000.0)),
            default_action=st.sampled_from(("Pass", "Pass", "Pass", "Deny", None)),
        ),
        status=st.just(TierStatus()),
    )
    for name in ("early", "late")
)
SETS = st.one_of(
    st.builds(
        NetworkSet,
        metadata=st.builds(metadata, _NAMES, _NAMESPACES, LABELS),
        spec=st.builds(NetworkSetSpec, nets=some(st.sampled_from((*NETS4, *NETS6)), 4, 0)),
    ),
    st.builds(
        GlobalNetworkSet,
        metadata=st.builds(metadata, _NAMES, st.just(""), LABELS),
        spec=st.builds(NetworkSetSpec, nets=some(st.sampled_from((*NETS4, *NETS6, *_EVERYTHING)), 4, 0)),
    ),
)
_OPEN = (Rule(action="Allow"),)
_PROFILE_RULES = st.one_of(st.just(_OPEN), st.just(_OPEN), RULES)


def _profile(name: str, labels: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[Profile]:
    spec = st.builds(ProfileSpec, ingress=_PROFILE_RULES, egress=_PROFILE_RULES, labels_to_apply=labels)
    return st.builds(Profile, metadata=st.just(metadata(name)), spec=spec)


def _namespace_profile(namespace: str) -> st.SearchStrategy[Profile]:
    name = {"pcns.projectcalico.org/name": st.just(namespace)}
    return _profile(f"kns.{namespace}", st.fixed_dictionaries(name, optional={"pcns.team": st.sampled_from("ab")}))


PROFILES = st.one_of(
    _profile("extra", LABELS),
    _profile("ksa.red.robot", st.sampled_from(({"pcsa.level": "high"}, {"pcsa.level": "low"}, {}))),
)
_PORT_LISTS = several(
    st.builds(
        EndpointPort,
        name=st.sampled_from(_PORT_NAMES),
        protocol=st.sampled_from(("TCP", "UDP", "SCTP")),
        port=st.sampled_from(PORTS),
    ),
    (2, 1, 3, 4, 0),
)


@st.composite
def endpoints(draw: st.DrawFn, member: Member) -> WorkloadEndpoint:
    """What the datastore says of a workload; now and then it knows some of its addresses only."""
    known = draw(st.sampled_from((member.addresses, member.addresses, member.addresses, member.addresses[:1])))
    account = draw(st.sampled_from(("", "robot")))
    own = (f"kns.{member.namespace}", *(["ksa.red.robot"] if account else []))
    more = draw(st.sampled_from(((), (), (), ("extra",), ("missing",), ("projectcalico-default-allow",))))
    spec = WorkloadEndpointSpec(
        node=member.host,
        orchestrator="k8s",
        service_account_name=account,
        ip_networks=tuple(f"{one}/{128 if ':' in one else 32}" for one in known),
        profiles=draw(st.sampled_from(((*own, *more), (*more, *own)))),
        ports=draw(_PORT_LISTS),
    )
    return WorkloadEndpoint(metadata=metadata(member.name, member.namespace, draw(LABELS)), spec=spec)


@st.composite
def contents(draw: st.DrawFn) -> Contents:
    """Everything; seldom a workload or the profile of a namespace is missing."""
    rarely = st.sampled_from((True,) * 15 + (False,))
    found: list[Resource] = [draw(endpoints(member)) for member in CAST if draw(rarely)]
    found += [draw(_namespace_profile(name)) for name in ("red", "blue") if draw(rarely)]
    found += [draw(tier) for tier in TIERS if draw(rarely)]
    for kind, counts in ((PROFILES, (0, 1, 2)), (SETS, (2, 1, 3, 0)), (POLICIES, (3, 1, 2, 4, 6, 0))):
        found += draw(several(kind, counts))
    return Contents((resource.key, resource) for resource in found)
