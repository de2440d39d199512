"""Requests and answers of the kernel's WireGuard; no kernel of these tests has it, so that one is read as the other."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import BITS, Cidr
from tortie.netlink import wire
from tortie.netlink.wireguard import Change, Endpoint, Peer, Wireguard, decode, pack

KEY, OTHER = bytes(range(32)), bytes(reversed(range(32)))
OWN = Cidr.parse("192.0.2.1/32")


def answer(*attributes: bytes) -> wire.Message:
    return wire.Message(30, 0, 1, struct.pack("=BBH", 0, 1, 0) + b"".join(attributes))


def test_a_request_is_as_the_kernels_header_says() -> None:
    """Numbers and structures of linux/wireguard.h, written out."""
    peer = Peer(KEY, Endpoint(OWN, 51820), 25, frozenset({Cidr.parse("10.65.0.0/26")}))
    own, one, gone = pack(Change(private=OTHER, port=51820, mark=0x40000, peers=(peer,), removed=(OTHER,)))
    assert own == struct.pack("=HH", 36, 3) + OTHER + struct.pack("=HHHxx", 6, 6, 51820) + struct.pack(
        "=HHI", 8, 7, 1 << 18
    )
    allowed = struct.pack("=HHHxx", 6, 1, 2) + struct.pack("=HH", 8, 2) + bytes((10, 65, 0, 0))
    allowed += struct.pack("=HHBxxx", 5, 3, 26)
    inside = struct.pack("=HH", 36, 1) + KEY + struct.pack("=HHI", 8, 3, 2) + struct.pack("=HHHxx", 6, 5, 25)
    inside += struct.pack("=HHH", 20, 4, 2) + struct.pack(">H", 51820) + bytes((192, 0, 2, 1)) + bytes(8)
    inside += struct.pack("=HHHH", 8 + len(allowed), 9 | 0x8000, 4 + len(allowed), 0x8000) + allowed
    assert one == struct.pack("=HHHH", 8 + len(inside), 8 | 0x8000, 4 + len(inside), 0x8000) + inside
    removal = struct.pack("=HH", 36, 1) + OTHER + struct.pack("=HHI", 8, 3, 1)
    assert gone == struct.pack("=HHHH", 8 + len(removal), 8 | 0x8000, 4 + len(removal), 0x8000) + removal


def cidrs(family: int) -> st.SearchStrategy[Cidr]:
    bits = BITS[family]
    return st.integers(0, bits).flatmap(
        lambda length: st.integers(0, (1 << length) - 1).map(
            lambda value: Cidr(family, value << (bits - length), length)
        )
    )


hosts = st.sampled_from([4, 6]).flatmap(
    lambda family: st.integers(0, (1 << BITS[family]) - 1).map(lambda value: Cidr(family, value, BITS[family]))
)
peers = st.builds(
    Peer,
    key=st.binary(min_size=32, max_size=32),
    endpoint=st.none() | st.builds(Endpoint, hosts, st.integers(0, 65535)),
    keepalive=st.integers(0, 65535),
    allowed=st.frozensets(cidrs(4) | cidrs(6), max_size=5),
)


@given(st.lists(peers, max_size=4, unique_by=lambda one: one.key), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_what_is_asked_for_is_what_is_read(found: list[Peer], port: int, mark: int) -> None:
    parts = pack(Change(port=port, mark=mark, peers=tuple(found)))
    assert decode([answer(part) for part in parts]) == Wireguard(b"", port, mark, tuple(found))


def test_many_prefixes_of_a_peer_go_in_several_requests_and_come_in_several_answers() -> None:
    peer = Peer(KEY, None, 0, frozenset(Cidr(4, 10 << 24 | n, 32) for n in range(1300)))
    parts = list(pack(Change(peers=(peer,))))
    assert len(parts) == 3
    assert all(len(part) < 65535 for part in parts)
    assert decode([answer(part) for part in parts]).peers == (peer,)


def test_a_device_tells_its_public_key() -> None:
    assert decode([answer(wire.attribute(4, KEY), wire.attribute(3, OTHER))]).key == KEY
