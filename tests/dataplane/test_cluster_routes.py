"""Routes through overlays: what is planned for each prefix of the cluster, and what the kernel makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.dataplane.cluster_routes import kernel_route
from tortie.dataplane.routes import Actual, Forget, Install, Operation, Remove, RoutesTarget
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import VXLAN_DEVICES, Underlay
from tortie.dataplane.vxlan import VxlanTarget
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, Vtep, VtepId
from tortie.desired.network import Network, Tunnels
from tortie.desired.routes import Route
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links, route
from tortie.netlink.address_table import AddressTable
from tortie.netlink.addresses import Address
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

ETH, TUNNEL, TUNNEL6, WORKLOAD = 2, 7, 8, 11
LINKS = (
    Link(ETH, "eth0", up=True, running=True, mtu=1500),
    Link(TUNNEL, "vxlan.calico", "vxlan", up=True, running=True),
    Link(TUNNEL6, "vxlan-v6.calico", "vxlan", up=True, running=True),
    Link(WORKLOAD, "cali1", up=True, running=True),
)
PARENTS = {"here": 1, "near": 2, "far": 3}
VIA = {("far", 4): "10.65.3.0", ("far", 6): "fd00:65:3::", ("near", 4): "10.65.2.0", ("near", 6): "fd00:65:2::"}


def parent(node: str, family: int) -> Cidr:
    return Cidr.host(f"192.0.2.{PARENTS[node]}" if family == 4 else f"fd00:9::{PARENTS[node]}")


def vtep(node: str, family: int) -> Vtep:
    number = PARENTS[node]
    inner = f"10.65.{number}.0" if family == 4 else f"fd00:65:{number}::"
    mac = f"66:00:00:00:0{family}:0{number}"
    return Vtep(VtepId(node, family), Cidr.host(inner), mac, parent(node, family), local=node == "here")


def block(node: str, family: int = 4, kinds: Kinds = Kinds.REMOTE_WORKLOAD, **more: object) -> ClusterRoute:
    number = PARENTS[node]
    text = f"10.65.{number}.0/26" if family == 4 else f"fd00:65:{number}::/122"
    one = ClusterRoute(Cidr.parse(text), kinds, Encapsulation.VXLAN, node, parent(node, family))
    return msgspec.structs.replace(one, **more)


def single(text: str, kinds: Kinds, node: str = "far", **more: object) -> ClusterRoute:
    prefix = Cidr.host(text)
    one = ClusterRoute(prefix, kinds, Encapsulation.VXLAN, node, parent(node, prefix.family))
    return msgspec.structs.replace(one, **more)


class Rig:
    """A target with the links and addresses that a test wants."""

    def __init__(self) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        self.links, self.addresses = LinkTable(), AddressTable()
        self.underlay = Underlay(self.links, self.addresses, "here")
        self.target = RoutesTarget(self.links, self.socket, None, self.underlay)
        self.desired = DesiredState(network=Network(tunnels=Tunnels(vxlan=(4, 6))))
        self.want_ends("here", "near", "far")

    def put_links(self, *present: Link) -> None:
        self.links.replace(present)
        self.addresses.replace(Address(ETH, parent("here", family), 24) for family in (4, 6))

    def want_ends(self, *nodes: str) -> None:
        ends = [vtep(node, family) for node in nodes for family in (4, 6)]
        self.desired.vteps = {one.id: one for one in ends}

    def want(self, *prefixes: ClusterRoute) -> Changes:
        touched = {one.destination for one in prefixes} | self.desired.cluster_routes.keys()
        self.desired.cluster_routes = {one.destination: one for one in prefixes}
        return Changes(cluster_routes=touched)

    def step(self, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        plan = self.target.plan(self.desired, actual, changes)
        self.target.applied(actual, plan)
        return plan


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    rig.put_links(*LINKS)
    yield rig
    rig.socket.close()


def ours(text: str, index: int = 0, via: str = "") -> route.Route:
    gateway = Cidr.host(via) if via else None
    kind = route.RouteType.UNICAST if index else route.RouteType.BLACKHOLE
    return route.Route(Cidr.parse(text), index, gateway, 1024, 80, type=kind, onlink=bool(via))


def through(rig: Rig, one: ClusterRoute) -> route.Route | None:
    ways = rig.underlay.ways(rig.desired)
    return kernel_route(one, ways, rig.desired.vteps, 80).route


def test_what_is_elsewhere_goes_through_the_tunnel_or_straight_to_a_node_of_the_subnet(rig: Rig) -> None:
    assert through(rig, block("far")) == ours("10.65.3.0/26", TUNNEL, "10.65.3.0")
    assert through(rig, block("near", same_subnet=True)) == ours("10.65.2.0/26", ETH, "192.0.2.2")
    assert through(rig, block("near")) == ours("10.65.2.0/26", TUNNEL, "10.65.2.0")
    assert through(rig, block("far", 6)) == ours("fd00:65:3::/122", TUNNEL6, "fd00:65:3::")
    assert through(rig, block("near", 6, same_subnet=True)) == ours("fd00:65:2::/122", ETH, "fd00:9::2")


def test_a_borrowed_address_goes_to_who_borrowed_it(rig: Rig) -> None:
    lent = single("10.65.2.7", Kinds.REMOTE_WORKLOAD, borrowed=True)
    assert through(rig, lent) == ours("10.65.2.7/32", TUNNEL, "10.65.3.0")


def test_a_block_of_this_node_is_a_black_hole_and_its_addresses_are_not(rig: Rig) -> None:
    local = Kinds.LOCAL_WORKLOAD
    assert through(rig, block("here", kinds=local)) == ours("10.65.1.0/26")
    assert through(rig, single("10.65.1.7", local, "here")) is None
    assert through(rig, single("10.65.1.7", local | Kinds.REMOTE_WORKLOAD, "here", attached=True)) is None


def test_ip_in_ip_names_the_node_itself_as_the_gateway(rig: Rig) -> None:
    near, far = (block(node, encapsulation=Encapsulation.IPIP) for node in ("near", "far"))
    assert through(rig, msgspec.structs.replace(near, same_subnet=True)) == ours("10.65.2.0/26", ETH, "192.0.2.2")
    assert through(rig, far) is None
    rig.desired.network = Network(tunnels=Tunnels(ipip=True), own=(parent("here", 4),), ipip_end=Cidr.host("10.65.1.0"))
    rig.put_links(*LINKS, Link(9, "tunl0", up=True))
    assert through(rig, far) == ours("10.65.3.0/26", 9, "192.0.2.3")
    rig.desired.vteps = {}
    assert through(rig, msgspec.structs.replace(near, same_subnet=True)) == ours("10.65.2.0/26", ETH, "192.0.2.2")


def test_what_is_not_encapsulated_or_is_no_workload_is_left_to_others(rig: Rig) -> None:
    assert through(rig, block("far", encapsulation=Encapsulation.DIRECT)) is None
    assert through(rig, block("here", kinds=Kinds.LOCAL_WORKLOAD, encapsulation=Encapsulation.NONE)) is None
    assert through(rig, block("far", kinds=Kinds.POOL)) is None
    assert through(rig, single("192.0.2.3", Kinds.REMOTE_HOST)) is None
    assert through(rig, single("10.65.3.0", Kinds.REMOTE_TUNNEL)) is None


def test_an_end_that_was_lent_its_address_and_every_gateway_of_ipv6_is_on_the_device_itself(rig: Rig) -> None:
    lent = single("10.65.3.0", Kinds.REMOTE_TUNNEL | Kinds.REMOTE_WORKLOAD, borrowed=True)
    assert through(rig, lent) == route.device_route(lent.destination, TUNNEL, 1024, 80)
    gateway = single("fd00:65:3::", Kinds.REMOTE_TUNNEL)
    assert through(rig, gateway) == route.device_route(gateway.destination, TUNNEL6, 1024, 80)
    assert through(rig, msgspec.structs.replace(gateway, same_subnet=True)) is None


def test_a_node_without_an_end_is_waited_for_and_its_routes_are_taken_away(rig: Rig) -> None:
    actual: Actual = {}
    rig.want(block("far"))
    rig.step(actual, None)
    rig.want_ends("here", "near")
    plan = rig.step(actual, Changes(vteps={VtepId("far", 4)}))
    assert plan.operations == [Remove(ours("10.65.3.0/26", TUNNEL, "10.65.3.0"))]
    assert plan.waiting == {"10.65.3.0/26": "node far has no end of a VXLAN for IPv4"}
    rig.want_ends("here", "far")
    plan = rig.step(actual, Changes(vteps={VtepId("far", 4)}))
    assert plan.operations == [Install(ours("10.65.3.0/26", TUNNEL, "10.65.3.0"))]
    assert list(plan.settled) == ["10.65.3.0/26"]


def test_what_leads_to_a_node_by_its_own_address_stays_until_its_end_is_there(rig: Rig) -> None:
    actual: Actual = {}
    rig.want_ends("here")
    rig.want(block("far", same_subnet=True))
    rig.step(actual, None)
    plan = rig.step(actual, rig.want(block("far")))
    assert plan.operations == []
    assert plan.waiting == {"10.65.3.0/26": "node far has no end of a VXLAN for IPv4"}
    rig.want_ends("here", "far")
    plan = rig.step(actual, Changes(vteps={VtepId("far", 4)}))
    assert plan.operations == [Install(ours("10.65.3.0/26", TUNNEL, "10.65.3.0"))]


def test_while_this_node_is_not_ready_what_stands_stays(rig: Rig) -> None:
    actual: Actual = {}
    rig.want(block("far"))
    rig.step(actual, None)
    rig.want_ends("near", "far")
    plan = rig.step(actual, Changes(addresses=True))
    assert plan.operations == []
    assert plan.waiting == {"10.65.3.0/26": "this node's VXLAN device does not exist, or is down"}


def test_a_device_made_anew_gets_all_its_routes_again(rig: Rig) -> None:
    actual: Actual = {}
    rig.want(block("far"), block("near", same_subnet=True))
    rig.step(actual, None)
    rig.put_links(LINKS[0], msgspec.structs.replace(LINKS[1], index=9), *LINKS[2:])
    plan = rig.step(actual, Changes(addresses=True, interfaces={"vxlan.calico"}))
    assert Install(ours("10.65.3.0/26", 9, "10.65.3.0")) in plan.operations
    assert actual.keys() == {Cidr.parse("10.65.3.0/26"), Cidr.parse("10.65.2.0/26")}


def test_a_change_of_the_way_replaces_a_route_without_taking_it_away(rig: Rig) -> None:
    actual: Actual = {}
    rig.want(block("near"), block("near", 6))
    rig.step(actual, None)
    plan = rig.step(actual, rig.want(block("near", same_subnet=True), block("near", 6, same_subnet=True)))
    assert [type(one) for one in plan.operations] == [Install, Install]


def test_an_address_that_moves_away_ends_its_connections_and_then_is_elsewhere(rig: Rig) -> None:
    address, actual = Cidr.host("10.65.2.7"), {}
    rig.desired.routes = {address: Route(address, "cali1")}
    lent = single("10.65.2.7", Kinds.REMOTE_WORKLOAD, borrowed=True)
    rig.want(lent)
    assert rig.step(actual, None).operations[-1] == Install(route.device_route(address, WORKLOAD, 1024, 80))
    rig.desired.routes = {}
    plan = rig.step(actual, Changes(routes={address}))
    away = ours("10.65.2.7/32", TUNNEL, "10.65.3.0")
    assert [type(one) for one in plan.operations] == [Remove, Forget, Install]
    assert (plan.operations[1], plan.operations[2]) == (Forget(address, departed=True), Install(away))
    rig.desired.routes = {address: Route(address, "cali1")}
    back = rig.step(actual, Changes(routes={address})).operations
    assert back[:2] == [Remove(away), Forget(address, departed=False)]


NODES = st.sampled_from(["here", "near", "far"])
PREFIXES = st.one_of(
    st.builds(block, NODES, st.sampled_from([4, 6]), st.just(Kinds.REMOTE_WORKLOAD)),
    st.builds(
        single,
        st.sampled_from(["10.65.2.7", "fd00:65:3::"]),
        st.sampled_from([Kinds.REMOTE_WORKLOAD, Kinds.REMOTE_TUNNEL, Kinds.LOCAL_WORKLOAD]),
        NODES,
    ),
)
WANTED = st.builds(
    lambda one, way, near: msgspec.structs.replace(one, encapsulation=way, same_subnet=near),
    PREFIXES,
    st.sampled_from([Encapsulation.VXLAN, Encapsulation.VXLAN, Encapsulation.DIRECT]),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.lists(WANTED, max_size=4)),
        st.tuples(st.just("ends"), st.sets(NODES)),
        st.tuples(st.just("links"), st.sets(st.sampled_from([0, 1, 2]))),
    ),
    max_size=8,
)


@given(STEPS, st.booleans())
def test_any_history_leads_to_the_desired_routes_and_then_to_nothing_to_do(
    history: list[tuple[str, object]], incremental: bool
) -> None:
    rig, actual = Rig(), Actual()
    rig.put_links(*LINKS)
    rig.step(actual, None)
    for kind, what in history:
        changes = played(rig, kind, what)
        rig.step(actual, changes if incremental else None)
    answers = {
        one.destination: kernel_route(one, rig.underlay.ways(rig.desired), rig.desired.vteps, 80)
        for one in rig.desired.cluster_routes.values()
    }
    settled = {key: routes for key, routes in actual.items() if not (key in answers and answers[key].stays)}
    assert settled == {key: frozenset({one.route}) for key, one in answers.items() if one.route}
    assert rig.target.plan(rig.desired, actual, None).operations == []
    rig.socket.close()


def played(rig: Rig, kind: str, what: object) -> Changes:
    if kind == "want":
        assert isinstance(what, list)
        return rig.want(*what)
    assert isinstance(what, set)
    if kind == "ends":
        before = set(rig.desired.vteps)
        rig.want_ends(*what)
        return Changes(vteps=before ^ set(rig.desired.vteps))
    rig.put_links(*[link for position, link in enumerate(LINKS) if position not in what])
    return Changes(addresses=True, interfaces={LINKS[position].name for position in what})


@pytest.fixture
def host(namespace: int) -> Iterator[Rig]:
    """A namespace where eth0 has this node's addresses and the tunnels are up."""
    with inside(namespace):
        rig = Rig()
    socket = rig.socket
    execute(socket, links.create_veth(NewLink("eth0"), NewLink("peer0")))
    execute(socket, *[links.change(name, up=True) for name in ("eth0", "peer0")])
    parent_link = links.get_link(socket, "eth0")
    assert parent_link is not None
    for family, length in ((4, 24), (6, 64)):
        execute(socket, addresses.add(Address(parent_link.index, parent("here", family), length)))
    relist(rig)
    tunnels = VxlanTarget(rig.underlay, socket)
    tunnels.apply(tunnels.plan(rig.desired, tunnels.read(), None).operations)
    relist(rig)
    yield rig
    socket.close()


