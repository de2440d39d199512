"""Tracked connections: counted, listed, and forgotten by any address at either end, before or after translation."""

from __future__ import annotations

import socket as sockets
import time
from collections.abc import Callable

import pytest

from tortie.base.addresses import Cidr
from tortie.netlink import addresses, conntrack, links
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NetlinkSocket

pytestmark = pytest.mark.kernel

RULES = """
table inet tracking {
  chain output { type filter hook output priority 0; ct state new accept; }
  chain translate {
    type nat hook output priority -100;
    ip daddr 10.0.9.9 dnat ip to 10.0.0.2
    ip6 daddr fd09::9 dnat ip6 to fd00::2
  }
}
"""
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "fd00::3"]
FLOWS = {
    (source, destination)
    for prefix, virtual in (("10.0.0.", "10.0.9.9"), ("fd00::", "fd09::9"))
    for source, destination in ((f"{prefix}1", f"{prefix}2"), (f"{prefix}2", f"{prefix}3"), (f"{prefix}3", virtual))
}


@pytest.fixture
def tracked(
    namespace: int, rtnetlink: NetlinkSocket, nfnetlink: NetlinkSocket, run: Callable[..., str]
) -> NetlinkSocket:
    """A namespace that tracks one connection for each of FLOWS."""
    own = [Cidr.host(text) for text in ADDRESSES]
    execute(rtnetlink, links.change("lo", up=True))
    execute(rtnetlink, *[addresses.add(addresses.Address(1, one, one.bits)) for one in own])
    run("ip", "route", "add", "10.0.9.9", "dev", "lo")
    run("ip", "route", "add", "fd09::9", "dev", "lo")
    run("nft", "-f", "-", input=RULES)
    deadline = time.monotonic() + 10
    # In a namespace made a moment ago the first IPv6 packets may go nowhere while the machine is busy.
    while missing := FLOWS - flows(nfnetlink):
        assert time.monotonic() < deadline, f"not tracked: {missing}"
        with inside(namespace):
            for source, destination in missing:
                send(source, destination)
    return nfnetlink


def send(source: str, destination: str) -> None:
    family = sockets.AF_INET6 if ":" in source else sockets.AF_INET
    with sockets.socket(family, sockets.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.sendto(b"x", (destination, 9))


def flows(socket: NetlinkSocket) -> set[tuple[str, str]]:
    return {(one.original.source.text, one.original.destination.text) for one in conntrack.list_connections(socket)}


def test_connections_are_counted_and_listed(tracked: NetlinkSocket) -> None:
    assert flows(tracked) == FLOWS
    assert conntrack.count(tracked) == len(FLOWS)
    only4 = conntrack.list_connections(tracked, 4)
    assert {one.original.source.family for one in only4} == {4} and len(only4) == 3
    translated = [one for one in only4 if one.original.destination == Cidr.host("10.0.9.9")]
    assert [(one.reply.source.text, one.original.protocol, one.original.destination_port) for one in translated] == [
        ("10.0.0.2", sockets.IPPROTO_UDP, 9)
    ]


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["10.0.9.9"], ["10.0.0.2"], ["fd00::1"], ["fd09::9"], ["fd00::2"], ["10.0.0.1", "fd00::1"]],
)
@pytest.mark.parametrize("padding", [0, conntrack.ONE_BY_ONE])
def test_exactly_the_connections_of_an_address_are_forgotten(
    tracked: NetlinkSocket, addresses: list[str], padding: int
) -> None:
    """With padding, so many addresses that they are looked up in a listing."""
    translations = {"10.0.9.9": "10.0.0.2", "fd09::9": "fd00::2"}
    others = [Cidr.host(f"192.0.2.{number}") for number in range(padding)]
    conntrack.forget(tracked, [*(Cidr.host(text) for text in addresses), *others])
    gone = {
        (source, destination)
        for source, destination in FLOWS
        if {source, destination, translations.get(destination)} & set(addresses)
    }
    assert flows(tracked) == FLOWS - gone


def test_a_kernel_that_cannot_filter_is_helped_by_a_listing(
    tracked: NetlinkSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conntrack, "_forget_in_kernel", lambda *_: False)
    conntrack.forget(tracked, [Cidr.host("10.0.0.1")])
    assert flows(tracked) == FLOWS - {("10.0.0.1", "10.0.0.2")}


def test_forgetting_an_unknown_address_or_none_changes_nothing(tracked: NetlinkSocket) -> None:
    conntrack.forget(tracked, [])
    conntrack.forget(tracked, [Cidr.host("192.0.2.1"), Cidr.host("2001:db8::1")])
    assert flows(tracked) == FLOWS
