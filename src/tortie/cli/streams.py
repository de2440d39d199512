"""Standard output and error that outlive a full disk: the work goes on, and what was lost is told at the end."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FAILED = 1


class Guarded(io.FileIO):
    """A file descriptor that takes everything; a reader that went away still ends the program.

    Args:
        problem: why nothing will arrive, where that is known from the beginning.

    `lost` is why something did not arrive, as soon as it did not.
    """

    def __init__(self, descriptor: int, problem: OSError | None = None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._problem = problem
        self.lost: OSError | None = None
        self._left = False

    def write(self, data: ReadableBuffer, /) -> int:
        """All of the data, at least so it seems. Raises BrokenPipeError, once."""
        try:
            if self._problem is not None:
                raise self._problem
            return super().write(data)
        except BrokenPipeError:
            if not self._left:
                self._left = True
                raise
        except OSError as error:
            self.lost = error
        return memoryview(data).nbytes


def run_guarded(run: Callable[[], object]) -> NoReturn:
    """Run a command and end with its status, or with 1 when not all that it said could be written."""
    sys.stdout, sys.stderr = output, errors = _guarded(sys.stdout, 1), _guarded(sys.stderr, 2)
    status: object = 0
    try:
        run()
    except SystemExit as end:
        status = end.code
    try:
        output.flush()
    except BrokenPipeError:
        status = status or FAILED
    if problem := lost(output):
        print(f"standard output cannot be written: {problem.strerror}; what is missing there is lost", file=errors)
        status = status or FAILED
    # A reader of errors that went away hears of no more.
    with contextlib.suppress(BrokenPipeError):
        errors.flush()
    sys.exit(FAILED if lost(errors) and not status else status)  # type: ignore[arg-type]  # as click gave it


def lost(stream: TextIO) -> OSError | None:
    """Why something written to a stream did not arrive; None where all did, as far as is known."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, Guarded) else None


def _guarded(stream: TextIO | None, descriptor: int) -> TextIO:
    """The same stream, guarded; one that was closed before the program began takes nothing."""
    if stream is None:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        return io.TextIOWrapper(io.BufferedWriter(Guarded(nowhere, OSError(errno.EBADF, os.strerror(errno.EBADF)))))
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Guarded(descriptor)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
    )
