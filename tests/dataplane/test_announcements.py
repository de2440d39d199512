"""Guests that announce themselves, heard on their host's end of the cable."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest

from tortie.base.errors import KernelError
from tortie.dataplane.announcements import announcements, hears, listen
from tortie.netlink import links
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel

MAC, STRANGER = "02:00:00:00:00:07", "02:00:00:00:00:08"
FRAMES = announcements(MAC, ["10.65.0.1", "fd65::1"])


class Cable(msgspec.Struct):
    """What listens on cali1, and what the guest at the other end, and its host, send by."""

    ear: socket.socket
    guest: socket.socket
    host: socket.socket


@pytest.fixture
def cable(namespace: int) -> Iterator[Cable]:
    with inside(namespace), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
        execute(rtnetlink, links.create_veth(links.NewLink("cali1"), links.NewLink("eth0")))
        execute(rtnetlink, links.change("cali1", up=True), links.change("eth0", up=True))
        with listen("cali1") as ear, sender("eth0") as guest, sender("cali1") as host:
            yield Cable(ear, guest, host)


def sender(interface: str) -> socket.socket:
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    one.bind((interface, 0))
    return one


@pytest.mark.parametrize("frame", FRAMES, ids=["rarp", "arp", "advertisement"])
def test_each_way_of_announcing_is_heard_from_this_guest_alone(frame: bytes, cable: Cable) -> None:
    ear, guest = cable.ear, cable.guest
    guest.send(frame)
    assert not hears(ear, STRANGER)
    guest.send(frame)
    assert hears(ear, MAC)
    guest.send(frame)
    assert hears(ear, "")
    assert not hears(ear, "")


def test_nothing_else_is_heard_and_nothing_that_the_host_sends(cable: Cable) -> None:
    advertisement = FRAMES[2]
    udp = advertisement[:20] + b"\x11" + advertisement[21:]
    solicitation = advertisement[:54] + b"\x87" + advertisement[55:]
    solicited = advertisement[:58] + b"\x60" + advertisement[59:]
    arp = FRAMES[1]
    question, probe = arp[:38] + bytes([169, 254, 1, 1]), arp[:28] + bytes(4) + arp[32:]
    for frame in (udp, solicitation, solicited, arp[:12] + b"\x08\x00" + arp[14:], question, probe, arp[:40]):
        cable.guest.send(frame)
    cable.host.send(FRAMES[1])
    assert not hears(cable.ear, "")


def test_a_guest_that_never_stops_talking_holds_nobody_up(cable: Cable) -> None:
    for _ in range(100):
        cable.guest.send(FRAMES[0])
    assert not hears(cable.ear, STRANGER)
    assert hears(cable.ear, MAC)


def test_an_interface_that_is_not_there_is_no_bug(namespace: int) -> None:
    with inside(namespace), pytest.raises(KernelError, match="cali9"):
        listen("cali9")
