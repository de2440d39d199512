"""Packed addresses of one family by item id, gathered from many items at once without an object for each."""

from __future__ import annotations

import numpy as np
from pyroaring import BitMap


class PackedColumn:
    """Nearly every item has one address or none, and those stand in a row; what has several stands apart.

    Args:
        width: bytes of an address.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._records = bytearray()
        self._single = BitMap()
        self._several: dict[int, bytes] = {}
        self._crowded = BitMap()

    def __getitem__(self, item: int) -> bytes:
        """The joined addresses of an item; empty when it has none."""
        if item in self._single:
            return bytes(self._records[item * self._width : (item + 1) * self._width])
        return self._several.get(item, b"")

    def __setitem__(self, item: int, packed: bytes) -> None:
        """An item has these from now on."""
        if item in self._crowded:
            self._crowded.discard(item)
            del self._several[item]
        if len(packed) == self._width:
            self._put(item, packed)
            return
        self._single.discard(item)
        if packed:
            self._several[item] = packed
            self._crowded.add(item)

    def gather(self, items: BitMap) -> bytes:
        """The addresses of many items, joined in no order."""
        single = np.frombuffer((self._single & items).to_array(), dtype=np.uint32)
        records = np.frombuffer(self._records, dtype=f"V{self._width}")
        packed = records[single].tobytes() if len(single) else b""
        return packed + b"".join([self._several[item] for item in self._crowded & items])

    def _put(self, item: int, packed: bytes) -> None:
        start, missing = item * self._width, (item + 1) * self._width - len(self._records)
        if missing > 0:
            self._records += bytes(missing)
        self._records[start : start + self._width] = packed
        self._single.add(item)
