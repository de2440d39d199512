"""Links as the kernel makes them, against what `ip` shows."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any

import pytest

from tortie.base.errors import KernelError
from tortie.netlink import links
from tortie.netlink.batch import execute, send_batch
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel
Ip = Callable[..., list[dict[str, Any]]]


def get(socket: NetlinkSocket, name: str) -> links.Link:
    link = links.get_link(socket, name)
    assert link is not None
    return link


def test_a_veth_has_what_was_asked_and_its_peer_is_in_the_other_namespace(
    rtnetlink: NetlinkSocket, other_namespace: int, ip: Ip
) -> None:
    ours = links.NewLink("cali1", mac="ee:ee:ee:ee:ee:ee", mtu=1410)
    execute(rtnetlink, links.create_veth(ours, links.NewLink("eth0", other_namespace, mac="02:00:00:00:00:01")))
    shown = ip("link", "show", "cali1")[0]
    assert (shown["address"], shown["mtu"], shown["linkinfo"]["info_kind"]) == ("ee:ee:ee:ee:ee:ee", 1410, "veth")
    link = get(rtnetlink, "cali1")
    assert (link.mac, link.mtu, link.kind, link.up, link.running) == ("ee:ee:ee:ee:ee:ee", 1410, "veth", False, False)
    with inside(other_namespace), NetlinkSocket(NETLINK_ROUTE) as other:
        assert get(other, "eth0").mac == "02:00:00:00:00:01"


def test_a_link_runs_when_both_ends_are_up(rtnetlink: NetlinkSocket, other_namespace: int) -> None:
    execute(rtnetlink, links.create_veth(links.NewLink("cali1"), links.NewLink("eth0", other_namespace)))
    execute(rtnetlink, links.change("cali1", up=True))
    assert (get(rtnetlink, "cali1").up, get(rtnetlink, "cali1").running) == (True, False)
    with inside(other_namespace), NetlinkSocket(NETLINK_ROUTE) as other:
        execute(other, links.change("eth0", up=True))
    while not get(rtnetlink, "cali1").running:
        time.sleep(0.002)  # the kernel needs a moment; the test's time limit is the end
    execute(rtnetlink, links.change("cali1", up=False))
    assert not get(rtnetlink, "cali1").up


def test_a_port_joins_and_leaves_a_bridge(rtnetlink: NetlinkSocket, veth: int) -> None:
    execute(rtnetlink, links.create_bridge("br0"))
    bridge = get(rtnetlink, "br0")
    assert bridge.kind == "bridge"
    execute(rtnetlink, links.change(veth, master=bridge.index))
    assert get(rtnetlink, "cali1").master == bridge.index
    execute(rtnetlink, links.change(veth, master=0))
    assert get(rtnetlink, "cali1").master == 0


def test_mtu_mac_name_and_namespace_are_changed(rtnetlink: NetlinkSocket, veth: int, other_namespace: int) -> None:
    execute(rtnetlink, links.change(veth, mtu=1300, mac="02:00:00:00:00:07"), links.change(veth, up=False))
    execute(rtnetlink, links.rename(veth, "cali2"))
    link = get(rtnetlink, "cali2")
    assert (link.index, link.mtu, link.mac) == (veth, 1300, "02:00:00:00:00:07")
    execute(rtnetlink, links.change("cali2", namespace=other_namespace))
    assert links.get_link(rtnetlink, "cali2") is None
    with inside(other_namespace), NetlinkSocket(NETLINK_ROUTE) as other:
        assert {link.name for link in links.list_links(other)} == {"lo", "eth0", "cali2"}


def test_deleting_a_veth_takes_its_peer_along(rtnetlink: NetlinkSocket, veth: int, other_namespace: int) -> None:
    execute(rtnetlink, links.delete("cali1"))
    assert links.get_link(rtnetlink, veth) is None
    with inside(other_namespace), NetlinkSocket(NETLINK_ROUTE) as other:
        assert [link.name for link in links.list_links(other)] == ["lo"]


def test_every_link_is_listed_as_ip_lists_it(rtnetlink: NetlinkSocket, veth: int, ip: Ip) -> None:
    listed = {(link.index, link.name, link.mtu, link.mac) for link in links.list_links(rtnetlink)}
    assert listed == {(one["ifindex"], one["ifname"], one["mtu"], one["address"]) for one in ip("link")}


def test_refusals_name_the_request_and_leave_the_rest_of_a_batch_done(rtnetlink: NetlinkSocket) -> None:
    pair = links.create_veth(links.NewLink("cali1"), links.NewLink("peer1"))
    results = send_batch(rtnetlink, [pair, pair, links.delete("nowhere"), links.create_bridge("br0")])
    assert [error.errno if error else 0 for error in results] == [0, errno.EEXIST, errno.ENODEV, 0]
    assert "delete link nowhere" in str(results[2])
    assert links.get_link(rtnetlink, "br0") is not None


def test_a_malformed_mac_is_refused_before_the_kernel_sees_it() -> None:
    with pytest.raises(ValueError, match="not a hardware address"):
        links.change("cali1", mac="02:00:00")


def test_other_refusals_of_get_are_raised(rtnetlink: NetlinkSocket) -> None:
    with pytest.raises(KernelError):
        links.get_link(rtnetlink, "a-name-longer-than-fifteen-characters")
