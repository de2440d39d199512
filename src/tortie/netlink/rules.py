"""Routing rules, which say what table a packet is looked up in: add, delete, list (linux/fib_rules.h)."""

from __future__ import annotations

import struct

import msgspec

from tortie.netlink.addresses import FAMILIES
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import NLM_F_CREATE, NLM_F_EXCL, Message, as_u32, attributes, u8, u32, unpack

RTM_NEWRULE = 32
RTM_DELRULE = 33
RTM_GETRULE = 34

_FRA_PRIORITY = 6
_FRA_FWMARK = 10
_FRA_TABLE = 15
_FRA_FWMASK = 16
_FRA_PROTOCOL = 21
_TO_TABLE = 1
_INVERT = 2
_HEADER = struct.Struct("=BBBBBBBBI")
_VERSIONS = {number: family for family, number in FAMILIES.items()}


class RoutingRule(msgspec.Struct, frozen=True, order=True, gc=False):
    """Packets without any of the marks are looked up in a table; when that says nothing, later rules are asked.

    Args:
        priority: the smaller number is asked first.
        mark: as value and as mask; 0 is every packet.
        protocol: who made it, as with routes.
    """

    family: int
    priority: int
    table: int
    mark: int
    protocol: int


def add(rule: RoutingRule) -> Request:
    """EEXIST when there is one such."""
    return Request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, _pack(rule), f"add routing rule {rule.priority}")


def delete(rule: RoutingRule) -> Request:
    """ENOENT when there is none such."""
    return Request(RTM_DELRULE, 0, _pack(rule), f"delete routing rule {rule.priority}")


def list_rules(socket: NetlinkSocket, family: int, protocol: int) -> list[RoutingRule]:
    """Those of one maker and one family, 4 or 6. Raises KernelError."""
    header = _HEADER.pack(FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0)
    found = (decode_rule(one) for one in socket.dump(RTM_GETRULE, header, f"list IPv{family} routing rules"))
    return [one for one in found if one is not None and one.protocol == protocol]


def decode_rule(message: Message) -> RoutingRule | None:
    """Read RTM_NEWRULE; None for rules that do something else than ours. Raises TruncatedMessage."""
    family, _, _, _, table, _, _, action, flags = unpack(_HEADER, message.payload)
    if family not in _VERSIONS or action != _TO_TABLE:
        return None
    found = {kind: data for kind, data in attributes(message.payload, _HEADER.size).items() if len(data) in (1, 4)}
    mark = as_u32(found[_FRA_FWMARK]) if len(found.get(_FRA_FWMARK, b"")) == 4 else 0
    if bool(mark) != bool(flags & _INVERT):
        return None
    return RoutingRule(
        family=_VERSIONS[family],
        priority=as_u32(found[_FRA_PRIORITY]) if len(found.get(_FRA_PRIORITY, b"")) == 4 else 0,
        table=as_u32(found[_FRA_TABLE]) if len(found.get(_FRA_TABLE, b"")) == 4 else table,
        mark=mark,
        protocol=found.get(_FRA_PROTOCOL, b"\0")[0],
    )


def _pack(rule: RoutingRule) -> bytes:
    short = rule.table if rule.table < 256 else 0
    header = _HEADER.pack(FAMILIES[rule.family], 0, 0, 0, short, 0, 0, _TO_TABLE, _INVERT if rule.mark else 0)
    marked = u32(_FRA_FWMARK, rule.mark) + u32(_FRA_FWMASK, rule.mark) if rule.mark else b""
    made = u32(_FRA_PRIORITY, rule.priority) + u32(_FRA_TABLE, rule.table) + u8(_FRA_PROTOCOL, rule.protocol)
    return header + made + marked
