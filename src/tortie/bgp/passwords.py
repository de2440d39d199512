"""Passwords of BGP sessions, from files `SECRET/KEY` below one directory, as Kubernetes mounts secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tortie.desired.bgp import Password

LONGEST = 80
"""Bytes that Linux takes as the key of TCP-MD5."""

_UNSAFE_IN_STRINGS = frozenset('"\\\n\r')

Known = dict[tuple[str, str], str]
"""Passwords by the names of secret and key."""


def read_passwords(directory: Path | None) -> Known:
    """All that can be used; line ends behind a password are no part of it."""
    if directory is None or not directory.is_dir():
        return {}
    return {(file.parent.name, file.name): text for file in _files(directory) if (text := _read(file)) is not None}


def _files(directory: Path) -> Iterator[Path]:
    for secret in directory.iterdir():
        if secret.is_dir() and not secret.name.startswith("."):
            yield from (file for file in secret.iterdir() if file.is_file() and not file.name.startswith("."))


def _read(file: Path) -> str | None:
    try:
        text = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return None
    return text if is_usable(text) else None


def is_usable(text: str) -> bool:
    """Whether BIRD's syntax and the kernel can hold this password."""
    fits = 0 < len(text.encode()) <= LONGEST
    return fits and text.isprintable() and not _UNSAFE_IN_STRINGS.intersection(text)


def find(passwords: Known, reference: Password | None) -> str | None:
    """The password that a reference stands for, if it is known."""
    return None if reference is None else passwords.get((reference.secret, reference.key))
