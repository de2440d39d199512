"""WireGuard devices of the kernel: what they are, and requests that read and change them (linux/wireguard.h)."""

from __future__ import annotations

import socket as sockets
import struct
from collections.abc import Iterator, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.netlink.addresses import FAMILIES
from tortie.netlink.generic import command, family_number
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    NLM_F_ACK,
    Message,
    TruncatedMessage,
    as_u32,
    attribute,
    attribute_list,
    attributes,
    nested,
    text,
    u8,
    u16,
    u32,
    unpack,
)

KIND = "wireguard"
"""Of devices, and the name of the family of generic netlink."""
KEY_LENGTH = 32

_GET, _SET = 0, 1
_NAME, _PRIVATE, _PUBLIC, _PORT, _MARK, _PEERS = 2, 3, 4, 6, 7, 8
_PEER_KEY, _PEER_FLAGS, _ENDPOINT, _KEEPALIVE, _ALLOWED = 1, 3, 4, 5, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3
_REMOVE, _REPLACE_ALLOWED = 1, 2
_AT_ONCE = 500
"""Prefixes of one request: 20,000 bytes, well below the 65,535 of an attribute."""
_HEADER_SIZE = 4
_SOCKADDR = struct.Struct("=H")
_PORT_OF = struct.Struct(">H")
_SHORT = struct.Struct("=H")
_PLACES = {int(sockets.AF_INET): (4, 4), int(sockets.AF_INET6): (8, 16)}
"""Where the address is in a sockaddr, and how long."""


