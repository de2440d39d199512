"""Notice that another process touched a file: one inotify descriptor (Linux inotify(7)) by way of the C library."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

IN_ATTRIB = 0x4
"""linux/inotify.h: times, mode, owner or link count changed."""

_EVENT_BUFFER = 4096


class FileWatch:
    """Becomes readable when the attributes of a file change, or its last name is removed.

    Raises:
        OSError: the file is missing, or the user's limit of inotify instances is reached.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._checked(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            self._checked(self._library.inotify_add_watch(self.descriptor, os.fsencode(path), IN_ATTRIB))
        except OSError:
            self.close()
            raise

    def drain(self) -> None:
        """Forget what was noticed so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, _EVENT_BUFFER):
                pass

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.descriptor)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
