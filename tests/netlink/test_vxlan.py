"""VXLAN devices and their forwarding entries, against what `ip` and `bridge` show."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.netlink import addresses, links, vxlan
from tortie.netlink.batch import execute
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.vxlan import Forwarding, Vxlan

pytestmark = pytest.mark.kernel
Ip = Callable[..., list[dict[str, Any]]]

LOCAL = {4: Cidr.host("192.0.2.1"), 6: Cidr.host("fd00:9::1")}
REMOTE = {4: Cidr.host("192.0.2.2"), 6: Cidr.host("fd00:9::2")}
MAC = "66:00:00:00:00:02"


@pytest.fixture
def make(rtnetlink: NetlinkSocket, veth: int) -> Callable[[int], tuple[links.Link, Vxlan]]:
    """A device of one family over cali1."""

    def make(family: int) -> tuple[links.Link, Vxlan]:
        execute(rtnetlink, addresses.add(addresses.Address(veth, LOCAL[family], LOCAL[family].bits)))
        link = links.NewLink(f"vx{family}", mac="66:00:00:00:00:01", mtu=1400)
        execute(rtnetlink, vxlan.create(link, Vxlan(4096, veth, LOCAL[family], 4789)))
        return next(found for found in vxlan.list_vxlans(rtnetlink) if found[0].name == f"vx{family}")

    return make


@pytest.mark.parametrize("family", [4, 6])
def test_a_device_is_what_was_asked(
    make: Callable[[int], tuple[links.Link, Vxlan]], veth: int, ip: Ip, family: int
) -> None:
    link, found = make(family)
    assert found == Vxlan(4096, veth, LOCAL[family], 4789, learning=False)
    assert (link.mac, link.mtu, link.kind) == ("66:00:00:00:00:01", 1400, "vxlan")
    (shown,) = ip("link", "show", f"vx{family}")
    data = shown["linkinfo"]["info_data"]
    assert (data["id"], data["port"], data["link"]) == (4096, 4789, "cali1")
    assert data["local" if family == 4 else "local6"] == LOCAL[family].text


def test_both_families_share_a_network_and_a_port(make: Callable[[int], tuple[links.Link, Vxlan]]) -> None:
    assert {make(family)[0].name for family in (4, 6)} == {"vx4", "vx6"}
    with pytest.raises(KernelError) as refused:
        make(4)
    assert refused.value.errno == errno.EEXIST


@pytest.mark.parametrize("family", [4, 6])
def test_frames_go_where_entries_say(
    make: Callable[[int], tuple[links.Link, Vxlan]],
    rtnetlink: NetlinkSocket,
    run: Callable[..., str],
    family: int,
) -> None:
    index = make(family)[0].index
    entry = Forwarding(index, MAC, REMOTE[family])
    execute(rtnetlink, vxlan.forward(Forwarding(index, MAC, LOCAL[family])), vxlan.forward(entry))
    assert vxlan.list_forwarding(rtnetlink, index) == [entry]
    (shown,) = json.loads(run("bridge", "-j", "fdb", "show", "dev", f"vx{family}"))
    assert (shown["mac"], shown["dst"], shown["state"]) == (MAC, REMOTE[family].text, "permanent")
    execute(rtnetlink, vxlan.forget(entry))
    assert vxlan.list_forwarding(rtnetlink, index) == []
    with pytest.raises(KernelError) as refused:
        execute(rtnetlink, vxlan.forget(entry))
    assert refused.value.errno == errno.ENOENT
