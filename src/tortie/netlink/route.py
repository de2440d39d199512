"""Routes: requests that add, replace and delete them, and dumps of one protocol (RFC 3549, linux/rtnetlink.h)."""

from __future__ import annotations

import errno
import struct
from enum import IntEnum

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.base.errors import KernelError
from tortie.netlink.addresses import FAMILIES
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    TruncatedMessage,
    as_address,
    as_u32,
    attribute,
    attributes,
    u32,
    unpack,
)

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26

TABLE_MAIN = 254
TABLE_LOCAL = 255
IPV6_METRIC = 1024
"""What the kernel makes of metric 0 for IPv6."""

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PRIORITY = 6
_RTA_PREFSRC = 7
_RTA_TABLE = 15
_RTA_VIA = 18
_RTNH_F_ONLINK = 4
_RTM_F_CLONED = 0x200
_RTMSG = struct.Struct("=BBBBBBBBI")


class Scope(IntEnum):
    """How far a destination is."""

    UNIVERSE = 0
    LINK = 253
    HOST = 254


class RouteType(IntEnum):
    """What becomes of a packet."""

    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9
    NAT = 10


class Route(msgspec.Struct, frozen=True, order=True, gc=False):
    """A route in the form in which the kernel gives it back, so that two can be compared.

    Args:
        index: outgoing device; 0 for none (blackhole) or for several (multipath).
        gateway: next hop of full length, of either family of its own; None is directly attached.
        metric: lower wins.
        protocol: who made it: 2 kernel, 3 boot, 4 static, 12 BIRD, 80 this project.
        onlink: the gateway is reachable on the device though no route says so.
        source: preferred source address, of full length.
    """

    destination: Cidr
    index: int = 0
    gateway: Cidr | None = None
    metric: int = 0
    protocol: int = 4
    table: int = TABLE_MAIN
    type: RouteType = RouteType.UNICAST
    scope: int = Scope.UNIVERSE
    onlink: bool = False
    source: Cidr | None = None

    def __str__(self) -> str:
        via = f" via {self.gateway.text}" if self.gateway else ""
        device = f" dev {self.index}" if self.index else ""
        kind = "" if self.type == RouteType.UNICAST else f"{self.type.name.lower()} "
        return f"{kind}{self.destination}{via}{device}"


def device_route(destination: Cidr, index: int, metric: int = 0, protocol: int = 4) -> Route:
    """A route straight out of a device, in normal form: scope link for IPv4; IPv6 has no scopes and no metric 0."""
    if destination.family == 4:
        return Route(destination, index, metric=metric, protocol=protocol, scope=Scope.LINK)
    return Route(destination, index, metric=metric or IPV6_METRIC, protocol=protocol)


def add(route: Route) -> Request:
    """EEXIST when there is one to this destination with this metric."""
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, _pack(route), "add route", route)


def replace(route: Route) -> Request:
    """Add a route, or replace the one to this destination with this metric, whoever made it."""
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _pack(route), "replace route", route)


def delete(route: Route) -> Request:
    """Delete exactly this route. ESRCH when there is none such."""
    return Request(RTM_DELROUTE, 0, _pack(route), "delete route", route)


def list_routes(socket: NetlinkSocket, family: int, *, protocol: int = 0, table: int = TABLE_MAIN) -> list[Route]:
    """Routes of one family (4 or 6) and table, of one protocol or of all (0). Raises KernelError."""
    header = _RTMSG.pack(FAMILIES[family], 0, 0, 0, 0, protocol, 0, 0, 0) + u32(_RTA_TABLE, table)
    try:
        answers = socket.dump(RTM_GETROUTE, header, f"list IPv{family} routes of table {table}")
    except KernelError as error:
        # A table is made with its first route.
        if error.errno == errno.ENOENT:
            return []
        raise
    routes = (decode_route(one) for one in answers)
    return [one for one in routes if one and one.table == table and protocol in (0, one.protocol)]


def device_towards(socket: NetlinkSocket, address: Cidr) -> int:
    """By which device packets to an address leave: its index, or 0 when there is no way. Raises KernelError."""
    header = _RTMSG.pack(FAMILIES[address.family], address.bits, 0, 0, 0, 0, 0, 0, 0)
    try:
        answers = socket.request(RTM_GETROUTE, 0, header + attribute(_RTA_DST, address.packed), "find a route")
    except KernelError as error:
        if error.errno in _NO_WAY:
            return 0
        raise
    found = attributes(answers[0].payload, _RTMSG.size) if answers else {}
    return as_u32(found[_RTA_OIF]) if _RTA_OIF in found else 0


def decode_route(message: Message) -> Route | None:
    """Read RTM_NEWROUTE or RTM_DELROUTE; None for cached entries and foreign families. Raises TruncatedMessage."""
    family, length, _, _, table, protocol, scope, kind, flags = unpack(_RTMSG, message.payload)
    version = _VERSIONS.get(family)
    if version is None or flags & _RTM_F_CLONED or kind not in _TYPES:
        return None
    found = attributes(message.payload, _RTMSG.size)
    return Route(
        _destination(version, length, found.get(_RTA_DST)),
        as_u32(found[_RTA_OIF]) if _RTA_OIF in found and kind < _BLACKHOLE else 0,
        _gateway(found),
        as_u32(found[_RTA_PRIORITY]) if _RTA_PRIORITY in found else 0,
        protocol,
        as_u32(found[_RTA_TABLE]) if _RTA_TABLE in found else table,
        _TYPES[kind],
        scope,
        bool(flags & _RTNH_F_ONLINK),
        as_address(found[_RTA_PREFSRC]) if _RTA_PREFSRC in found else None,
    )


_VERSIONS = {number: version for version, number in FAMILIES.items()}
_TYPES = {int(kind): kind for kind in RouteType}
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.ESRCH)
_BLACKHOLE = int(RouteType.BLACKHOLE)


def _destination(version: int, length: int, packed: bytes | None) -> Cidr:
    if length > BITS[version] or (packed is not None and len(packed) * 8 != BITS[version]):
        raise TruncatedMessage(f"an IPv{version} destination of length {length}")
    return Cidr(version, 0, length) if packed is None else Cidr.from_bytes(packed, length)


def _gateway(found: dict[int, bytes]) -> Cidr | None:
    if _RTA_VIA in found:
        return as_address(found[_RTA_VIA][2:])
    return as_address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None


def _packed_gateway(gateway: Cidr, family: int) -> bytes:
    """A gateway of the other family than the destination's carries its family before it."""
    if gateway.family == family:
        return attribute(_RTA_GATEWAY, gateway.packed)
    return attribute(_RTA_VIA, struct.pack("=H", FAMILIES[gateway.family]) + gateway.packed)


def _pack(route: Route) -> bytes:
    destination = route.destination
    table = route.table
    return b"".join(
        (
            _RTMSG.pack(
                FAMILIES[destination.family],
                destination.length,
                0,
                0,
                table if table < 256 else 0,
                route.protocol,
                route.scope,
                route.type,
                _RTNH_F_ONLINK if route.onlink else 0,
            ),
            attribute(_RTA_DST, destination.packed),
            u32(_RTA_TABLE, table),
            u32(_RTA_PRIORITY, route.metric) if route.metric else b"",
            u32(_RTA_OIF, route.index) if route.index else b"",
            _packed_gateway(route.gateway, destination.family) if route.gateway else b"",
            attribute(_RTA_PREFSRC, route.source.packed) if route.source else b"",
        )
    )