class Endpoint(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where a peer's encrypted packets go to: an address of full length, and a UDP port."""

    address: Cidr
    port: int


class Peer(msgspec.Struct, frozen=True, gc=False):
    """One peer.

    Args:
        key: public, 32 bytes.
        keepalive: seconds between packets that keep a path open; 0 sends none.
        allowed: what may come from it, and goes to it.
    """

    key: bytes
    endpoint: Endpoint | None = None
    keepalive: int = 0
    allowed: frozenset[Cidr] = frozenset()


class Wireguard(msgspec.Struct, frozen=True, gc=False):
    """A device.

    Args:
        key: its public one; empty while it has none.
        mark: of packets that it sends, encrypted.
    """

    key: bytes = b""
    port: int = 0
    mark: int = 0
    peers: tuple[Peer, ...] = ()


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is to be otherwise of a device; what is None stays. Peers that are given are replaced, others stay.

    Args:
        private: key of 32 bytes.
    """

    private: bytes | None = None
    port: int | None = None
    mark: int | None = None
    peers: tuple[Peer, ...] = ()
    removed: tuple[bytes, ...] = ()


def read(socket: NetlinkSocket, name: str) -> Wireguard:
    """A device of this name. Raises KernelError: ENODEV when there is none, EOPNOTSUPP when it is of another kind."""
    family = family_number(socket, KIND)
    payload = command(_GET, text(_NAME, name))
    return decode(socket.dump(family, payload, f"read WireGuard device {name}"))


def change(socket: NetlinkSocket, name: str, wanted: Change) -> None:
    """Carry out a change. Raises KernelError."""
    family = family_number(socket, KIND)
    for attributes_ in pack(wanted):
        payload = command(_SET, text(_NAME, name) + attributes_)
        socket.request(family, NLM_F_ACK, payload, f"configure WireGuard device {name}")


def pack(wanted: Change) -> Iterator[bytes]:
    """Attributes of the requests that carry out a change, in order."""
    own = b"" if wanted.private is None else attribute(_PRIVATE, wanted.private)
    own += b"" if wanted.port is None else u16(_PORT, wanted.port)
    own += b"" if wanted.mark is None else u32(_MARK, wanted.mark)
    if own:
        yield own
    for peer in wanted.peers:
        for part in _pack_peer(peer):
            yield nested(_PEERS, nested(0, part))
    for key in wanted.removed:
        yield nested(_PEERS, nested(0, attribute(_PEER_KEY, key) + u32(_PEER_FLAGS, _REMOVE)))


def decode(answers: Sequence[Message]) -> Wireguard:
    """Read WG_CMD_GET_DEVICE: a peer with many prefixes comes in parts. Raises TruncatedMessage."""
    found: dict[int, bytes] = {}
    peers: dict[bytes, Peer] = {}
    for answer in answers:
        for kind, data in attribute_list(answer.payload, _HEADER_SIZE):
            if kind != _PEERS:
                found[kind] = data
                continue
            for _, one in attribute_list(data):
                peer = _decode_peer(one)
                before = peers.get(peer.key)
                if before is not None:
                    peer = msgspec.structs.replace(before, allowed=before.allowed | peer.allowed)
                peers[peer.key] = peer
    return Wireguard(
        key=found.get(_PUBLIC, b""),
        port=unpack(_SHORT, found[_PORT])[0] if _PORT in found else 0,
        mark=as_u32(found[_MARK]) if _MARK in found else 0,
        peers=tuple(peers.values()),
    )


def _pack_peer(peer: Peer) -> Iterator[bytes]:
    key = attribute(_PEER_KEY, peer.key)
    first = key + u32(_PEER_FLAGS, _REPLACE_ALLOWED) + u16(_KEEPALIVE, peer.keepalive)
    first += attribute(_ENDPOINT, _pack_endpoint(peer.endpoint)) if peer.endpoint else b""
    allowed = sorted(peer.allowed)
    for start in range(0, max(1, len(allowed)), _AT_ONCE):
        prefixes = allowed[start : start + _AT_ONCE]
        yield (key if start else first) + nested(_ALLOWED, *(nested(0, _pack_allowed(one)) for one in prefixes))


def _pack_allowed(one: Cidr) -> bytes:
    family = u16(_ALLOWED_FAMILY, FAMILIES[one.family])
    return family + attribute(_ALLOWED_ADDRESS, one.packed) + u8(_ALLOWED_LENGTH, one.length)


def _pack_endpoint(endpoint: Endpoint) -> bytes:
    family, port = FAMILIES[endpoint.address.family], _PORT_OF.pack(endpoint.port)
    if endpoint.address.family == 4:
        return _SOCKADDR.pack(family) + port + endpoint.address.packed + bytes(8)
    return _SOCKADDR.pack(family) + port + bytes(4) + endpoint.address.packed + bytes(4)


def _decode_peer(data: bytes) -> Peer:
    found = attributes(data)
    allowed = [_decode_allowed(one) for _, one in attribute_list(found.get(_ALLOWED, b""))]
    return Peer(
        key=found.get(_PEER_KEY, b""),
        endpoint=_decode_endpoint(found[_ENDPOINT]) if _ENDPOINT in found else None,
        keepalive=unpack(_SHORT, found[_KEEPALIVE])[0] if _KEEPALIVE in found else 0,
        allowed=frozenset(allowed),
    )


def _decode_allowed(data: bytes) -> Cidr:
    found = attributes(data)
    address, length = found.get(_ALLOWED_ADDRESS, b""), found.get(_ALLOWED_LENGTH, b"\0")[0]
    if len(address) not in (4, 16) or length > len(address) * 8:
        raise TruncatedMessage(f"an allowed prefix of {len(address)} bytes and length {length}")
    return Cidr.from_bytes(address, length)


def _decode_endpoint(data: bytes) -> Endpoint | None:
    """None where the kernel knows of none, which it tells as family 0."""
    place, size = _PLACES.get(unpack(_SOCKADDR, data)[0], (0, 0))
    if not size:
        return None
    packed = data[place : place + size]
    if len(packed) != size:
        raise TruncatedMessage(f"an endpoint of {len(data)} bytes")
    return Endpoint(Cidr.from_bytes(packed, BITS[4 if size == 4 else 6]), unpack(_PORT_OF, data, 2)[0])
