"""`tortie explain --live`: what the kernels of a lab do to the packet that was explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tortie.analysis.explanation import Explanation
from tortie.base.errors import NotFound, Unavailable
from tortie.calculation.verdict import Step
from tortie.cli.connection import fail
from tortie.desired.policy import Action, Direction
from tortie.lab.assembly import find
from tortie.lab.lab import Lab
from tortie.lab.live import PROTOCOLS, Live, Traced, send, station
from tortie.lab.probe.model import Probe

CONTRADICTED = 5
"""Exit code: a kernel does otherwise than was explained."""

_TRANSPORTS = {number: transport for transport, numbers in PROTOCOLS.items() for number in numbers}


class Confirmation(msgspec.Struct, frozen=True):
    """What was seen; nothing was where it says why not.

    Args:
        contradictions: what differs from the explanation.
        is_ours: whether our own rules decided otherwise; if not, something else stands in the way, or helps.
    """

    seen: Live | None
    contradictions: tuple[str, ...] = ()
    is_ours: bool = False
    why_not: str = ""


def lab_of(name: str) -> Lab:
    """A lab that is up. Ends the command when there is none."""
    try:
        return find(name)
    except (NotFound, Unavailable) as error:
        fail(Unavailable(f"--live needs a lab that is up: {error}; raise one with tortie lab up"))


def confirm(lab: Lab, found: Explanation) -> Confirmation:
    """Send the packet that was explained."""
    transport = _TRANSPORTS.get(found.packet.protocol)
    if transport is None:
        return Confirmation(None, why_not=f"protocol {found.packet.protocol} is not one that can be sent")
    ends = (found.source, found.destination)
    try:
        names = [
            station(lab, address.text, end.node if end else "")
            for end, address in zip(ends, found.addresses, strict=True)
        ]
    except NotFound as error:
        return Confirmation(None, why_not=f"there is no {error}")
    source, destination = (address.text for address in found.addresses)
    hosts = sorted({end.node for end in ends if end is not None and end.node})
    probe = Probe(names[0], destination, transport, found.packet.destination_port or 0)
    try:
        seen = send(lab, probe, source, names[1], hosts)
    except Unavailable as error:
        return Confirmation(None, why_not=str(error))
    ours = tuple(misjudged(found, seen))
    return Confirmation(seen, (*ours, *unexpected(found, seen)), is_ours=bool(ours))


def unexpected(found: Explanation, seen: Live) -> Iterator[str]:
    """Whether the packet fared otherwise than was explained."""
    allowed = found.verdict is Action.ALLOW
    if seen.got_through is not None and seen.got_through != allowed:
        fate = "got through" if seen.got_through else "did not get through"
        yield f"explained: {'allowed' if allowed else 'denied'}; the packet {fate}"


def misjudged(found: Explanation, seen: Live) -> Iterator[str]:
    """Where a rule of ours decided otherwise than was explained."""
    for one in found.directions:
        name = f"{one.walk.end.key.namespace}/{one.walk.end.key.name}"
        for traced in seen.traced:
            if traced.endpoint == name and traced.decision.direction is one.walk.direction:
                yield from _differences(one.walk.verdict.decided_by, traced, one.walk.direction)


def _differences(step: Step, traced: Traced, way: Direction) -> Iterator[str]:
    told, heard = (step.action.value, *_rule_of(step)), (traced.decision.verdict, *_rule(traced))
    if told[0] != heard[0] or (step.policy is not None and told != heard):
        where = f"{way.value} of {traced.endpoint} on {traced.host}"
        yield f"{where}: explained: {_text(told)}; the kernel: {_text(heard)}"


def _rule_of(step: Step) -> tuple[str, str, str, int | None]:
    if step.policy is None:
        return ("", "", "", None)
    return (step.policy.kind, step.policy.namespace, step.policy.name, step.index)


def _rule(traced: Traced) -> tuple[str, str, str, int | None]:
    one = traced.decision
    return (one.kind, one.namespace, one.name, one.rule)


def _text(decision: tuple[str, str, str, str, int | None]) -> str:
    action, kind, namespace, name, index = decision
    return f"{action} by {kind} {'/'.join(filter(None, (namespace, name)))}[{index}]" if kind else action


def lines(one: Confirmation) -> Iterator[str]:
    """For people."""
    yield "seen in the lab"
    if one.seen is None:
        yield f"  nothing: {one.why_not}"
        return
    yield f"  {one.seen.outcome}"
    for traced in one.seen.traced:
        decision = traced.decision
        way = decision.direction.value if decision.direction else ""
        by = _text((decision.verdict, *_rule(traced))) + (f" ({decision.reason})" if decision.reason else "")
        yield f"  {traced.host}: {way} of {traced.endpoint or traced.interface}: {by}"
    yield from (f"  counted on {text}" for text in one.seen.counted)
    yield from (f"  conntrack of {text}" for text in one.seen.connections)
    for text in one.contradictions:
        yield f"!! THE KERNEL DOES OTHERWISE THAN WAS EXPLAINED: {text}"
    if one.is_ours:
        yield "!! This is a bug of Tortie. Please report it, with this output and `tortie datastore export`."
    elif one.contradictions:
        yield "!! Tortie's own rules did as was explained where they were seen: look for others, with nft list ruleset"
    else:
        yield "  the kernel does as was explained"


def plain(one: Confirmation) -> Mapping[str, Any]:
    """For programs."""
    if one.seen is None:
        return {"seen": False, "why": one.why_not, "contradictions": []}
    return {
        "seen": True,
        "probe": str(one.seen.outcome),
        "gotThrough": one.seen.got_through,
        "traced": msgspec.to_builtins(one.seen.traced),
        "counted": list(one.seen.counted),
        "conntrack": list(one.seen.connections),
        "contradictions": list(one.contradictions),
    }
