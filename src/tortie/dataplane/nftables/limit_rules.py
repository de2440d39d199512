"""Packets a second and connections at once of single workloads.

A rate is an element of a set, by interface, that holds its own bucket. Connections are counted in elements of further
sets, one set for each number of connections that somebody is limited to; the kernel makes such elements when a
connection opens, and removes them when none is left. So one more limited workload adds elements, hardly ever a rule,
and what is counted outlives all changes of policy. Only what is forwarded counts.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.matches import Condition, of_protocol
from tortie.dataplane.nftables.rules import END, ChainWriter, Rendered
from tortie.dataplane.nftables.sets import SetKind
from tortie.desired.endpoints import Endpoint
from tortie.desired.failsafes import TCP
from tortie.desired.limits import Limits
from tortie.desired.policy import Direction, PolicyId
from tortie.netlink.nftables import INTERFACE_NAME, Hook, SetDeclaration, element
from tortie.netlink.nftables_expressions import (
    REGISTER,
    Conntrack,
    Meta,
    Operator,
    Verdict,
    add_to_set,
    bitwise,
    compare,
    connection_limit,
    conntrack,
    counter,
    host32,
    immediate,
    limit,
    lookup,
    meta,
    reject,
    verdict,
)

PACKET_RATES = "packet-rates"
CONNECTIONS = "connection-limits"
LIMIT_HOOKS: Mapping[str, Hook] = MappingProxyType(
    {
        # Before everything that judges what is forwarded: also what belongs to connections counts.
        PACKET_RATES: Hook(2, -2),
        # After all of it: what is denied takes nobody's place.
        CONNECTIONS: Hook(2, 4),
    }
)
"""The base chains."""

_RECORD = struct.Struct(">16sII")
"""Interface, packets a second or connections, and packets at once (0 for connections)."""
_NUMBER = 19
"""Key type of marks, as nft(8) numbers them: the one for numbers of four bytes."""
_COUNTED = "connected-"
_BUCKETS = SetDeclaration(INTERFACE_NAME, 16, stateful=True)
_NUMBERED = SetDeclaration(INTERFACE_NAME << 6 | _NUMBER, 20)
COUNTING = SetDeclaration(INTERFACE_NAME, 16, stateful=True)
"""Of sets in which connections are counted; what is in them is the kernel's business."""
COUNTING_SIZE = 65535
_NEW = 1 << 3
"""NF_CT_STATE_BIT(IP_CT_NEW) of linux/netfilter/nf_conntrack_common.h."""


class LimitSet(SetKind, frozen=True, gc=False):
    """A set of limits of one kind and direction."""

    chain: str = ""
    direction: Direction = Direction.INGRESS

    def elements(self, records: bytes) -> list[bytes]:
        """Records as packed elements: rates with their buckets, and with their numbers as a comment."""
        return [self._element(*one) for one in _RECORD.iter_unpack(records)]

    def _element(self, key: bytes, number: int, burst: int) -> bytes:
        if self.chain == CONNECTIONS:
            return element(key + host32(number))
        return element(key, comment=f"{number}/{burst}".encode(), state=limit(number, 1, burst, over=True))

    def record(self, key: bytes, comment: bytes) -> bytes:
        """The inverse of `elements` for one; one that was not made there is none that is wanted."""
        if self.chain == CONNECTIONS:
            return _RECORD.pack(key[:16], int.from_bytes(key[16:], sys.byteorder), 0)
        number, _, burst = comment.partition(b"/")
        try:
            return _RECORD.pack(key, int(number), int(burst))
        except (ValueError, struct.error):
            return _RECORD.pack(key, 0, 0)


LIMIT_SETS: Mapping[str, LimitSet] = MappingProxyType(
    {
        f"{chain}-{direction.value}": LimitSet(
            f"{chain}-{direction.value}",
            4,
            _RECORD.size,
            _NUMBERED if chain == CONNECTIONS else _BUCKETS,
            chain,
            direction,
        )
        for chain in LIMIT_HOOKS
        for direction in (Direction.EGRESS, Direction.INGRESS)
    }
)
"""By name; they are there only while some workload has such a limit."""


def limit_rules(records: Mapping[str, bytes]) -> Iterator[Rendered]:
    """The rules of each base chain, given what is in each of the sets."""
    for name in LIMIT_HOOKS:
        origin = PolicyId("Layout", "", name)
        writer = ChainWriter(name, origin, Direction.EGRESS)
        for found, one in LIMIT_SETS.items():
            if one.chain == name and records[found]:
                _write(writer, found, one, records[found])
        yield origin, Direction.EGRESS, writer.rules()


def all_limits(endpoints: Iterable[Endpoint]) -> dict[str, bytes]:
    """What is to be in each set."""
    found = _limited(endpoints)
    return {name: _records(one, found) for name, one in LIMIT_SETS.items()}


def _records(one: LimitSet, limited: Iterable[Endpoint]) -> bytes:
    """The limits of these endpoints, sorted."""
    found = []
    for endpoint in limited:
        limits = endpoint.limits(one.direction)
        number, burst = _numbers(one.chain, limits)
        if number:
            found.append(_RECORD.pack(endpoint.interface.encode(errors="surrogateescape")[:15], number, burst))
    return b"".join(sorted(found))


def counting_sets(name: str, records: bytes) -> dict[int, str]:
    """The sets in which connections of these workloads are counted, by number; none for rates."""
    if LIMIT_SETS[name].chain != CONNECTIONS:
        return {}
    numbers = sorted({number for _, number, _ in _RECORD.iter_unpack(records)})
    return {number: f"{_COUNTED}{LIMIT_SETS[name].direction.value}-{number}" for number in numbers}


def is_counting_set(name: str) -> bool:
    """Whether connections are counted in it."""
    return name.startswith(_COUNTED)


def _limited(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Those with limits of theirs that are programmed: of several that claim an interface, the lowest."""
    owners: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        if endpoint.active:
            rival = owners.get(endpoint.interface)
            if rival is None or endpoint.id < rival.id:
                owners[endpoint.interface] = endpoint
    return [one for one in owners.values() if has_limits(one)]


def has_limits(endpoint: Endpoint) -> bool:
    """Whether there is anything to count."""
    both = (endpoint.ingress_limits, endpoint.egress_limits)
    return any(one.packet_rate or one.connections for one in both)


def _numbers(chain: str, limits: Limits) -> tuple[int, int]:
    if chain == CONNECTIONS:
        return limits.connections, 0
    return limits.packet_rate, max(1, limits.packet_burst)


def _write(writer: ChainWriter, name: str, one: LimitSet, records: bytes) -> None:
    interface = Meta.OIFNAME if one.direction is Direction.INGRESS else Meta.IIFNAME
    if one.chain == PACKET_RATES:
        writer.add("drop", meta(interface) + lookup(name) + counter() + verdict(Verdict.DROP), END)
        return
    opening = conntrack(Conntrack.STATE) + bitwise(host32(_NEW), bytes(4)) + compare(bytes(4), Operator.NOT_EQUAL)
    for number, counting in counting_sets(name, records).items():
        limited_so = meta(interface) + immediate(host32(number), REGISTER + 4) + lookup(name)
        counted = limited_so + add_to_set(counting, connection_limit(number, over=True))
        then = counted + counter() + reject(reset=True)
        writer.match("reject", [of_protocol(TCP), Condition(opening)], then, END)
