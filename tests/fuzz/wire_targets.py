"""Readers of what other programs say: etcd, container runtimes, BIRD, the kernel."""

from __future__ import annotations

import struct
from collections.abc import Callable

from target import Target, suppressing

from tortie.base.errors import KernelError, Unavailable
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.bgp.status import parse_protocols
from tortie.cni import request as cni
from tortie.cni.errors import CniError
from tortie.datastore.etcd import messages
from tortie.netlink import (
    addresses,
    conntrack,
    links,
    monitor,
    neighbours,
    netconf,
    nftables_dump,
    nftables_trace,
    route,
    traffic,
    wire,
)
from tortie.netlink.socket import raise_on_error

VERSIONED = messages.message(1, messages.integer(3, 7))
PAIR = (
    messages.text(1, b"/calico/a") + messages.integer(2, 3) + messages.integer(3, 5) + messages.text(5, b"value" * 30)
)


def etcd_answers() -> list[bytes]:
    listing = VERSIONED + messages.message(2, PAIR) * 3 + messages.integer(3, 1) + messages.integer(4, 3)
    event = messages.integer(1, 1) + messages.message(2, PAIR) + messages.message(3, PAIR)
    watch = VERSIONED + messages.integer(2, 1) + messages.integer(3, 1) + messages.message(11, event) * 2
    cancelled = VERSIONED + messages.integer(4, 1) + messages.integer(5, 9) + messages.text(6, b"compacted")
    operation = messages.message(1, messages.message(2, PAIR)) + messages.message(3, messages.integer(2, 1))
    transaction = VERSIONED + messages.integer(2, 1) + messages.message(3, operation)
    return [listing, watch, cancelled, transaction, VERSIONED, messages.text(2, b"token")]


def read_answer(data: bytes) -> None:
    for read in (lambda: messages.key_values(messages.range_page(data)), lambda: messages.txn_reply(data)):
        suppressing(Unavailable, read)
    for decode in (messages.watch_reply, messages.reply_revision, messages.token):
        suppressing(Unavailable, lambda decode=decode: decode(data))  # type: ignore[misc] # bound at once


CNI = (
    b"CNI_COMMAND=ADD\0CNI_CONTAINERID=3fa9c1\0CNI_NETNS=/var/run/netns/x\0CNI_IFNAME=eth0\0"
    b"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0\0\0"
    b'{"cniVersion":"1.0.0","name":"k8s-pod-network","type":"tortie-cni","mtu":1440,"ipam":{"type":"calico-ipam",'
    b'"assign_ipv4":"true","assign_ipv6":false,"ipv4_pools":["10.65.0.0/16","pool-a"]},'
    b'"args":{"cni":{"labels":[{"key":"a","value":"b"}],"ips":["10.65.1.4"]}},'
    b'"runtimeConfig":{"ips":["10.65.1.5/26"]}}'
)


def read_cni(data: bytes) -> None:
    request = cni.parse(data)
    assert request.workload is not None
    assert request.handle
    assert isinstance(request.labels, dict)
    request.wants(4)
    request.wants(6)
    assert all(address.is_host for address in request.requested_addresses)


BIRD = b"""0001 BIRD 2.0.12 ready.
2002-Name       Proto      Table      State  Since         Info
1002-mesh_n2    BGP        ---        up     2026-11-22 22:30:34  Established
1006-  BGP state:          Established
     Neighbor address: 172.31.0.2
     Neighbor AS:      64512
     Routes:         3 imported, 1 exported, 0 preferred
1002-kernel1    Kernel     master4    up     22:30:34.123
0000 done
"""
REFUSAL = b"8001 Reply too long\n"


class Hearing:
    """A socket that has said everything."""

    def recv(self, _: int) -> bytes:
        return b""


def read_bird(data: bytes) -> None:
    control = BirdControl.__new__(BirdControl)
    control._buffer, control._socket = data, Hearing()  # type: ignore[assignment] # stands in for a socket
    try:
        while True:
            parse_protocols(control._reply("show"))
    except ConnectionResetError:
        return


