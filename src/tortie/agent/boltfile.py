"""Files of bbolt, the key-value store of many Go programs, read only: buckets in buckets, as B+ trees of pages
(layout: go.etcd.io/bbolt, page.go and bucket.go). Every number is little-endian."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tortie.base.errors import Unavailable

_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_BRANCH = struct.Struct("<IIQ")
_LEAF = struct.Struct("<IIII")
_BUCKET = struct.Struct("<QQ")
_MAGIC = 0xED0CDAED
_VERSION = 2
_IS_BRANCH, _IS_LEAF = 1, 2
_IS_BUCKET = 1
_PAGE_SIZES = (4096, 8192, 16384, 65536)
_DEEPEST = 32


class Element(NamedTuple):
    """An entry of a bucket: a value, or a bucket of its own."""

    key: bytes
    value: bytes
    is_bucket: bool


@contextmanager
def open_bolt(path: Path) -> Iterator[BoltFile]:
    """A file as its last transaction left it; writers wait meanwhile.

    Raises:
        Unavailable: a writer is at work now, or it is no such file.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"{path} is being written") from error
        if os.fstat(descriptor).st_size == 0:
            raise Unavailable(f"{path} is empty")
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            yield BoltFile(data, str(path))
    finally:
        os.close(descriptor)


class BoltFile:
    """The bytes of a file. Raises Unavailable when they cannot be such a file's."""

    def __init__(self, data: mmap.mmap | bytes, name: str = "") -> None:
        self._data = data
        self._name = name
        self._page_size, self._root = self._newest_meta()

    def get(self, *path: bytes) -> bytes | None:
        """The value at the end of a path of buckets, or None."""
        return self._get(path, self._root)

    def _get(self, path: Sequence[bytes], root: int) -> bytes | None:
        try:
            found = self._find(path[0], self._place(root), _DEEPEST)
            if found is None or found.is_bucket != (len(path) > 1):
                return None
            if len(path) == 1:
                return found.value
            inner, _ = _BUCKET.unpack_from(found.value)
            return self._get(path[1:], inner) if inner else _inline(found.value, self._name).get(*path[1:])
        except struct.error as error:
            raise self._broken("it is cut short") from error

    def _find(self, key: bytes, place: int, depth: int) -> Element | None:
        _, flags, count, _ = _PAGE.unpack_from(self._data, place)
        if flags & _IS_LEAF:
            return next((one for one in self._elements(place, count) if one.key == key), None)
        if not flags & _IS_BRANCH or not depth:
            raise self._broken("a page is neither branch nor leaf")
        child = self._child(key, place, count)
        return None if child is None else self._find(key, self._place(child), depth - 1)

    def _elements(self, place: int, count: int) -> Iterator[Element]:
        for number in range(count):
            at = place + _PAGE.size + number * _LEAF.size
            flags, position, key, value = _LEAF.unpack_from(self._data, at)
            start = at + position
            whole = bytes(self._data[start : start + key + value])
            if len(whole) != key + value:
                raise self._broken("it is cut short")
            yield Element(whole[:key], whole[key:], bool(flags & _IS_BUCKET))

    def _child(self, key: bytes, place: int, count: int) -> int | None:
        """The page in which a key is, if it is anywhere: that of the last separator not above it."""
        found = None
        for number in range(count):
            at = place + _PAGE.size + number * _BRANCH.size
            position, size, page = _BRANCH.unpack_from(self._data, at)
            if found is not None and bytes(self._data[at + position : at + position + size]) > key:
                break
            found = int(page)
        return found

    def _place(self, page: int) -> int:
        place = page * self._page_size
        if place + _PAGE.size > len(self._data):
            raise self._broken(f"it has no page {page}")
        return place

    def _newest_meta(self) -> tuple[int, int]:
        """Page size, and root of the later of the two transactions that are kept."""
        found = {}
        for place in (0, *_PAGE_SIZES):
            if place + _PAGE.size + _META.size > len(self._data):
                continue
            meta = self._data[place + _PAGE.size : place + _PAGE.size + _META.size]
            magic, version, size, _, root, _, _, _, transaction, checksum = _META.unpack(meta)
            if (magic, version) == (_MAGIC, _VERSION) and checksum == _fnv(meta[:-8]) and place in (0, size):
                found[transaction] = (size, root)
        if not found:
            raise self._broken("it does not begin as one")
        return found[max(found)]

    def _broken(self, problem: str) -> Unavailable:
        return Unavailable(f"{self._name} cannot be read as a bbolt file: {problem}")


class _Inline(BoltFile):
    """A small bucket, kept as one page within the value that names it."""

    def _newest_meta(self) -> tuple[int, int]:
        return len(self._data), 0


def _inline(value: bytes, name: str) -> BoltFile:
    return _Inline(value[_BUCKET.size :], name)


def _fnv(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return found
