"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def write_named(path: Path, data: bytes, mode: int = 0o644, sync: bool = False) -> None:
    """Write where a person said: files are replaced whole, links followed, devices and pipes written into.

    Raises:
        OSError: it cannot be written; an old file is untouched.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.write(data)
        return
    write_atomically(Path(os.path.realpath(path)), data, mode, sync)


def write_atomically(path: Path, data: bytes, mode: int = 0o600, sync: bool = False) -> None:
    """Replace a file so that readers see the old or the new one, also after a crash when `sync` is set.

    Raises:
        OSError: the directory is missing, full or read-only; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
