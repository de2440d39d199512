"""Changed settings of interfaces, as the kernel reports them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.netlink.links import get_link
from tortie.netlink.namespace import inside
from tortie.netlink.netconf import ALL, GROUPS, RTM_NEWNETCONF, SettingEvent, interpret
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage


@given(st.integers(0, 100), st.binary(max_size=60))
def test_no_message_does_worse_than_being_malformed(kind: int, payload: bytes) -> None:
    for one in (Message(kind, 0, 0, payload), Message(RTM_NEWNETCONF, 0, 0, payload)):
        try:
            interpret(one)
        except TruncatedMessage:
            continue


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "setting", "all"),
    [
        ("ipv4/ip_forward", "forwarding", True),
        ("ipv6/conf/all/forwarding", "forwarding", True),
        ("ipv4/conf/lo/forwarding", "forwarding", False),
        ("ipv6/conf/lo/forwarding", "forwarding", False),
        ("ipv4/conf/lo/rp_filter", "rp_filter", False),
        ("ipv4/conf/lo/proxy_arp", "proxy_neighbours", False),
        ("ipv6/conf/lo/proxy_ndp", "proxy_neighbours", False),
    ],
)
def test_a_setting_is_reported_when_it_changes(
    namespace: int, rtnetlink: NetlinkSocket, run: Callable[..., str], name: str, setting: str, all: bool
) -> None:
    loopback = get_link(rtnetlink, "lo")
    assert loopback is not None
    index = ALL if all else loopback.index
    with inside(namespace), NetlinkSocket(NETLINK_ROUTE, GROUPS) as events:
        for value in (1, 0):
            run("sh", "-c", f"echo {value} > /proc/sys/net/{name}")
            heard: list[SettingEvent | None] = []
            while SettingEvent(index, setting, value) not in heard:
                heard += [interpret(message) for message in events.receive()]


@pytest.mark.kernel
def test_what_a_new_interface_begins_with_is_no_change(namespace: int, run: Callable[..., str]) -> None:
    with inside(namespace), NetlinkSocket(NETLINK_ROUTE, GROUPS) as events:
        run("ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
        run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/one/proxy_ndp")
        heard: list[SettingEvent | None] = []
        while not any(heard):
            heard += [interpret(message) for message in events.receive()]
    assert heard[-1] is not None
    assert (heard[-1].setting, heard[-1].value) == ("proxy_neighbours", 1)
    assert len(heard) > 1
