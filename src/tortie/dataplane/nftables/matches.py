"""Single tests of a packet: by protocol, address, port and ICMP type. Those that recur in many rules are packed once.

A condition that says no for every packet is `None`; one that says yes for every packet is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.nftables.sets import IPV4, IPV6, PROTOCOL, SERVICE, merged
from tortie.desired.policy import ICMPMatch, PortRange
from tortie.netlink.nftables import SetDeclaration
from tortie.netlink.nftables_expressions import (
    NETWORK,
    REGISTER,
    TRANSPORT,
    Meta,
    Operator,
    bitwise,
    compare,
    in_range,
    lookup,
    meta,
    payload,
)

PORT_PROTOCOLS = (6, 17, 132, 136)
"""Protocols whose header begins with source and destination port: TCP, UDP, SCTP, UDP-Lite."""
ICMP = {4: 1, 6: 58}
"""Protocol number of each family's ICMP."""

_FAMILY = {4: b"\x02", 6: b"\x0a"}
_ADDRESS_OFFSET = {4: (12, 16), 6: (8, 24)}
_KEPT = 4096
_SERVICES = SetDeclaration(SERVICE, 2, interval=True)
_NETS = {4: SetDeclaration(IPV4, 4, interval=True), 6: SetDeclaration(IPV6, 16, interval=True)}
_PROTOCOLS = SetDeclaration(PROTOCOL, 1)
_ICMP_TYPES = SetDeclaration(29, 1)
_LOAD_PROTOCOL = meta(Meta.L4PROTO)
_LOAD_FAMILY = meta(Meta.NFPROTO)
_LOAD_PORT = (payload(TRANSPORT, 0, 2), payload(TRANSPORT, 2, 2))
_LOAD_ADDRESS = {
    (family, end): payload(NETWORK, _ADDRESS_OFFSET[family][end], BITS[family] // 8)
    for family in (4, 6)
    for end in (0, 1)
}
_LOAD_SERVICE = {
    (family, end): _LOAD_ADDRESS[family, end]
    + meta(Meta.L4PROTO, REGISTER + BITS[family] // 32)
    + payload(TRANSPORT, 2 * end, 2, REGISTER + BITS[family] // 32 + 1)
    for family in (4, 6)
    for end in (0, 1)
}


class Condition(msgspec.Struct, frozen=True, gc=False):
    """One test.

    Args:
        expressions: the whole test; with `declaration` only what loads the register.
        declaration, records: a set of the rule's own in which the register is looked up.
        inverted: matches when it is not in the set.
    """

    expressions: bytes
    declaration: SetDeclaration | None = None
    records: bytes = b""
    inverted: bool = False


@lru_cache(_KEPT)
def of_family(family: int) -> Condition:
    """IPv4 or IPv6."""
    return Condition(_LOAD_FAMILY + compare(_FAMILY[family]))


@lru_cache(_KEPT)
def of_protocol(number: int, inverted: bool = False) -> Condition:
    """The transport protocol, behind any IPv6 extension headers."""
    return Condition(_LOAD_PROTOCOL + compare(bytes((number,)), _operator(inverted)))


@lru_cache(_KEPT)
def has_ports(inverted: bool = False) -> Condition:
    """The transport protocol is one that has ports."""
    return Condition(_LOAD_PROTOCOL, _PROTOCOLS, bytes(PORT_PROTOCOLS), inverted)


@lru_cache(_KEPT)
def in_set(name: str, family: int, end: int, inverted: bool = False) -> Condition:
    """The source (end 0) or destination (end 1) address is in a named set."""
    return Condition(_LOAD_ADDRESS[family, end] + lookup(name, inverted))


@lru_cache(_KEPT)
def in_service_set(name: str, family: int, end: int, inverted: bool = False) -> Condition:
    """Address, protocol and port of one end are in a named set; says no for packets too short for ports."""
    return Condition(_LOAD_SERVICE[family, end] + lookup(name, inverted))


def in_nets(nets: Sequence[Cidr], end: int, inverted: bool = False) -> Condition | None:
    """The address of one end is in one of these prefixes, all of one family; None when it is in them always."""
    if any(net.length == 0 for net in nets):
        return None
    family = nets[0].family
    if len(nets) == 1:
        return Condition(_LOAD_ADDRESS[family, end] + _in_net(nets[0], inverted))
    return Condition(_LOAD_ADDRESS[family, end], _NETS[family], merged(nets), inverted)


def in_ports(ranges: Sequence[PortRange], end: int, inverted: bool = False) -> Condition:
    """The port of one end is in one of these ranges; only for protocols that have ports."""
    if len(ranges) > 1:
        return Condition(_LOAD_PORT[end], _SERVICES, _merged_ports(ranges), inverted)
    first, last = (number.to_bytes(2, "big") for number in (ranges[0].first, ranges[0].last))
    if first == last:
        return Condition(_LOAD_PORT[end] + compare(first, _operator(inverted)))
    return Condition(_LOAD_PORT[end] + in_range(first, last, inverted))


def of_icmp(match: ICMPMatch, inverted: bool = False) -> Condition:
    """The ICMP type, and the code when given; only for packets that are ICMP."""
    wanted = bytes((match.type,)) if match.code is None else bytes((match.type, match.code))
    return Condition(payload(TRANSPORT, 0, len(wanted)) + compare(wanted, _operator(inverted)))


def of_icmp_types(types: Sequence[int]) -> Condition:
    """The ICMP type is one of these; only for packets that are ICMP."""
    return Condition(payload(TRANSPORT, 0, 1), _ICMP_TYPES, bytes(types))


def _in_net(net: Cidr, inverted: bool) -> bytes:
    """Compare a loaded address with one prefix."""
    compared = compare(net.packed, _operator(inverted))
    if net.is_host:
        return compared
    mask = ((1 << net.length) - 1) << (net.bits - net.length)
    return bitwise(mask.to_bytes(net.bits // 8, "big"), bytes(net.bits // 8)) + compared


def _merged_ports(ranges: Sequence[PortRange]) -> bytes:
    """Ranges as disjoint intervals: first port and first port behind, 0 behind the last of all."""
    intervals: list[tuple[int, int]] = []
    for one in sorted(ranges):
        if intervals and one.first <= intervals[-1][1]:
            intervals[-1] = (intervals[-1][0], max(intervals[-1][1], one.last + 1))
        else:
            intervals.append((one.first, one.last + 1))
    return b"".join(first.to_bytes(2, "big") + (behind & 0xFFFF).to_bytes(2, "big") for first, behind in intervals)


def _operator(inverted: bool) -> Operator:
    return Operator.NOT_EQUAL if inverted else Operator.EQUAL
