"""A target without a kernel, that fails, drifts and dawdles on demand; for tests and simulated clusters."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from tortie.base.errors import KernelError
from tortie.dataplane.target import Plan
from tortie.desired.state import Changes, DesiredState


class Put(msgspec.Struct, frozen=True, gc=False):
    """Make an object, or change it."""

    key: str
    value: str


class Drop(msgspec.Struct, frozen=True, gc=False):
    """Remove an object."""

    key: str


class FakeTarget:
    """Programs the desired routes into a dict: destination to interface.

    Args:
        name: as in status.
        journal: operations applied, with the target's name; may be shared to see the order of several targets.

    Attributes:
        kernel: the objects; change it to make them drift.
        failures: errors that the next calls of `read` and `apply` raise, one each; a failing `apply` has by then
            carried out the first of its operations.
        missing: interfaces that do not exist, so that routes out of them wait.
        gate: `apply` waits while it is cleared.
    """

    def __init__(self, name: str = "fake", journal: list[tuple[str, Put | Drop]] | None = None) -> None:
        self._name = name
        self.journal = journal if journal is not None else []
        self.kernel: dict[str, str] = {}
        self.failures: list[KernelError] = []
        self.missing: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.reads = 0
        self.applies = 0

    @property
    def name(self) -> str:
        return self._name

    def read(self) -> dict[str, str]:
        self.reads += 1
        if self.failures:
            raise self.failures.pop(0)
        return dict(self.kernel)

    def plan(self, desired: DesiredState, actual: dict[str, str], changes: Changes | None) -> Plan[Put | Drop]:
        wanted = {str(route.destination): route.interface for route in desired.routes.values()}
        looked_at = sorted(wanted.keys() | actual.keys() if changes is None else _touched(wanted, changes))
        waiting = {
            key: f"{wanted[key]} does not exist" for key in looked_at if key in wanted and wanted[key] in self.missing
        }
        present = {key: wanted[key] for key in looked_at if key in wanted and key not in waiting}
        operations: list[Put | Drop] = [Drop(key) for key in looked_at if key in actual and key not in present]
        operations += [Put(key, value) for key, value in present.items() if actual.get(key) != value]
        return Plan(operations, waiting, [key for key in looked_at if key not in waiting])

    def apply(self, operations: Sequence[Put | Drop]) -> None:
        self.gate.wait()
        self.applies += 1
        failure = self.failures.pop(0) if self.failures else None
        for operation in operations[:1] if failure else operations:
            self.journal.append((self._name, operation))
            _carry_out(self.kernel, operation)
        if failure:
            raise failure

    def applied(self, actual: dict[str, str], plan: Plan[Put | Drop]) -> dict[str, str]:
        for operation in plan.operations:
            _carry_out(actual, operation)
        return actual


def _touched(wanted: dict[str, str], changes: Changes) -> set[str]:
    of_interfaces = {key for key, interface in wanted.items() if interface in changes.interfaces}
    return {str(destination) for destination in changes.routes} | of_interfaces


def _carry_out(objects: dict[str, str], operation: Put | Drop) -> None:
    if isinstance(operation, Put):
        objects[operation.key] = operation.value
    else:
        objects.pop(operation.key, None)
