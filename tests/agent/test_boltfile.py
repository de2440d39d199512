"""bbolt files, made here by the layout, and spoilt."""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.boltfile import BoltFile, open_bolt
from tortie.base.errors import Unavailable

PAGE = 4096
Tree = Mapping[bytes, "bytes | Tree"]


def fnv(data: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return found


def meta(number: int, root: int, transaction: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, 2, 99, transaction)
    return struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", fnv(body))


def leaf(items: list[tuple[bytes, bytes, int]], number: int = 0) -> bytes:
    table, data = b"", b""
    for index, (key, value, flags) in enumerate(items):
        position = (len(items) - index) * 16 + len(data)
        table += struct.pack("<IIII", flags, position, len(key), len(value))
        data += key + value
    return struct.pack("<QHHI", number, 2, len(items), 0) + table + data


def branch(children: list[tuple[bytes, int]], number: int) -> bytes:
    table, data = b"", b""
    for index, (key, child) in enumerate(children):
        table += struct.pack("<IIQ", (len(children) - index) * 16 + len(data), len(key), child)
        data += key
    return struct.pack("<QHHI", number, 1, len(children), 0) + table + data


class Writer:
    """Pages of a tree: inner buckets inline when they are small, two leaves under a branch when they are large."""

    def __init__(self, tree: Tree) -> None:
        self.pages: list[bytes] = [b"", b"", b""]
        root = self.bucket(tree)
        self.pages[0], self.pages[1] = meta(0, root, 7), meta(1, 2, 6)

    @property
    def data(self) -> bytes:
        return b"".join(page.ljust(PAGE, b"\0") for page in self.pages)

    def bucket(self, tree: Tree) -> int:
        items = [self.item(key, tree[key]) for key in sorted(tree)]
        if len(items) < 4:
            return self.page(leaf(items))
        halves = items[: len(items) // 2], items[len(items) // 2 :]
        children = [(half[0][0], self.page(leaf(half))) for half in halves]
        return self.page(branch(children, len(self.pages)))

    def item(self, key: bytes, value: bytes | Tree) -> tuple[bytes, bytes, int]:
        if isinstance(value, bytes):
            return key, value, 0
        if len(value) < 3 and all(isinstance(one, bytes) for one in value.values()):
            inline = leaf([(name, one, 0) for name, one in sorted(value.items()) if isinstance(one, bytes)])
            return key, struct.pack("<QQ", 0, 0) + inline, 1
        return key, struct.pack("<QQ", self.bucket(value), 0), 1

    def page(self, data: bytes) -> int:
        assert len(data) <= PAGE
        self.pages.append(data)
        return len(self.pages) - 1


MANY: dict[bytes, bytes | Tree] = {b"%03d" % number: {b"config": b"c%d" % number} for number in range(40)}
TREE: Tree = {b"ctr": MANY, b"all": {b"a": b"1"}, b"name": b"value"}


def test_values_are_found_in_inline_and_in_large_buckets() -> None:
    file = BoltFile(Writer(TREE).data)
    assert file.get(b"name") == b"value"
    assert file.get(b"all", b"a") == b"1"
    assert [file.get(b"ctr", b"%03d" % number, b"config") for number in range(40)] == [b"c%d" % n for n in range(40)]


@pytest.mark.parametrize(
    "path", [(b"none",), (b"ctr",), (b"name", b"x"), (b"all", b"b"), (b"ctr", b"0005", b"config"), (b"ctr", b"", b"x")]
)
def test_what_is_not_there_is_none(path: tuple[bytes, ...]) -> None:
    assert BoltFile(Writer(TREE).data).get(*path) is None


def test_the_later_of_two_transactions_counts_and_a_torn_one_does_not() -> None:
    writer = Writer(TREE)
    other = writer.bucket({b"name": b"newer"})
    writer.pages[1] = meta(1, other, 8)
    assert BoltFile(writer.data).get(b"name") == b"newer"
    writer.pages[1] = writer.pages[1][:-1] + b"\0"
    assert BoltFile(writer.data).get(b"name") == b"value"


@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=8))
def test_spoilt_files_give_a_value_or_say_that_they_cannot_be_read(place: int, data: bytes) -> None:
    whole = bytearray(Writer(TREE).data)
    place %= len(whole)
    whole[place : place + len(data)] = data
    try:
        BoltFile(bytes(whole[: max(place, PAGE)])).get(b"ctr", b"007", b"config")
        BoltFile(bytes(whole)).get(b"ctr", b"007", b"config")
    except Unavailable:
        return


def test_a_file_that_is_being_written_or_is_none_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "bolt"
    path.write_bytes(b"")
    with pytest.raises(Unavailable, match="empty"), open_bolt(path):
        pass
    path.write_bytes(Writer(TREE).data)
    with path.open("rb+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="being written"), open_bolt(path):
            pass
    with open_bolt(path) as file:
        assert file.get(b"name") == b"value"