def netlink_messages() -> list[bytes]:
    attribute = wire.attribute
    nested = attribute(2, attribute(1, b"\0\0\0\1") + attribute(2, b"chain\0"))
    return [
        struct.pack("=BxHiII", 0, 1, 7, 0x41, 0) + attribute(3, b"cali0\0") + attribute(4, struct.pack("=I", 1500)),
        struct.pack("=BBBBI", 2, 24, 0, 0, 7) + attribute(1, b"\x0a\0\0\1") + attribute(2, b"\x0a\0\0\1"),
        struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 80, 253, 1, 0)
        + attribute(1, b"\x0a\0\0\1")
        + attribute(4, b"\7\0\0\0"),
        struct.pack("=BBBBBBBBI", 10, 128, 0, 0, 254, 80, 0, 1, 0) + attribute(1, bytes(16)) + attribute(9, bytes(16)),
        struct.pack("=BxHiHBB", 10, 0, 7, 0x80, 8, 0) + attribute(1, bytes(16)) + attribute(2, bytes(6)),
        struct.pack("=BBH", 2, 0, 0) + attribute(1, attribute(1, attribute(1, bytes(4)) + attribute(2, bytes(4)))),
        struct.pack("=BBH", 1, 0, 0) + attribute(1, b"tortie\0") + attribute(3, b"forward\0") + attribute(4, nested),
        struct.pack("=BBH", 1, 0, 0)
        + attribute(2, b"set\0")
        + attribute(3, attribute(1, attribute(1, attribute(1, bytes(4))))),
        struct.pack("=BBH", 1, 0, 0)
        + attribute(4, attribute(1, attribute(1, b"counter\0") + nested))
        + attribute(7, b"\0\4abcd"),
        struct.pack("=BBH", 1, 0, 0)
        + attribute(1, b"tortie\0")
        + attribute(2, b"sender-policy\0")
        + attribute(3, bytes(8))
        + attribute(4, b"\0\0\0\3")
        + attribute(5, attribute(1, b"\0\0\0\1"))
        + attribute(6, bytes(4))
        + attribute(8, bytes(20))
        + attribute(15, b"\0\0\0\2"),
        struct.pack("=i", -2) + struct.pack("=IHHII", 20, 24, 5, 1, 0) + bytes(4),
    ]


PARSERS: tuple[Callable[[wire.Message], object], ...] = (
    links.decode_link,
    traffic.decode_queue,
    traffic.decode_redirect,
    addresses.decode_address,
    route.decode_route,
    neighbours.decode_neighbour,
    conntrack.decode_connection,
    netconf.interpret,
    lambda message: monitor.interpret(message, monitor.LinkTable(), monitor.AddressTable()),
    nftables_dump.parse_chain,
    nftables_dump.parse_set,
    lambda message: list(nftables_dump.parse_elements([message])),
    lambda message: nftables_dump.parse_keys([message], 4),
    lambda message: nftables_dump.jump_targets(nftables_dump.parse_rule(message).expressions),
    lambda message: nftables_dump.counters(nftables_dump.parse_rule(message).expressions),
    lambda message: list(wire.messages(message.payload)),
    lambda message: nftables_trace.parse_trace(wire.Message(nftables_trace.TRACE, 0, 1, message.payload)),
)


def read_netlink(data: bytes) -> None:
    for kind in (16, 17, 24, 25):
        message = wire.Message(kind, 0, 1, data)
        for read in PARSERS if kind == 16 else PARSERS[:7]:
            suppressing(wire.TruncatedMessage, lambda read=read, message=message: read(message))  # type: ignore[misc]
    suppressing(KernelError, lambda: raise_on_error(wire.Message(wire.NLMSG_ERROR, len(data), 1, data), "test"))


TARGETS = {
    "etcd": Target(etcd_answers, read_answer, ()),
    "cni": Target(lambda: [CNI, CNI.partition(b"\0\0")[2]], read_cni, (CniError,)),
    "bird": Target(lambda: [BIRD, BIRD + REFUSAL], read_bird, (BirdRefused,)),
    "netlink": Target(netlink_messages, read_netlink, (wire.TruncatedMessage,)),
}
