"""What nf_tables tells of packets that are traced: which rule did what (linux/netfilter/nf_tables.h, NFT_MSG_TRACE)."""

from __future__ import annotations

import enum

import msgspec

from tortie.netlink.nftables import SUBSYSTEM
from tortie.netlink.wire import Message, TruncatedMessage, as_text, attributes

TRACES = 9
"""Multicast group of traces."""

TRACE = SUBSYSTEM | 17

_HEADER = 4


class TraceKind(enum.IntEnum):
    """What a trace is about: the policy of a base chain, the end of a chain, or a rule that matched."""

    POLICY = 1
    RETURN = 2
    RULE = 3


class Trace(msgspec.Struct, frozen=True, gc=False):
    """One step of one packet.

    Args:
        packet: the same for all steps of a packet; soon used again for others.
        family: of the table (NFPROTO_*).
        rule: handle of the rule, unique in its table; 0 unless `kind` is RULE.
        verdict: 0 drop, 1 accept; negative ones go on (see `Verdict`).
        network, transport: first bytes of the headers; only in the first step in each base chain.
        input, output: indexes of the interfaces, 0 if there is none; only together with the headers.
        protocol: NFPROTO_* of the packet, 2 for IPv4 and 10 for IPv6.
    """

    packet: int
    family: int
    table: str
    chain: str
    kind: int
    rule: int
    verdict: int
    network: bytes = b""
    transport: bytes = b""
    input: int = 0
    output: int = 0
    protocol: int = 0


def parse_trace(message: Message) -> Trace | None:
    """None for other messages. Raises TruncatedMessage."""
    if message.type != TRACE:
        return None
    if len(message.payload) < _HEADER:
        raise TruncatedMessage("a trace without its header")
    found = attributes(message.payload, _HEADER)
    verdict = attributes(found.get(5, b"")).get(1, b"") or found.get(16, b"")
    return Trace(
        packet=_number(found.get(6, b"")),
        family=message.payload[0],
        table=as_text(found.get(1, b"")),
        chain=as_text(found.get(2, b"")),
        kind=_number(found.get(4, b"")),
        rule=_number(found.get(3, b"")),
        verdict=int.from_bytes(verdict, "big", signed=True),
        network=found.get(8, b""),
        transport=found.get(9, b""),
        input=_number(found.get(10, b"")),
        output=_number(found.get(12, b"")),
        protocol=_number(found.get(15, b"")),
    )


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
