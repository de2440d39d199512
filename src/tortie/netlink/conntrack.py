"""Tracked connections: count, list, delete or loosen those of an address (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection, Iterable, Iterator

import msgspec

from tortie.base.addresses import Cidr
from tortie.netlink.addresses import FAMILIES
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    Message,
    as_address,
    attribute,
    attributes,
    nested,
    u32,
    unpack,
)

_CHANGE = 0x100
_GET = 0x101
_DELETE = 0x102
_GET_STATISTICS = 0x105

_CTA_TUPLE = {"original": 1, "reply": 2}
_CTA_PROTOINFO = 4
_CTA_PROTOINFO_TCP = 1
_CTA_PROTOINFO_TCP_FLAGS = (4, 5)
_CTA_ZONE = 18
_CTA_FILTER = 25
_CTA_FILTER_FLAGS = {"original": 1, "reply": 2}
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP = {(4, "source"): 1, (4, "destination"): 2, (6, "source"): 3, (6, "destination"): 4}
_CTA_PROTO_NUMBER = 1
_CTA_PROTO_SOURCE_PORT = 2
_CTA_PROTO_DESTINATION_PORT = 3
_CTA_PROTO_ICMP = {1: (5, 6), 58: (8, 9)}
"""Attributes of type and code, by protocol."""
_CTA_STATISTICS_ENTRIES = 1
_FILTER_FLAG = {"source": 1 << 0, "destination": 1 << 1}
_NFGENMSG = struct.Struct("=BBH")
_U16 = struct.Struct("=H")
_U8 = struct.Struct("=B")
_TCP = 6
_BE_LIBERAL = 0x08
"""IP_CT_TCP_FLAG_BE_LIBERAL (linux/netfilter/nf_conntrack_tcp.h)."""
_BE16 = struct.Struct(">H")
_BE32 = struct.Struct(">I")

ONE_BY_ONE = 4
"""Up to so many IPv4 addresses the kernel is asked to find their connections; for more, all are listed once."""


class Tuple(msgspec.Struct, frozen=True, order=True, gc=False):
    """One direction of a connection; ports are 0 where the protocol has none.

    Args:
        icmp: type and code, of ICMP only.
    """

    source: Cidr
    destination: Cidr
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    icmp: tuple[int, int] | None = None


class Connection(msgspec.Struct, frozen=True, gc=False):
    """A tracked connection.

    Args:
        original: as its first packet was sent.
        reply: as answers come; differs from the reverse of `original` where addresses are translated.
        key: the kernel's own name of it, for deleting.
    """

    original: Tuple
    reply: Tuple
    key: bytes

    def concerns(self, addresses: Collection[Cidr]) -> bool:
        """Whether one of the addresses is an end of it, before or after translation."""
        ends = (self.original.source, self.original.destination, self.reply.source, self.reply.destination)
        return any(end in addresses for end in ends)


def count(socket: NetlinkSocket) -> int:
    """How many connections the namespace tracks. Raises KernelError."""
    answers = socket.request(_GET_STATISTICS, 0, _NFGENMSG.pack(0, 0, 0), "count connections")
    found = attributes(answers[0].payload, _NFGENMSG.size)
    entries: int = unpack(_BE32, found.get(_CTA_STATISTICS_ENTRIES, b""))[0]
    return entries


def list_connections(socket: NetlinkSocket, family: int = 0) -> list[Connection]:
    """Connections of one family (4 or 6), or of both (0). Raises KernelError."""
    header = _NFGENMSG.pack(FAMILIES.get(family, 0), 0, 0)
    answers = socket.dump(_GET, header, "list connections")
    return [found for one in answers if (found := decode_connection(one)) is not None]


def forget(socket: NetlinkSocket, addresses: Collection[Cidr]) -> None:
    """Delete every connection that has one of the addresses (of full length) at an end. Raises KernelError."""
    # Kernels that can filter by IPv6 address match every address but the one given: never ask them.
    simple = len(addresses) <= ONE_BY_ONE and all(address.family == 4 for address in addresses)
    if not (simple and all(_forget_in_kernel(socket, address) for address in addresses)):
        delete(socket, connections_of(socket, addresses))


def connections_of(socket: NetlinkSocket, addresses: Collection[Cidr]) -> list[Connection]:
    """Every connection that has one of the addresses (of full length) at an end. Raises KernelError."""
    found: list[Connection] = []
    for family in sorted({address.family for address in addresses}):
        found += _listed(socket, family, {address.packed for address in addresses if address.family == family})
    return found


def delete(socket: NetlinkSocket, connections: Iterable[Connection]) -> None:
    """Delete connections; one that has ended is no error. Raises KernelError."""
    doomed = [Request(_DELETE, 0, one.key, "delete connection") for one in connections]
    for error in send_batch(socket, doomed) if doomed else ():
        if error is not None and error.errno != errno.ENOENT:
            raise error


def loosen(socket: NetlinkSocket, addresses: Collection[Cidr]) -> None:
    """Take sequence numbers as they come in TCP connections with one of the addresses at an end. Raises KernelError.

    Where only one direction passed for a while, or none, what passes now is otherwise of no known connection.
    """
    liberal = bytes((_BE_LIBERAL, _BE_LIBERAL))
    flags = (attribute(kind, liberal) for kind in _CTA_PROTOINFO_TCP_FLAGS)
    change = nested(_CTA_PROTOINFO, nested(_CTA_PROTOINFO_TCP, *flags))
    found = [one for one in connections_of(socket, addresses) if one.original.protocol == _TCP]
    requests = [Request(_CHANGE, 0, one.key + change, "loosen connection") for one in found]
    for error in send_batch(socket, requests) if requests else ():
        if error is not None and error.errno != errno.ENOENT:
            raise error


def decode_connection(message: Message) -> Connection | None:
    """Read one answer of a dump or an event; None for families other than IPv4 and IPv6. Raises TruncatedMessage."""
    family, _, _ = unpack(_NFGENMSG, message.payload)
    if family not in FAMILIES.values():
        return None
    found = attributes(message.payload, _NFGENMSG.size)
    original, reply = (found.get(kind, b"") for kind in _CTA_TUPLE.values())
    version = 4 if family == FAMILIES[4] else 6
    zone = attribute(_CTA_ZONE, found[_CTA_ZONE]) if _CTA_ZONE in found else b""
    key = _NFGENMSG.pack(family, 0, 0) + nested(_CTA_TUPLE["original"], original) + zone
    return Connection(_tuple(original, version), _tuple(reply, version), key)


def _tuple(data: bytes, version: int) -> Tuple:
    found = attributes(data)
    addresses = attributes(found.get(_CTA_TUPLE_IP, b""))
    protocol = attributes(found.get(_CTA_TUPLE_PROTO, b""))
    number: int = unpack(_U8, protocol.get(_CTA_PROTO_NUMBER, b""))[0]
    return Tuple(
        as_address(addresses.get(_CTA_IP[version, "source"], b"")),
        as_address(addresses.get(_CTA_IP[version, "destination"], b"")),
        number,
        unpack(_BE16, protocol.get(_CTA_PROTO_SOURCE_PORT, b"\0\0"))[0],
        unpack(_BE16, protocol.get(_CTA_PROTO_DESTINATION_PORT, b"\0\0"))[0],
        _icmp(number, protocol),
    )


def _icmp(number: int, protocol: dict[int, bytes]) -> tuple[int, int] | None:
    if number not in _CTA_PROTO_ICMP:
        return None
    kind, code = (unpack(_U8, protocol.get(one, b"\0"))[0] for one in _CTA_PROTO_ICMP[number])
    return kind, code


def _forget_in_kernel(socket: NetlinkSocket, address: Cidr) -> bool:
    """One filtered flush for each place an address can stand; False where the kernel has none (before 6.8)."""
    requests = [_filtered_flush(address, direction, end) for direction in _CTA_TUPLE for end in _FILTER_FLAG]
    for error in send_batch(socket, requests):
        if error is not None and error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return False
        if error is not None and error.errno != errno.ENOENT:
            raise error
    return True


def _filtered_flush(address: Cidr, direction: str, end: str) -> Request:
    # Kernels that ignore the filter refuse the incomplete tuple: nothing else is ever deleted.
    where = nested(_CTA_TUPLE_IP, attribute(_CTA_IP[address.family, end], address.packed))
    flags = {name: _FILTER_FLAG[end] if name == direction else 0 for name in _CTA_TUPLE}
    payload = _NFGENMSG.pack(FAMILIES[address.family], 0, 0) + nested(_CTA_TUPLE[direction], where)
    payload += nested(_CTA_FILTER, *(u32(kind, flags[name]) for name, kind in _CTA_FILTER_FLAGS.items()))
    return Request(_DELETE, 0, payload, f"delete connections of {address.text}")


def _listed(socket: NetlinkSocket, family: int, wanted: set[bytes]) -> Iterator[Connection]:
    header = _NFGENMSG.pack(FAMILIES[family], 0, 0)
    for one in socket.dump(_GET, header, "list connections"):
        if wanted.isdisjoint(_ends(one.payload, family)) or (found := decode_connection(one)) is None:
            continue
        yield found


def _ends(payload: bytes, family: int) -> tuple[bytes, ...]:
    """The four addresses at the places where the kernel always puts them, five times as fast as parsing attributes.

    Header (4 bytes), then for each direction: the attribute of the tuple, that of its addresses, and source and
    destination, each with 4 bytes of attribute header.
    """
    size = 4 if family == 4 else 16
    source, destination = 12, 16 + size
    original, reply = payload[4:], payload[4 + _padded_length(payload, 4) :]
    return tuple(half[start : start + size] for half in (original, reply) for start in (source, destination))


def _padded_length(payload: bytes, offset: int) -> int:
    length: int = unpack(_U16, payload, offset)[0]
    return (length + 3) & ~3
