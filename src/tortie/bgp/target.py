"""BIRD as a reconciler target: the configuration file, checked by `bird -p`, then taken over by the daemon.

The last good configuration stays in force when a new one is refused. Sessions that did not change
are not touched: BIRD compares old and new itself.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tortie.base.errors import KernelError, Unavailable
from tortie.base.files import write_atomically
from tortie.bgp.config import render
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.bgp.passwords import Known, read_passwords
from tortie.bgp.peers import withheld
from tortie.dataplane.target import Plan
from tortie.desired.bgp import BGPNode
from tortie.desired.state import Changes, DesiredState

MODE = 0o600
"""Of the configuration file: it holds passwords."""

_SESSIONS = "BGP sessions"
_SPEAKER = "bgp"


class BirdActual(msgspec.Struct, frozen=True):
    """`text` of the configuration file, whether the running daemon is known to have taken it, and known passwords."""

    text: str
    taken: bool
    passwords: Known

    def __repr__(self) -> str:
        return f"BirdActual({len(self.text)} letters, taken={self.taken})"


class Configure(msgspec.Struct, frozen=True):
    """Make this text the configuration of file and daemon."""

    text: str

    def __repr__(self) -> str:
        return f"Configure({len(self.text)} letters)"


class BirdTarget:
    """The BGP speaker of this node.

    Args:
        directory: holds `bird.conf` and the control socket `bird.ctl`.
        program: the bird binary, for syntax checks.
        workload_prefix: how names of workload interfaces begin.
        secrets: holds passwords as files `SECRET/KEY`; they are read at every full pass.
    """

    name = "bird"

    def __init__(
        self,
        directory: Path,
        program: str = "bird",
        workload_prefix: str = "cali",
        secrets: Path | None = None,
    ) -> None:
        self._directory = directory
        self._secrets = secrets
        self._file = directory / "bird.conf"
        self._control = directory / "bird.ctl"
        self._program = program
        self._workload_prefix = workload_prefix
        self._taken = ""

    def read(self) -> BirdActual:
        """The file as it is; the daemon has taken it when this process told it to. Raises KernelError."""
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise _refused(f"read {self._file}", error) from error
        return BirdActual(text, taken=text == self._taken, passwords=read_passwords(self._secrets))

    def plan(self, desired: DesiredState, actual: BirdActual, changes: Changes | None) -> Plan[Configure]:
        """One operation, or none."""
        if changes is not None and not changes.bgp:
            return Plan()
        if desired.bgp is None:
            return Plan(waiting={_SPEAKER: "this node has no Node resource with a BGP address"}, settled=(_SESSIONS,))
        text = render(desired.bgp, self._workload_prefix, actual.passwords)
        operations = () if text == actual.text and actual.taken else (Configure(text),)
        held_back = _held_back(desired.bgp, actual.passwords)
        if held_back:
            return Plan(operations, waiting={_SESSIONS: held_back}, settled=(_SPEAKER,))
        return Plan(operations, settled=(_SPEAKER, _SESSIONS))

    def apply(self, operations: Sequence[Configure]) -> None:
        """Check, write, and tell the daemon.

        Raises:
            KernelError: it is refused, nobody answers, or the disk is full.
        """
        for operation in operations:
            self._check(operation.text)
            self._write(self._file, operation.text)
            self._reconfigure()
            self._taken = operation.text

    def applied(self, actual: BirdActual, plan: Plan[Configure]) -> BirdActual:
        """The last text that was configured."""
        if not plan.operations:
            return actual
        return BirdActual(plan.operations[-1].text, taken=True, passwords=actual.passwords)

    def _write(self, file: Path, text: str) -> None:
        """A daemon that gave up its privileges still owns its directory."""
        try:
            write_atomically(file, text.encode(), mode=MODE)
            owner = self._directory.stat()
            os.chown(file, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise _refused(f"write {file}", error) from error

    def _check(self, text: str) -> None:
        candidate = self._file.with_suffix(".candidate")
        self._write(candidate, text)
        try:
            result = subprocess.run(
                [self._program, "-p", "-c", str(candidate)], capture_output=True, text=True, timeout=30, check=False
            )
        except OSError as error:
            raise KernelError("check the BIRD configuration", error.errno or errno.ENOENT, self._program) from error
        except subprocess.TimeoutExpired as error:
            raise KernelError("check the BIRD configuration", errno.ETIMEDOUT, self._program) from error
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


def _refused(what: str, error: OSError) -> KernelError:
    return KernelError(what, error.errno or errno.EIO)


def _held_back(node: BGPNode, passwords: Known) -> str:
    """Sessions that are not started, and why."""
    found = [f"{session.name}: {reason}" for session in node.sessions if (reason := withheld(session, passwords))]
    return "; ".join(found)
