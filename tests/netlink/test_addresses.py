"""Addresses of links, against what `ip` shows."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from tortie.base.addresses import Cidr
from tortie.netlink import addresses
from tortie.netlink.addresses import Address
from tortie.netlink.batch import execute, send_batch
from tortie.netlink.socket import NetlinkSocket

pytestmark = pytest.mark.kernel


def test_addresses_of_both_families_are_added_once_and_deleted(
    rtnetlink: NetlinkSocket, veth: int, ip: Callable[..., list[dict[str, Any]]]
) -> None:
    ours = [Address(veth, Cidr.host("10.0.0.5"), 24), Address(veth, Cidr.host("fd00::5"), 64)]
    execute(rtnetlink, *[addresses.add(one) for one in ours * 2])
    shown = {(one["local"], one["prefixlen"]) for one in ip("addr", "show", "cali1")[0]["addr_info"]}
    assert {("10.0.0.5", 24), ("fd00::5", 64)} <= shown
    assert set(ours) <= set(addresses.list_addresses(rtnetlink, veth))
    execute(rtnetlink, *[addresses.delete(one) for one in ours])
    assert not set(ours) & set(addresses.list_addresses(rtnetlink))
    assert [error and error.errno for error in send_batch(rtnetlink, [addresses.delete(ours[0])])] == [
        errno.EADDRNOTAVAIL
    ]


def test_an_ipv6_address_is_usable_at_once(
    rtnetlink: NetlinkSocket, veth: int, ip: Callable[..., list[dict[str, Any]]]
) -> None:
    execute(rtnetlink, addresses.add(Address(veth, Cidr.host("fd00::5"), 128)))
    found = [one for one in ip("addr", "show", "cali1")[0]["addr_info"] if one["local"] == "fd00::5"]
    assert [(one.get("nodad"), one.get("tentative")) for one in found] == [(True, None)]


def test_addresses_of_one_link_are_listed_without_those_of_others(rtnetlink: NetlinkSocket, veth: int) -> None:
    execute(rtnetlink, addresses.add(Address(1, Cidr.host("10.0.0.1"), 32)))
    assert all(one.index == veth for one in addresses.list_addresses(rtnetlink, veth))
    assert Address(1, Cidr.host("10.0.0.1"), 32) in addresses.list_addresses(rtnetlink)
