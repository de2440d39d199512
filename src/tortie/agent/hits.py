"""How many packets each rule matched on a node: what an agent answers to `tortie policy hits`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.desired.policy import Direction


class RuleHits(msgspec.Struct, frozen=True):
    """A rule as it was written: `index` counts from 0 in its direction."""

    direction: Direction
    index: int
    action: str
    packets: int
    bytes: int


class PolicyHits(msgspec.Struct, frozen=True, rename="camel"):
    """A policy or profile.

    Args:
        staged: what it counts is what it would have decided.
        endpoints: how many workloads and host endpoints of the node it governs, or would.
        packets, bytes: of all its rules.
    """

    kind: str
    namespace: str
    name: str
    tier: str
    staged: bool
    endpoints: int
    packets: int
    bytes: int
    rules: Sequence[RuleHits]


class EndHits(msgspec.Struct, frozen=True):
    """Packets that no written rule decided.

    Args:
        direction: as the workload sees it.
        fate: Deny, Allow, or what would be if all that is staged were enforced.
        reason: such as `end of tier default`.
    """

    direction: Direction
    fate: str
    reason: str
    packets: int
    bytes: int


class HitsReport(msgspec.Struct, frozen=True):
    """What was counted on a node since a time, in seconds since the epoch; policies in the order of evaluation."""

    node: str
    since: float
    policies: Sequence[PolicyHits] = ()
    ends: Sequence[EndHits] = ()
