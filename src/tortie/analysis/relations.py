"""How two sets of policies relate: which allows more, what changes nothing, what one says that another denies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tortie.analysis.packets import PacketSet
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.universe import Group, Pair, differing, pairs
from tortie.calculation.verdict import Step
from tortie.desired.policy import Action, Direction

Differences = Iterator[tuple[Pair, PacketSet]]
"""Two groups, and the packets between them that make the difference."""


def excess(left: Reachability, right: Reachability) -> Differences:
    """What gets through on the right and not on the left, between ends that are in both."""
    for pair in differing((left, right)):
        here, there = pair.packets
        if here is not None and there is not None and (more := there - here):
            yield pair, more


def contains(left: Reachability, right: Reachability) -> bool:
    """Whether all that the right lets through gets through on the left."""
    return next(excess(left, right), None) is None


def is_equivalent(left: Reachability, right: Reachability) -> bool:
    """Whether the same packets get through."""
    return contains(left, right) and contains(right, left)


def is_governed(reach: Reachability, kind: Kind | None, way: Direction) -> bool:
    """Whether a policy (and not only profiles) governs one direction of ends."""
    number = -1 if kind is None else kind.ingress if way is Direction.INGRESS else kind.egress
    return number >= 0 and bool(reach.governing(number).tiers)


def captures(reach: Reachability, source: Kind | None, destination: Kind | None) -> bool:
    """Whether a policy governs packets between two ends, as they are sent or as they are received."""
    return is_governed(reach, source, Direction.EGRESS) or is_governed(reach, destination, Direction.INGRESS)


def interference(left: Reachability, right: Reachability) -> Differences:
    """What the right lets through and the left does not, though a policy of the left governs it."""
    for pair, more in excess(left, right):
        if captures(left, pair.source.kinds[0], pair.destination.kinds[0]):
            yield pair, more


def explicit(reach: Reachability, source: Kind, destination: Kind) -> PacketSet:
    """The packets that get through because a policy says so: an Allow of a rule, not of a profile, takes them."""
    sent = reach.deciding(source, destination, Direction.EGRESS, _is_written)
    received = reach.deciding(source, destination, Direction.INGRESS, _is_written)
    return reach.connection(source, destination) & (sent | received)


def breaches(law: Reachability, spec: Reachability, of: Callable[[PacketSet, PacketSet], PacketSet]) -> Differences:
    """What is left of the explicitly allowed packets of `spec` after `of(them, what law lets through)`."""
    for pair in pairs((law, spec)):
        source, destination, lets = pair.source.kinds[1], pair.destination.kinds[1], pair.packets[0]
        if source is None or destination is None or lets is None:
            continue
        if rest := of(explicit(spec, source, destination), lets):
            yield pair, rest


def refused(law: Reachability, spec: Reachability) -> Differences:
    """What `spec` allows explicitly and `law` denies."""
    return breaches(law, spec, lambda wanted, lets: wanted - lets)


def granted(law: Reachability, spec: Reachability) -> Differences:
    """What `spec` allows explicitly and `law` lets through."""
    return breaches(law, spec, lambda wanted, lets: wanted & lets)


def ungoverned(reach: Reachability, group: Group, place: int = 0) -> Iterator[Direction]:
    """The directions of ends that no policy governs."""
    yield from (way for way in Direction if not is_governed(reach, group.kinds[place], way))


def _is_written(step: Step) -> bool:
    """Whether it is a rule of a policy that allows."""
    return step.action is Action.ALLOW and step.policy is not None and bool(step.tier)
