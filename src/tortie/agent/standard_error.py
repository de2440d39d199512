"""Where an agent says what happens."""

from __future__ import annotations

import os
import sys


class StandardError:
    """A logger for structlog that writes lines to standard error.

    Whoever should read them may be gone, and their disk may be full: what cannot be said is lost, and work goes on.
    """

    def msg(self, message: str) -> None:
        """One line."""
        line = memoryview(f"{message}\n".encode(errors="backslashreplace"))
        try:
            while line:
                line = line[os.write(sys.stderr.fileno(), line) :]
        except OSError:
            return

    debug = info = warning = error = critical = exception = log = msg
