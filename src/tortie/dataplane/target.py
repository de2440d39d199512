"""What a reconciler target supplies; the loop owns batching, retries, full passes and status.

Contract: `apply(plan(desired, actual))` leaves the kernel holding `desired`, and planning again
gives no operations. Planning is pure and looks only at what changed. A target touches only objects
that are ours by construction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from tortie.desired.state import Changes, DesiredState

Actual = TypeVar("Actual")
Operation = TypeVar("Operation")


class Plan(msgspec.Struct, Generic[Operation], frozen=True):
    """Operations in order, and what cannot be programmed yet.

    Args:
        operations: self-contained, because they are applied in another thread.
        waiting: object (as text) to the reason it cannot be programmed now, such as a missing interface.
        settled: objects (as text) that an incremental plan looked at and that may have been waiting but no longer are.
    """

    operations: Sequence[Operation] = ()
    waiting: Mapping[str, str] = {}
    settled: Collection[str] = ()


class Target(Protocol[Actual, Operation]):
    """One kind of kernel object.

    `read` and `apply` block and run in the worker thread of the node's network namespace, where a `plan` of everything
    is made too; `plan` and `applied` are pure, and never run beside one another.
    """

    @property
    def name(self) -> str:
        """Short name for status, logs and metrics, such as `nftables`."""

    def read(self) -> Actual:
        """Everything of ours that the kernel has. Raises KernelError."""

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        """How to get from `actual` to `desired`; with `changes`, only those objects are looked at."""

    def apply(self, operations: Sequence[Operation]) -> None:
        """Carry out a plan. Raises KernelError, after which `actual` is unknown and is read again."""

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        """What the kernel has after the plan succeeded (may be `actual`, changed in place)."""
