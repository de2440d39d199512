"""BIRD as a reconciler target: the configuration file, checked by `bird -p`, then taken over by the daemon.

The last good configuration stays in force when a new one is refused. Sessions that did not change
are not touched: BIRD compares old and new itself.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tortie.base.errors import KernelError, Unavailable
from tortie.base.files import write_atomically
from tortie.bgp.config import render
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.dataplane.target import Plan
from tortie.desired.state import Changes, DesiredState


class BirdActual(msgspec.Struct, frozen=True):
    """`text` of the configuration file, and whether the running daemon is known to have taken it."""

    text: str
    taken: bool


class Configure(msgspec.Struct, frozen=True):
    """Make this text the configuration of file and daemon."""

    text: str


class BirdTarget:
    """The BGP speaker of this node.

    Args:
        directory: holds `bird.conf` and the control socket `bird.ctl`.
        program: the bird binary, for syntax checks.
    """

    name = "bird"

    def __init__(self, directory: Path, program: str = "bird", workload_prefix: str = "cali") -> None:
        self._file = directory / "bird.conf"
        self._control = directory / "bird.ctl"
        self._program = program
        self._workload_prefix = workload_prefix
        self._taken = ""

    def read(self) -> BirdActual:
        """The file as it is; the daemon has taken it when this process told it to."""
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            text = ""
        return BirdActual(text=text, taken=text == self._taken)

    def plan(self, desired: DesiredState, actual: BirdActual, changes: Changes | None) -> Plan[Configure]:
        """One operation, or none."""
        if changes is not None and not changes.bgp:
            return Plan()
        if desired.bgp is None:
            return Plan(waiting={"bgp": "this node has no Node resource with a BGP address"})
        text = render(desired.bgp, self._workload_prefix)
        if text == actual.text and actual.taken:
            return Plan()
        return Plan(operations=(Configure(text),))

    def apply(self, operations: Sequence[Configure]) -> None:
        """Check, write, and tell the daemon. Raises KernelError when it is refused or nobody answers."""
        for operation in operations:
            self._check(operation.text)
            write_atomically(self._file, operation.text.encode(), mode=0o640)
            self._reconfigure()
            self._taken = operation.text

    def applied(self, actual: BirdActual, plan: Plan[Configure]) -> BirdActual:
        """The last text that was configured."""
        return BirdActual(plan.operations[-1].text, taken=True) if plan.operations else actual

    def _check(self, text: str) -> None:
        candidate = self._file.with_suffix(".candidate")
        write_atomically(candidate, text.encode(), mode=0o640)
        try:
            result = subprocess.run(
                [self._program, "-p", "-c", str(candidate)], capture_output=True, text=True, timeout=30, check=False
            )
        except OSError as error:
            raise KernelError("check the BIRD configuration", error.errno or errno.ENOENT, self._program) from error
        finally:
            candidate.unlink(missing_ok=True)
        if result.returncode:
            raise KernelError("check the BIRD configuration", errno.EINVAL, result.stderr.strip())

    def _reconfigure(self) -> None:
        try:
            with BirdControl(self._control) as control:
                control.command("configure")
        except Unavailable as error:
            raise KernelError("configure BIRD", errno.ECONNREFUSED, str(error)) from error
        except BirdRefused as error:
            raise KernelError("configure BIRD", errno.EINVAL, error.text) from error
