"""Packets a second and connections at once of single workloads.

Each limit is an element of a set, by interface, and its bucket or list of connections is part of that element: so
limits come and go without a rule being written, and outlive all changes of policy. Only what is forwarded counts.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
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
    Conntrack,
    Meta,
    Operator,
    Verdict,
    bitwise,
    compare,
    connection_limit,
    conntrack,
    counter,
    host32,
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
_DECLARATION = SetDeclaration(INTERFACE_NAME, 16, stateful=True)
_NEW = 1 << 3
"""NF_CT_STATE_BIT(IP_CT_NEW) of linux/netfilter/nf_conntrack_common.h."""


class LimitSet(SetKind, frozen=True, gc=False):
    """A set of limits of one kind and direction."""

    chain: str = ""
    direction: Direction = Direction.INGRESS

    def elements(self, records: bytes) -> list[bytes]:
        """Records as packed elements, each with what it counts in, and with its numbers as a comment."""
        return [self._element(*one) for one in _RECORD.iter_unpack(records)]

    def _element(self, key: bytes, number: int, burst: int) -> bytes:
        state = connection_limit(number, over=True) if not burst else limit(number, 1, burst, over=True)
        return element(key, comment=f"{number}/{burst}".encode(), state=state)


LIMIT_SETS: Mapping[str, LimitSet] = MappingProxyType(
    {
        f"{chain}-{direction.value}": LimitSet(
            f"{chain}-{direction.value}", 4, _RECORD.size, _DECLARATION, chain, direction
        )
        for chain in LIMIT_HOOKS
        for direction in (Direction.EGRESS, Direction.INGRESS)
    }
)
"""By name; they are there only while some workload has such a limit."""


def limit_rules(used: Collection[str]) -> Iterator[Rendered]:
    """The rules of each base chain; `used` are names of the sets that have something in them."""
    for name in LIMIT_HOOKS:
        origin = PolicyId("Layout", "", name)
        writer = ChainWriter(name, origin, Direction.EGRESS)
        for found, one in LIMIT_SETS.items():
            if one.chain == name and found in used:
                _write(writer, found, one)
        yield origin, Direction.EGRESS, writer.rules()


def limit_records(one: LimitSet, limited: Iterable[Endpoint]) -> bytes:
    """The limits of these endpoints, sorted."""
    found = []
    for endpoint in limited:
        limits = endpoint.limits(one.direction)
        number, burst = _numbers(one.chain, limits)
        if number:
            found.append(_RECORD.pack(endpoint.interface.encode(errors="surrogateescape")[:15], number, burst))
    return b"".join(sorted(found))


def limit_record(key: bytes, comment: bytes) -> bytes:
    """A record as it was made into an element; one that was not is none that is wanted."""
    number, _, burst = comment.partition(b"/")
    try:
        return _RECORD.pack(key, int(number), int(burst))
    except (ValueError, struct.error):
        return _RECORD.pack(key, 0, 0)


def limited(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
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


def _write(writer: ChainWriter, name: str, one: LimitSet) -> None:
    interface = Meta.OIFNAME if one.direction is Direction.INGRESS else Meta.IIFNAME
    if one.chain == PACKET_RATES:
        writer.add("drop", meta(interface) + lookup(name) + counter() + verdict(Verdict.DROP), END)
        return
    opening = conntrack(Conntrack.STATE) + bitwise(host32(_NEW), bytes(4)) + compare(bytes(4), Operator.NOT_EQUAL)
    then = meta(interface) + lookup(name) + counter() + reject(reset=True)
    writer.match("reject", [of_protocol(TCP), Condition(opening)], then, END)
