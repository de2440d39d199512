"""Traces of nf_tables, as the kernel packs them and as nobody would."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tortie.netlink.nftables_trace import TRACE, Trace, TraceKind, parse_trace
from tortie.netlink.wire import Message, TruncatedMessage, attribute, be32, be64, nested, text


def message(*attributes: bytes, kind: int = TRACE) -> Message:
    return Message(kind, 0, 0, b"\1\0\0\0" + b"".join(attributes))


def test_a_rule_that_drops_is_read() -> None:
    found = parse_trace(
        message(
            text(1, "tortie"),
            text(2, "antispoofing"),
            be64(3, 28),
            be32(4, TraceKind.RULE),
            nested(5, be32(1, 0)),
            be32(6, 7),
            attribute(8, b"network"),
            attribute(9, b"transport"),
            be32(10, 2),
            be32(15, 2),
        )
    )
    assert found == Trace(7, 1, "tortie", "antispoofing", TraceKind.RULE, 28, 0, b"network", b"transport", 2, 0, 2)


def test_verdicts_that_go_on_are_negative_and_a_policy_is_a_verdict() -> None:
    jump = parse_trace(message(nested(5, be32(1, 0xFFFFFFFD))))
    policy = parse_trace(message(be32(4, TraceKind.POLICY), be32(16, 1)))
    assert jump is not None and policy is not None
    assert (jump.verdict, policy.verdict) == (-3, 1)


def test_other_messages_are_none_of_it() -> None:
    assert parse_trace(message(kind=TRACE - 1)) is None


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_trace_or_refused(payload: bytes) -> None:
    with contextlib.suppress(TruncatedMessage):
        assert isinstance(parse_trace(Message(TRACE, 0, 0, payload)), Trace)
