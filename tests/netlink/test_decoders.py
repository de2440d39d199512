"""Every decoder, on arbitrary bytes: an object, None, or TruncatedMessage; never another error."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.errors import KernelError
from tortie.netlink import (
    addresses,
    classifiers,
    conntrack,
    links,
    monitor,
    neighbours,
    route,
    rules,
    traffic,
    vxlan,
    wire,
    wireguard,
)
from tortie.netlink.socket import raise_on_error

DECODERS: dict[str, Callable[[wire.Message], object]] = {
    "link": links.decode_link,
    "queue": traffic.decode_queue,
    "redirect": traffic.decode_redirect,
    "address": addresses.decode_address,
    "route": route.decode_route,
    "neighbour": neighbours.decode_neighbour,
    "tunnel": vxlan.decode_vxlan,
    "forwarding": vxlan.decode_forwarding,
    "connection": conntrack.decode_connection,
    "program": classifiers.decode_program,
    "rule": rules.decode_rule,
    "encryption": lambda message: wireguard.decode([message]),
    "event": lambda message: monitor.interpret(message, monitor.LinkTable(), monitor.AddressTable()),
}
HEADERS = [
    struct.pack("=BxHiII", 0, 1, 7, 0x41, 0) + wire.nested(18, wire.text(1, "vxlan"), wire.nested(2, wire.u32(1, 9))),
    struct.pack("=BxHiHBB", 7, 0, 7, 0x80, 2, 0),
    struct.pack("=BxHiII", 0, 1, 7, 0x41, 0),
    struct.pack("=BBBBI", 2, 24, 0, 0, 7),
    struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 80, 253, 1, 0),
    struct.pack("=BBBBBBBBI", 10, 128, 0, 0, 254, 80, 0, 1, 0),
    struct.pack("=BxHiHBB", 10, 0, 7, 0x80, 8, 0),
    struct.pack("=BBH", 2, 0, 0),
    struct.pack("=BBH", 0, 1, 0)
    + wire.nested(8, wire.nested(0, wire.attribute(1, bytes(32)), wire.nested(9, b"\4\0\0\0"))),
    struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 80, 0, 0, 1, 2),
    struct.pack("=B3xiIII", 0, 7, 0x800000, 0xFFFFFFFF, 0) + wire.text(1, "tbf"),
    struct.pack("=B3xiIII", 0, 7, 0, 0xFFFF0000, 0) + wire.text(1, "u32"),
]
attribute_bytes = st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=40)), max_size=8).map(
    lambda pairs: b"".join(wire.attribute(kind, data) for kind, data in pairs)
)
payloads = st.one_of(
    st.binary(max_size=120),
    st.tuples(st.sampled_from(HEADERS), attribute_bytes).map(b"".join),
    st.tuples(st.sampled_from(HEADERS), st.binary(max_size=60)).map(b"".join),
)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=settings.default.max_examples * 3)
@given(payload=payloads, kind=st.sampled_from([16, 17, 24, 25]))
def test_arbitrary_bytes_are_decoded_or_truncated(name: str, payload: bytes, kind: int) -> None:
    with contextlib.suppress(wire.TruncatedMessage):
        DECODERS[name](wire.Message(kind, 0, 1, payload))


@given(payload=st.binary(max_size=60), flags=st.integers(0, 0xFFFF))
def test_arbitrary_errors_are_raised_or_truncated(payload: bytes, flags: int) -> None:
    with contextlib.suppress(wire.TruncatedMessage, KernelError):
        raise_on_error(wire.Message(wire.NLMSG_ERROR, flags, 1, payload), "test")
