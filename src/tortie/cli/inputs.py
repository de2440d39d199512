"""Which files a command reads, as its options name them."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Input(msgspec.Struct, frozen=True):
    """Which files to read, and how.

    Args:
        paths: files, folders, or `-`.
        namespace: for namespaced resources that name none.
        recursive: folders within folders too.
        skip_empty: a file or folder without objects is no problem.
    """

    paths: tuple[Path, ...]
    namespace: str = "default"
    recursive: bool = False
    skip_empty: bool = False
