"""One agent for each run directory: a lock that the kernel takes back from a dead one (flock(2))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tortie.base.errors import Unavailable

LOCK = "agent.lock"
"""Name of the locked file in a run directory; it contains the holder's process id."""


@contextmanager
def only_agent(directory: Path) -> Iterator[None]:
    """Be the only agent of a run directory for the length of a block.

    Raises:
        Unavailable: another one works there.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise Unavailable(f"another agent, process {holder}, works in {directory}") from error
        # The lock is what counts; a full disk has no room for who holds it.
        with suppress(OSError):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
