"""Random compiled forms of policy over a small space, and packets of it. Loaded by path."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from tortie.analysis.packets import PORT_PROTOCOLS
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.setindex import port_record
from tortie.calculation.verdict import ICMP_PROTOCOL, Packet
from tortie.desired.packed import pack
from tortie.desired.policy import (
    Action,
    ICMPMatch,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    SetId,
    Side,
    TierPolicies,
)
from tortie.desired.sets import IPSet, Members

NETWORKS = {4: Cidr.parse("10.0.0.0/8").address, 6: Cidr.parse("fd00::").address}
ADDRESSES = [Cidr(family, base + offset, BITS[family]) for family, base in NETWORKS.items() for offset in range(4)]
PORTS = (0, 1, 79, 80, 81, 65534, 65535)
PROTOCOLS = (0, 1, 6, 17, 47, 58, 132, 255)
NETS = [
    Cidr(family, (base + offset) >> bits << bits, BITS[family] - bits)
    for family, base in NETWORKS.items()
    for offset, bits in ((0, 0), (1, 0), (0, 1), (2, 1), (0, 2), (0, BITS[family]))
]
SETS = (SetId("s:a"), SetId("s:b"))
PORT_SETS = (SetId("n:a"), SetId("n:b"))


def few(values: object, most: int = 2) -> st.SearchStrategy[tuple[object, ...]]:
    return st.one_of(st.just(()), st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple))  # type: ignore[arg-type]


SPANS = [PortRange(first, last) for first, last in product(PORTS, PORTS) if first <= last]
SIDES = st.builds(
    Side,
    nets=few(NETS),
    not_nets=few(NETS),
    sets=few(SETS),
    not_sets=few(SETS),
    ports=few(SPANS),
    port_sets=few(PORT_SETS),
    not_ports=few(SPANS),
    not_port_sets=few(PORT_SETS),
    service_sets=few(PORT_SETS, 1),
)
ICMP = st.one_of(
    st.none(), st.builds(ICMPMatch, st.sampled_from((0, 8, 255)), st.one_of(st.none(), st.sampled_from((0, 255))))
)
RULES = st.builds(
    Rule,
    action=st.sampled_from(list(Action)),
    index=st.just(0),
    family=st.sampled_from((None, None, 4, 6)),
    protocol=st.sampled_from((None, None, 6, 17, 1, 58)),
    not_protocol=st.sampled_from((None, None, 6)),
    icmp=ICMP,
    not_icmp=ICMP,
    source=st.one_of(st.just(Side()), SIDES),
    destination=st.one_of(st.just(Side()), SIDES),
)


def numbered(rules: list[Rule]) -> tuple[Rule, ...]:
    return tuple(
        Rule(*(getattr(rule, name) if name != "index" else index for name in Rule.__struct_fields__))
        for index, rule in enumerate(rules)
    )


PROGRAMS = st.lists(st.lists(RULES, max_size=3).map(numbered), min_size=1, max_size=5)


@st.composite
def lists(draw: st.DrawFn) -> tuple[PolicyList, dict[PolicyId, Policy]]:
    """What governs an endpoint's ingress: some policies in tiers, the rest as profiles."""
    found = [
        Policy(PolicyId("NetworkPolicy", "", str(number)), f"tier{number % 2}", ingress=rules)
        for number, rules in enumerate(draw(PROGRAMS))
    ]
    cut = draw(st.integers(0, len(found)))
    tiers = tuple(
        TierPolicies(
            name,
            tuple(one.id for one in found[:cut] if one.tier == name),
            draw(st.sampled_from((Action.DENY, Action.PASS))),
        )
        for name in ("tier0", "tier1")
        if any(one.tier == name for one in found[:cut])
    )
    return PolicyList(tiers, tuple(one.id for one in found[cut:])), {one.id: one for one in found}


@st.composite
def members(draw: st.DrawFn, name: SetId) -> IPSet:
    addresses = draw(st.sets(st.sampled_from(ADDRESSES), max_size=3))
    if name in PORT_SETS:
        of = [(one, draw(st.sampled_from((6, 17))), draw(st.sampled_from(PORTS))) for one in addresses]
        four, six = (
            pack([port_record(family, one.address, *service) for one, *service in of if one.family == family], width)
            for family, width in ((4, 7), (6, 19))
        )
        return IPSet(name, Members(ports4=four, ports6=six), ports=True)
    hosts = {family: [one.packed for one in addresses if one.family == family] for family in (4, 6)}
    nets = draw(st.sets(st.sampled_from([net for net in NETS if not net.is_host]), max_size=2))
    return IPSet(
        name,
        Members(
            hosts4=pack(hosts[4], 4),
            hosts6=pack(hosts[6], 16),
            nets4=tuple(sorted(net for net in nets if net.family == 4)),
            nets6=tuple(sorted(net for net in nets if net.family == 6)),
        ),
    )


SETS_HELD = st.tuples(*(members(name) for name in (*SETS, *PORT_SETS))).map(
    lambda found: {one.id: one for one in found}
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    family, protocol = draw(st.sampled_from((4, 6))), draw(st.sampled_from(PROTOCOLS))
    addresses = st.sampled_from([one.address for one in ADDRESSES if one.family == family])
    ports = st.sampled_from(PORTS) if protocol in PORT_PROTOCOLS else st.none()
    icmp = st.sampled_from((0, 8, 254, 255)) if protocol == ICMP_PROTOCOL[family] else st.none()
    return Packet(family, protocol, draw(addresses), draw(addresses), draw(ports), draw(ports), draw(icmp), draw(icmp))


def renamed(governing: PolicyList, names: dict[PolicyId, PolicyId]) -> PolicyList:
    """The same list of policies that are called otherwise."""
    tiers = tuple(
        TierPolicies(one.name, tuple(names[each] for each in one.policies), one.default_action)
        for one in governing.tiers
    )
    return PolicyList(tiers, tuple(names[each] for each in governing.profiles))
