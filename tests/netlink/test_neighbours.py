"""Permanent and proxied neighbour entries."""

from __future__ import annotations

import errno

import pytest

from tortie.base.addresses import Cidr
from tortie.netlink import neighbours
from tortie.netlink.batch import execute, send_batch
from tortie.netlink.neighbours import Neighbour
from tortie.netlink.socket import NetlinkSocket

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("address", ["10.65.0.1", "fd65::1"])
def test_a_permanent_entry_is_made_changed_and_deleted(rtnetlink: NetlinkSocket, veth: int, address: str) -> None:
    first = Neighbour(veth, Cidr.host(address), "02:00:00:00:00:01")
    second = Neighbour(veth, Cidr.host(address), "02:00:00:00:00:02")
    execute(rtnetlink, neighbours.replace(first), neighbours.replace(second))
    found = neighbours.list_neighbours(rtnetlink)
    assert second in found and first not in found
    execute(rtnetlink, neighbours.delete(second))
    assert second not in neighbours.list_neighbours(rtnetlink)
    error = send_batch(rtnetlink, [neighbours.delete(second)])[0]
    assert error is None or error.errno == errno.ENOENT


@pytest.mark.parametrize("address", ["169.254.1.1", "fd00::1"])
def test_a_proxied_address_is_listed_apart(rtnetlink: NetlinkSocket, veth: int, address: str) -> None:
    proxied = Neighbour(veth, Cidr.host(address), proxy=True)
    execute(rtnetlink, neighbours.replace(proxied))
    assert neighbours.list_neighbours(rtnetlink, proxy=True) == [proxied]
    assert proxied not in neighbours.list_neighbours(rtnetlink)
    execute(rtnetlink, neighbours.delete(proxied))
    assert neighbours.list_neighbours(rtnetlink, proxy=True) == []