def relist(rig: Rig) -> None:
    rig.links.replace(links.list_links(rig.socket))
    rig.addresses.replace(addresses.list_addresses(rig.socket))


def full_pass(rig: Rig) -> Plan[Operation]:
    actual = rig.target.read()
    plan = rig.target.plan(rig.desired, actual, None)
    rig.target.apply(plan.operations)
    assert rig.target.applied(actual, plan) == rig.target.read()
    return plan


@pytest.mark.kernel
def test_the_kernel_takes_every_form_of_route_and_every_change_between_them(host: Rig) -> None:
    ends = [single("fd00:65:2::", Kinds.REMOTE_TUNNEL, "near"), single("fd00:65:3::", Kinds.REMOTE_TUNNEL)]
    local = [block("here", family, kinds=Kinds.LOCAL_WORKLOAD) for family in (4, 6)]
    tunnelled = [*local, *ends, *(block(node, family) for node in ("near", "far") for family in (4, 6))]
    direct = [msgspec.structs.replace(one, same_subnet=one.node == "near") for one in tunnelled]
    for wanted in (tunnelled, direct, tunnelled, [], direct, tunnelled[:2]):
        host.want(*wanted)
        assert full_pass(host).waiting == {}
        assert full_pass(host).operations == []
    index = host.links.get(VXLAN_DEVICES[4])
    assert index is not None
    assert len(host.target.read()) == 2
