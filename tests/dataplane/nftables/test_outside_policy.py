"""What policy is not asked about: connections that were allowed before, packets of none, and neighbour discovery."""

from __future__ import annotations

import importlib.util
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tortie.desired.failsafes import WORKLOAD_DISCOVERY
from tortie.desired.policy import Action, Rule
from tortie.netlink.namespace import inside

pytestmark = pytest.mark.kernel
RESET, SYNCHRONISE = 4, 2
PORT = 8080
WAIT = 0.3
GATEWAY, WORKLOAD = "fe80::1", "fe80::a"
TYPES = (128, *range(130, 138), 143)
"""Echo request, and everything that is said on a link; 134 is a router's, 137 redirects, 143 reports too."""
ALLOW, DENY = Rule(Action.ALLOW, 0), Rule(Action.DENY, 0)


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRAFFIC = _load("test_traffic")
A, B = TRAFFIC.A, TRAFFIC.B


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    made = TRAFFIC.Lab()
    yield made
    made.close()


def _udp(namespace: int, address: str, port: int) -> socket.socket:
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.settimeout(WAIT)
    return made


def _arrives(sender: socket.socket, receiver: socket.socket, port: int, address: str) -> bool:
    sender.sendto(b"x", (address, port))
    try:
        return receiver.recv(10) == b"x"
    except TimeoutError:
        return False


def test_a_flow_that_was_answered_goes_on_when_policy_denies_it_and_no_new_one_begins(lab: Any) -> None:
    lab.bring(TRAFFIC.desired(ALLOW))
    old, late = _udp(lab.workloads[A], A, 41000), _udp(lab.workloads[A], A, 41001)
    server = _udp(lab.workloads[B], B, PORT)
    with old, late, server:
        assert _arrives(old, server, PORT, B)
        assert _arrives(server, old, 41000, A)
        lab.bring(TRAFFIC.desired(DENY, egress=(DENY,)))
        assert _arrives(old, server, PORT, B)
        assert _arrives(server, old, 41000, A)
        assert not _arrives(late, server, PORT, B)


def _segment(flags: int) -> bytes:
    """A TCP header from A to B with a right checksum (RFC 9293)."""
    header = struct.pack("!HHIIBBHHH", 42000 + flags, PORT, 1, 0, 5 << 4, flags, 1024, 0, 0)
    pseudo = socket.inet_aton(A) + socket.inet_aton(B) + struct.pack("!HH", 6, len(header))
    total = sum(struct.unpack(f"!{len(pseudo + header) // 2}H", pseudo + header))
    total = (total & 0xFFFF) + (total >> 16)
    return header[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[18:]


@pytest.mark.parametrize(("flags", "arrives"), [(SYNCHRONISE, True), (RESET, False)])
def test_a_packet_of_no_connection_is_dropped_though_policy_allows_everything(
    lab: Any, flags: int, arrives: bool
) -> None:
    lab.bring(TRAFFIC.desired(ALLOW))
    sockets = []
    for address in (A, B):
        with inside(lab.workloads[address]):
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    sender, receiver = sockets
    with sender, receiver:
        receiver.settimeout(WAIT)
        sender.sendto(_segment(flags), (B, 0))
        try:
            found = receiver.recv(100)[20:] == _segment(flags)
        except TimeoutError:
            found = False
    assert found is arrives


@pytest.fixture(scope="module")
def link(lab: Any) -> None:
    """Addresses of the link that are ready at once."""
    for namespace, address, device in ((lab.host, GATEWAY, "cali1"), (lab.workloads[A], WORKLOAD, "eth0")):
        with inside(namespace):
            TRAFFIC.ip("addr", "add", f"{address}/64", "dev", device, "nodad")


def test_a_workload_finds_its_neighbours_whatever_policy_says_and_nothing_more(lab: Any, link: None) -> None:
    lab.bring(TRAFFIC.desired(DENY, egress=(DENY,)))
    assert _types_that_arrive(lab) == set(WORKLOAD_DISCOVERY)


def _types_that_arrive(lab: Any) -> set[int]:
    """Of echo requests and all of discovery: the hop limit is that which receivers ask for (RFC 4861)."""
    with inside(lab.host):
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with inside(lab.workloads[A]):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        scope = socket.if_nametoindex("eth0")
    arrived = set()
    with receiver, sender:
        receiver.settimeout(WAIT)
        sender.bind((WORKLOAD, 0, 0, scope))
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
        for type in TYPES:
            sender.sendto(struct.pack("!BBHI16s", type, 0, 0, 0xFEED, bytes(16)), (GATEWAY, 0, 0, scope))
        try:
            while True:
                message = receiver.recv(100)
                if message[4:8] == struct.pack("!I", 0xFEED):
                    arrived.add(message[0])
        except TimeoutError:
            return arrived


def test_without_tables_of_ours_all_of_it_arrives(lab: Any, link: None) -> None:
    """What the tests above send is not lost for other reasons."""
    with inside(lab.host):
        subprocess.run(["nft", "flush", "ruleset"], check=True)
    lab.target = type(lab.target)()
    assert _types_that_arrive(lab) == set(TYPES)
