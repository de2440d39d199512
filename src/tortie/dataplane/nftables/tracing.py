"""From traces of the kernel to decisions: which rule allowed or denied which packet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from tortie.dataplane.nftables.cut_table import TABLE as CUT
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rule_words import Fate, Words, words
from tortie.dataplane.nftables.rules import action_of
from tortie.dataplane.nftables.trace_table import PREFIX
from tortie.netlink.nftables import Table
from tortie.netlink.nftables_expressions import Verdict
from tortie.netlink.nftables_trace import Trace, TraceKind

_MOST_PACKETS = 1024
"""Packets whose steps are put together at one time; the kernel tells the steps of one packet in a row."""
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_WOULD = "would-"


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A packet, and what became of it at one place.

    Args:
        headers: the step that told the packet's headers and interfaces.
        allowed: or denied.
        rule: that decided; None for rules of other tables.
        reason: in words, when no written rule did.
        staged: what was staged would have decided so, in words.
    """

    headers: Trace
    allowed: bool
    rule: RuleName | None
    reason: str = ""
    staged: str = ""


class _Packet(msgspec.Struct):
    headers: Trace
    staged: str = ""


class Tracing:
    """Puts the steps of packets together.

    Args:
        table: ours.
        tag_of: gives the tag of a rule of ours by its handle, or None.
        name_of: gives whose rule an identity stands for, or None.
    """

    def __init__(
        self,
        table: Table,
        tag_of: Callable[[int], bytes | None],
        name_of: Callable[[bytes], RuleName | None],
    ) -> None:
        self._table = table
        self._tag_of = tag_of
        self._name_of = name_of
        self._packets: OrderedDict[int, _Packet] = OrderedDict()

    def take(self, trace: Trace) -> Decided | None:
        """The next step; returns what it decided, if anything."""
        packet = self._packet(trace)
        if packet is None or trace.table.startswith(PREFIX):
            return None
        if (trace.family, trace.table) != (self._table.family, self._table.name):
            return _of_others(trace, packet)
        tag = self._tag_of(trace.rule) if trace.kind == TraceKind.RULE else None
        name = self._name_of(tag) if tag else None
        return _of_ours(trace, packet, action_of(tag), name) if tag and name else _of_others(trace, packet)

    def forget(self) -> None:
        """Steps were lost: what comes next may be of other packets."""
        self._packets.clear()

    def _packet(self, trace: Trace) -> _Packet | None:
        """What is known of the packet; the first step in every base chain tells it anew."""
        if trace.network:
            self._packets[trace.packet] = _Packet(trace)
            if len(self._packets) > _MOST_PACKETS:
                self._packets.popitem(last=False)
        return self._packets.get(trace.packet)


def _of_ours(trace: Trace, packet: _Packet, action: str, name: RuleName) -> Decided | None:
    said = words(name)
    if action.startswith(_WOULD):
        packet.staged = said.reason if said else _whose(name)
        packet.staged = f"{action.removeprefix(_WOULD).replace('drop', 'deny').capitalize()} by {packet.staged}"
        return None
    if trace.verdict not in (Verdict.ACCEPT, Verdict.DROP) or (name.index < 0 and not _is_news(said)):
        return None
    return Decided(packet.headers, trace.verdict == Verdict.ACCEPT, name, said.reason if said else "", packet.staged)


def _is_news(said: Words | None) -> bool:
    """What is always allowed is nothing that anybody decided."""
    return said is not None and said.fate is not Fate.ALLOW


def _of_others(trace: Trace, packet: _Packet) -> Decided | None:
    """By rules of others, and those of ours that are gone by now.

    A drop is final, whoever says so; an accept of others decides nothing for us.
    """
    if trace.verdict != Verdict.DROP or trace.kind == TraceKind.RETURN:
        return None
    if trace.table == CUT.name:
        return Decided(packet.headers, False, None, "flow cut when policy changed", packet.staged)
    what = "policy" if trace.kind == TraceKind.POLICY else f"rule {trace.rule}"
    family = _FAMILIES.get(trace.family, str(trace.family))
    return Decided(packet.headers, False, None, f"{what} of chain {trace.chain}, table {family} {trace.table}")


def _whose(name: RuleName) -> str:
    place = f"{name.namespace}/{name.name}" if name.namespace else name.name
    return f"{name.kind} {place} {name.direction.value} rule {name.index}"
