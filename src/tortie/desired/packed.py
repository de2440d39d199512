"""Arithmetic on packed members: union and difference of sorted fixed-width records."""

from __future__ import annotations

import numpy as np

from tortie.desired.sets import Members

WIDTHS = {"hosts4": 4, "hosts6": 16, "ports4": 7, "ports6": 19}
"""Bytes per record of each packed field."""


def pack(records: list[bytes], width: int) -> bytes:
    """Sort, remove duplicates and join records of `width` bytes."""
    if any(len(record) != width for record in records):
        raise ValueError(f"records must be {width} bytes")
    return b"".join(sorted(set(records)))


def unpack(packed: bytes, width: int) -> list[bytes]:
    """The records one by one; not for the bulk path."""
    return [packed[i : i + width] for i in range(0, len(packed), width)]


def union(left: bytes, right: bytes, width: int) -> bytes:
    """Records in either, sorted."""
    if not right:
        return left
    if not left:
        return right
    return np.union1d(_records(left, width), _records(right, width)).tobytes()


def difference(left: bytes, right: bytes, width: int) -> bytes:
    """Records of `left` that are not in `right`, sorted."""
    if not left or not right:
        return left
    return np.setdiff1d(_records(left, width), _records(right, width), assume_unique=True).tobytes()


def apply_change(members: Members, added: Members, removed: Members) -> Members:
    """`members` without `removed`, with `added`."""
    packed = {
        name: union(difference(getattr(members, name), getattr(removed, name), width), getattr(added, name), width)
        for name, width in WIDTHS.items()
    }
    return Members(
        nets4=tuple(sorted((set(members.nets4) - set(removed.nets4)) | set(added.nets4))),
        nets6=tuple(sorted((set(members.nets6) - set(removed.nets6)) | set(added.nets6))),
        **packed,
    )


def _records(packed: bytes, width: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    # Big-endian bytes compare as numbers do; numpy sorts void records bytewise.
    return np.frombuffer(packed, dtype=f"V{width}")
