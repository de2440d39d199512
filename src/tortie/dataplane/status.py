"""How programming the kernel goes, target by target: for the status file, the tortie command and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a target stands."""

    PENDING = "pending"
    """Never yet compared with the kernel."""
    PROGRAMMED = "programmed"
    """All that can be is in the kernel; see `waiting` for what cannot."""
    FAILING = "failing"
    """The last attempt was refused; it will be repeated."""


class Counters(msgspec.Struct, frozen=True, gc=False):
    """Totals since the start.

    Args:
        passes: attempts that had something to look at, full ones included.
        full_passes: attempts that read everything from the kernel.
        failures: attempts that were refused.
        drifts: full passes because the kernel reported a foreign change.
        operations: applied without error.
        seconds: spent in passes.
    """

    passes: int = 0
    full_passes: int = 0
    failures: int = 0
    drifts: int = 0
    operations: int = 0
    seconds: float = 0.0


class TargetStatus(msgspec.Struct, frozen=True):
    """One target.

    Args:
        acknowledged: the last generation of the desired state that is wholly in the kernel; 0 is none.
        last_full: when the last full pass succeeded, in seconds since the epoch; 0 is never.
        failing: why the last attempt was refused, or empty.
        waiting: object to the reason it cannot be programmed now, such as a missing interface.
    """

    name: str
    phase: Phase
    acknowledged: int
    last_full: float
    failing: str
    waiting: Mapping[str, str]
    counters: Counters
