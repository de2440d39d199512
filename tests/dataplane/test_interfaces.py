"""Links and sysctls of workload interfaces and of the node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.interfaces import Actual, InterfacesTarget, Known, Operation, Raise, Set
from tortie.dataplane.sysctls import NODE, Sysctls, of_workload
from tortie.dataplane.target import Plan
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import PolicyList
from tortie.desired.settings import NodeSettings
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import links
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.monitor import LinkTable
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket


class Rig:
    """A target on a socket of its own, with the links that a test wants."""

    def __init__(self, *present: Link) -> None:
        self.socket = NetlinkSocket(NETLINK_ROUTE)
        self.links = LinkTable()
        self.links.replace(present)
        self.target = InterfacesTarget(self.links, self.socket)
        self.desired = DesiredState()

    def relist(self) -> None:
        self.links.replace(links.list_links(self.socket))

    def want(self, *endpoints: Endpoint) -> Changes:
        self.desired.endpoints.update((one.id, one) for one in endpoints)
        return Changes(endpoints={one.id for one in endpoints})

    def step(self, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        plan = self.target.plan(self.desired, actual, changes)
        self.target.applied(actual, plan)
        return plan

    def full_pass(self) -> Plan[Operation]:
        actual = self.target.read()
        plan = self.target.plan(self.desired, actual, None)
        self.target.apply(plan.operations)
        self.target.applied(actual, plan)
        return plan


def endpoint(interface: str, *, spoofing: bool = False) -> Endpoint:
    sources = (Cidr.parse("10.0.0.0/8"),) if spoofing else ()
    identity = EndpointId("shop", f"{interface}-eth0")
    return Endpoint(identity, interface, (), PolicyList(), PolicyList(), allowed_sources=sources)


def right(*interfaces: Link) -> Actual:
    known = {one.name: Known(one.index, of_workload(one.name, spoofing=False)) for one in interfaces}
    return Actual(dict(NODE), known)


CALI1 = Link(11, "cali1", up=True)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(CALI1)
    yield rig
    rig.socket.close()


def test_a_right_kernel_is_left_alone(rig: Rig) -> None:
    rig.want(endpoint("cali1"))
    assert rig.step(right(CALI1), None).operations == []


def test_what_differs_is_set_those_of_the_node_first(rig: Rig) -> None:
    rig.want(endpoint("cali1"))
    settings = {**of_workload("cali1", spoofing=False), "ipv4/conf/cali1/proxy_arp": "0"}
    actual = Actual({**NODE, "ipv4/ip_forward": "0"}, {"cali1": Known(11, settings)})
    assert rig.step(actual, None).operations == [
        Set("ipv4/ip_forward", "1"),
        Set("ipv4/conf/cali1/proxy_arp", "1", "cali1", 11),
    ]


def test_a_new_interface_gets_every_setting_and_is_raised(rig: Rig) -> None:
    rig.links.note(Link(12, "cali2"))
    plan = rig.step(right(), rig.want(endpoint("cali2")))
    settings = of_workload("cali2", spoofing=False)
    assert plan.operations == [*(Set(key, value, "cali2", 12) for key, value in settings.items()), Raise("cali2")]


def test_an_interface_made_again_gets_every_setting_again_and_a_flap_gets_none(rig: Rig) -> None:
    rig.want(endpoint("cali1"))
    actual = right(CALI1)
    assert rig.step(actual, Changes(interfaces={"cali1"})).operations == []
    rig.links.note(Link(12, "cali1", up=True))
    assert len(rig.step(actual, Changes(interfaces={"cali1"})).operations) == len(of_workload("", spoofing=False))


def test_a_missing_interface_waits_until_it_comes_or_is_no_longer_wanted(rig: Rig) -> None:
    actual = right()
    missing = endpoint("cali9")
    assert rig.step(actual, rig.want(missing)).waiting == {str(missing.id): "interface cali9 does not exist"}
    rig.links.note(Link(19, "cali9", up=True))
    assert list(rig.step(actual, Changes(interfaces={"cali9"})).settled) == [str(missing.id)]
    del rig.desired.endpoints[missing.id]
    assert list(rig.step(actual, Changes(endpoints={missing.id})).settled) == [str(missing.id)]


def test_sources_may_be_forged_only_where_that_is_permitted(rig: Rig) -> None:
    actual = right(CALI1)
    plan = rig.step(actual, rig.want(endpoint("cali1", spoofing=True)))
    assert plan.operations == [Set("ipv4/conf/cali1/rp_filter", "0", "cali1", 11)]
    plan = rig.step(actual, rig.want(endpoint("cali1")))
    assert plan.operations == [Set("ipv4/conf/cali1/rp_filter", "1", "cali1", 11)]


def test_settings_that_do_not_exist_are_not_asked_for(rig: Rig) -> None:
    rig.want(endpoint("cali1"))
    only4 = {key: value for key, value in of_workload("cali1", spoofing=False).items() if key.startswith("ipv4")}
    actual = Actual({"ipv4/ip_forward": "1"}, {"cali1": Known(11, only4)})
    assert rig.step(actual, None).operations == []


names = st.sampled_from(["cali1", "cali2", "cali3"])
values = st.dictionaries(st.sampled_from(sorted(of_workload("NAME", spoofing=False))), st.sampled_from("012"))


@given(
    st.dictionaries(names, st.tuples(st.integers(10, 13), values), max_size=3),
    st.dictionaries(names, st.integers(10, 13), max_size=3),
    st.dictionaries(names, st.booleans(), max_size=3),
    st.dictionaries(st.sampled_from(sorted(NODE)), st.sampled_from("01")),
)
def test_any_state_leads_to_the_desired_settings_and_then_to_nothing_to_do(
    found: dict[str, tuple[int, dict[str, str]]],
    present: dict[str, int],
    wanted: dict[str, bool],
    node: dict[str, str],
) -> None:
    rig = Rig(*[Link(index, name, up=True) for name, index in present.items()])
    rig.want(*[endpoint(name, spoofing=spoofing) for name, spoofing in wanted.items()])
    known = {
        name: Known(index, {key.replace("NAME", name): value for key, value in settings.items()})
        for name, (index, settings) in found.items()
    }
    actual = Actual(node, known)
    rig.step(actual, None)
    assert rig.step(actual, None).operations == []
    for link in rig.links:
        if link.name in wanted:
            have = actual.interfaces[link.name]
            assert have.index == link.index
            assert have.settings.items() <= of_workload(link.name, spoofing=wanted[link.name]).items()
    rig.socket.close()


@pytest.fixture
def host(namespace: int) -> Iterator[Rig]:
    """A namespace with cali1, whose peer is up, and eth0, which is not ours."""
    with inside(namespace):
        rig = Rig()
        execute(rig.socket, links.create_veth(NewLink("cali1"), NewLink("peer1")), links.change("peer1", up=True))
        execute(rig.socket, links.create_veth(NewLink("eth0"), NewLink("peer0")))
        rig.relist()
        yield rig
    rig.socket.close()


@pytest.mark.kernel
def test_the_kernel_gets_the_settings_and_then_there_is_nothing_to_do(host: Rig) -> None:
    host.want(endpoint("cali1"), endpoint("cali9"))
    assert set(host.full_pass().waiting) == {"shop/cali9-eth0"}
    wanted = {**NODE, **of_workload("cali1", spoofing=False)}
    assert Sysctls().read(wanted) == wanted
    host.relist()
    link = host.links.get("cali1")
    assert link is not None and link.up
    assert host.full_pass().operations == []


@pytest.mark.kernel
def test_interfaces_of_others_are_left_alone(host: Rig) -> None:
    names = [key for key in of_workload("eth0", spoofing=False) if "forwarding" not in key]
    before = Sysctls().read(names)
    host.want(endpoint("cali1"))
    host.full_pass()
    assert Sysctls().read(names) == before
    host.relist()
    link = host.links.get("eth0")
    assert link is not None and not link.up


@pytest.mark.kernel
def test_an_interface_that_vanishes_between_plan_and_apply_is_no_failure(host: Rig) -> None:
    host.want(endpoint("cali1"))
    plan = host.target.plan(host.desired, host.target.read(), None)
    execute(host.socket, links.delete("cali1"))
    host.target.apply(plan.operations)
    host.relist()
    assert set(host.full_pass().waiting) == {"shop/cali1-eth0"}


@pytest.mark.kernel
def test_settings_changed_by_others_are_found_by_a_full_pass(host: Rig) -> None:
    host.want(endpoint("cali1"))
    host.full_pass()
    Sysctls().write("ipv4/conf/cali1/proxy_arp", "0")
    host.relist()
    assert [one.name for one in host.full_pass().operations if isinstance(one, Set)] == ["ipv4/conf/cali1/proxy_arp"]


@pytest.mark.kernel
def test_a_refused_setting_is_an_error_that_names_it(host: Rig) -> None:
    with pytest.raises(KernelError, match="ip_forward"):
        host.target.apply([Set("ipv4/ip_forward", "nonsense")])


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "ipv4").mkdir()
    with pytest.raises(KernelError, match="ipv4"):
        Sysctls(tmp_path).read(["ipv4"])


def test_forwarding_is_left_alone_where_that_is_asked_for_and_switched_on_when_it_no_longer_is() -> None:
    target = InterfacesTarget(LinkTable(), cast(NetlinkSocket, None))
    off = Actual({"ipv4/ip_forward": "0"}, {})
    spared = DesiredState(settings=NodeSettings(forwards=False))
    assert not target.plan(spared, off, None).operations
    switched = [Set("ipv4/ip_forward", "1")]
    assert target.plan(DesiredState(settings=NodeSettings()), off, Changes(settings=True)).operations == switched
    assert target.plan(DesiredState(), off, None).operations == switched
    assert not target.plan(DesiredState(), off, Changes(addresses=True)).operations
