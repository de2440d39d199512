"""A table that has some packets traced, and changes nothing else; the kernel removes it with the socket that owns it.

It says `meta nftrace set 1` for packets that fit and that policy will judge: those of new connections, and those that
anti-spoofing will not let through. A limit at every place bounds what tracing costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.nftables.layout import FIXED_SETS, SOURCE_NETS, SOURCES, established
from tortie.dataplane.nftables.matches import PORT_PROTOCOLS, in_nets, in_ports, of_family, of_protocol
from tortie.dataplane.nftables.model import Source
from tortie.desired.policy import PortRange
from tortie.netlink.batch import Request
from tortie.netlink.nftables import (
    INET,
    TABLE_OWNED,
    Hook,
    Table,
    add_elements,
    element,
    new_chain,
    new_rule,
    new_set,
    new_table,
)
from tortie.netlink.nftables_expressions import (
    NETWORK,
    REGISTER,
    Meta,
    Operator,
    Verdict,
    compare,
    immediate,
    limit,
    lookup,
    meta,
    payload,
    set_meta,
    verdict,
)

PREFIX = "tortie-monitor-"
"""How names of these tables begin."""

PREROUTING, INPUT, FORWARD, OUTPUT = range(4)
_SOURCE_OFFSET = {4: 12, 6: 8}
_RETURN = verdict(Verdict.RETURN)
_TRACE = immediate(b"\x01") + set_meta(Meta.NFTRACE)


class TraceFilter(msgspec.Struct, frozen=True):
    """Which packets are traced.

    Args:
        prefixes: what names of workload interfaces begin with.
        sources: what each workload interface may use; others are traced before they are dropped.
        interface: of a workload that sends or receives them; empty is any.
        rate: packets a second, at each place.
        hosts: interfaces of the host are guarded too.
    """

    prefixes: Sequence[str]
    sources: Sequence[Source] = ()
    interface: str = ""
    source: Cidr | None = None
    destination: Cidr | None = None
    protocol: int | None = None
    port: int | None = None
    rate: int = 100
    hosts: bool = False


def trace_table(number: int) -> Table:
    """The table of one watcher."""
    return Table(INET, f"{PREFIX}{number}")


def trace_requests(table: Table, wanted: TraceFilter) -> Iterator[Request]:
    """Make the table. The kernel deletes it when the socket that sends this is closed, by whatever end."""
    yield new_table(table, TABLE_OWNED)
    yield from _source_sets(table, wanted.sources)
    for chain, hook, skip in _places(wanted):
        sample = f"sample-{chain}"
        yield new_chain(table, sample)
        yield new_rule(table, sample, limit(wanted.rate, 1, wanted.rate) + _TRACE)
        yield new_chain(table, chain, hook)
        for expressions in skip:
            yield new_rule(table, chain, expressions + _RETURN)
        for conditions in _alternatives(wanted):
            yield new_rule(table, chain, conditions + verdict(Verdict.GOTO, sample))


def _places(wanted: TraceFilter) -> Iterator[tuple[str, Hook, Iterable[bytes]]]:
    """Base chains, and what each lets go untraced."""
    others = meta(Meta.IIFNAME) + b"".join(_begins(prefix, Operator.NOT_EQUAL) for prefix in wanted.prefixes)
    workloads = [meta(Meta.IIFNAME) + _begins(prefix) for prefix in wanted.prefixes]
    # Before anti-spoofing; nothing is known of connections here.
    yield "sources", Hook(PREROUTING, -301), [others, *_allowed_sources()]
    # Before all that judges what is forwarded, and what is for the host.
    yield "forward", Hook(FORWARD, -2), [established()]
    yield "input", Hook(INPUT, -2), [established()] if wanted.hosts else [established(), others]
    if wanted.hosts:
        # Before destinations are translated, and where the host's own packets begin.
        yield "arriving", Hook(PREROUTING, -151), [established(), *workloads]
        yield "output", Hook(OUTPUT, -2), [established()]


def _alternatives(wanted: TraceFilter) -> Iterator[bytes]:
    """What fits, as the expressions of one rule each."""
    fixed = _family(wanted)
    for net, end in ((wanted.source, 0), (wanted.destination, 1)):
        condition = in_nets((net,), end) if net else None
        fixed += condition.expressions if condition else b""
    for interface, transport in itertools.product(_either_interface(wanted.interface), _transports(wanted)):
        yield fixed + interface + transport


def _family(wanted: TraceFilter) -> bytes:
    family = next((net.family for net in (wanted.source, wanted.destination) if net), None)
    return of_family(family).expressions if family else b""


def _either_interface(name: str) -> list[bytes]:
    key = name.encode().ljust(16, b"\0")
    return [meta(one) + compare(key) for one in (Meta.IIFNAME, Meta.OIFNAME)] if name else [b""]


def _transports(wanted: TraceFilter) -> list[bytes]:
    """Protocols, with the port at either end where one is wanted."""
    if wanted.port is None:
        return [b"" if wanted.protocol is None else of_protocol(wanted.protocol).expressions]
    protocols = PORT_PROTOCOLS if wanted.protocol is None else (wanted.protocol,)
    ranges = (PortRange(wanted.port, wanted.port),)
    return [of_protocol(one).expressions + in_ports(ranges, end).expressions for one in protocols for end in (0, 1)]


def _allowed_sources() -> Iterator[bytes]:
    for family in (4, 6):
        address = payload(NETWORK, _SOURCE_OFFSET[family], BITS[family] // 8, REGISTER + 4)
        for name in (SOURCES[family], SOURCE_NETS[family]):
            yield of_family(family).expressions + meta(Meta.IIFNAME) + address + lookup(name)


def _source_sets(table: Table, sources: Sequence[Source]) -> Iterator[Request]:
    for name in (*SOURCES.values(), *SOURCE_NETS.values()):
        yield new_set(table, name, FIXED_SETS[name])
        elements = [element(source.key, source.end) for source in sources if source.set == name]
        yield from add_elements(table, name, elements)


def _begins(prefix: str, operator: Operator = Operator.EQUAL) -> bytes:
    return compare(prefix.encode(), operator)
