"""Inputs for decoders: known good ones, broken in many ways. The same seed gives the same inputs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

LARGEST = 1 << 16
"""Bytes of an input."""

WORDS = (
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"-0", b"1e999", b"0x10", b"1" * 60, b"9" * 5000),
    *(b"18446744073709551616", b"-9223372036854775809", b"4294967296", b"65536", b"0.1", b"-1"),
    *(b"{}", b"[]", b'""', b"[" * 200, b'{"a":' * 200, b"(" * 200, b"!" * 200, b"&a [*a]", b"*a", b"<<: *a", b"---\n"),
    *(
        b"\\ud800",
        b"\\udc00",
        b"\\u0000",
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"\xf0\x9f\x98\x80",
        b"\xe2\x80\xa8",
        b"\0",
        b"\xef\xbb\xbf",
    ),
    *(b"::", b"0.0.0.0/0", b"::/0", b"fe80::1%eth0", b"256.1.1.1", b"10.0.0.0/33", b"default", b"a" * 300, b"-" * 70),
    *(
        b"&&",
        b"||",
        b"==",
        b"!=",
        b"in",
        b"not in",
        b"has(",
        b"all()",
        b"global()",
        b"contains",
        b"starts with",
        b"'",
        b'"',
    ),
    *(
        b"2026-13-45",
        b"2026-02-30T25:61:61Z",
        b"0001-01-01T00:00:00Z",
        b"9h",
        b"-5s",
        b"\n",
        b"\r\n",
        b"\t",
        b": ",
        b"- ",
    ),
    *(b"\xff" * 9 + b"\x01", b"\x80" * 12, b"\x08\x00", b"\x12\x7f", b"\x04\x00", b"\xff\xff", b"\x00\x00\x00\x00"),
)
"""What has broken decoders before: limits of numbers, half characters, deep nesting, words of our languages."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**40, 0.5, 1e308, -0.0, 1e-320),
    *(
        "",
        "a",
        "default",
        "\0",
        "\ud800",
        "\u2028",
        "<&>",
        "9" * 400,
        "a" * 300,
        "10.0.0.0/8",
        "::1",
        "all()",
        "[",
        "1e5",
    ),
    *([], {}, [None], [[]], [{}], {"": None}, {"a": {"a": {}}}, [0] * 300, ["x"] * 300, {"name": 1}, {"<<": {}}),
)
"""What stands in the place of a part of JSON."""


class Mutator:
    """An endless supply of inputs.

    Args:
        seeds: inputs that are right.
        words: pieces of the language, beside those that every decoder gets.
    """

    def __init__(self, seeds: Sequence[bytes], seed: int, words: Sequence[bytes] = ()) -> None:
        self._random = random.Random(seed)
        self._seeds = list(seeds)
        self._plain = [plain for one in seeds if (plain := _plain(one)) is not None]
        self._words = (*WORDS, *words)
        self._steps = (
            self._flip,
            self._overwrite,
            self._insert,
            self._drop,
            self._repeat,
            self._word,
            self._splice,
            self._cut,
        )

    def next(self) -> bytes:
        """One more input; one in a hundred is as it was."""
        chance = self._random.random()
        if chance < 0.01:
            return self._random.choice(self._seeds)
        if chance < 0.45 and self._plain:
            return self._structured()
        data = self._random.choice(self._seeds)
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 6))):
            data = self._random.choice(self._steps)(data)
        return data[:LARGEST]

    def _structured(self) -> bytes:
        value = self._random.choice(self._plain)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            value = self._changed(value)
        text = json.dumps(value, ensure_ascii=self._random.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")[:LARGEST]

    def _changed(self, value: Any) -> Any:
        """The same value but for one part, deep down as often as not."""
        if isinstance(value, dict) and value and self._random.random() < 0.8:
            return self._changed_map(value)
        if isinstance(value, list) and value and self._random.random() < 0.8:
            return self._changed_list(value)
        return self._random.choice(VALUES) if self._random.random() < 0.7 else self._random.choice(self._plain)

    def _changed_map(self, value: dict[str, Any]) -> dict[str, Any]:
        name = self._random.choice(list(value))
        action = self._random.random()
        if action < 0.75:
            return value | {name: self._changed(value[name])}
        if action < 0.85:
            return {other: inner for other, inner in value.items() if other != name}
        if action < 0.95:
            return value | {self._random.choice(list(value)) + "x": value[name]}
        return {
            self._random.choice(("", "\ud800", name.upper())) if other == name else other: inner
            for other, inner in value.items()
        }

    def _changed_list(self, value: list[Any]) -> list[Any]:
        index = self._random.randrange(len(value))
        action = self._random.random()
        if action < 0.7:
            return [*value[:index], self._changed(value[index]), *value[index + 1 :]]
        return value[:index] + value[index + 1 :] if action < 0.85 else [*value, value[index]]

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        place = self._random.randrange(len(data))
        return data[:place] + bytes((data[place] ^ (1 << self._random.randrange(8)),)) + data[place + 1 :]

    def _overwrite(self, data: bytes) -> bytes:
        place = self._place(data)
        made = self._random.randbytes(self._random.choice((1, 1, 2, 4, 8)))
        return data[:place] + made + data[place + len(made) :]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.randbytes(self._random.choice((1, 2, 4, 16))) + data[place:]

    def _drop(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + data[place + self._random.choice((1, 1, 2, 8, 64)) :]

    def _repeat(self, data: bytes) -> bytes:
        place = self._place(data)
        piece = data[place : place + self._random.choice((1, 2, 8, 64))]
        return data[:place] + piece * self._random.choice((2, 3, 10, 300)) + data[place:]

    def _word(self, data: bytes) -> bytes:
        place = self._place(data)
        rest = place if self._random.random() < 0.5 else place + self._random.choice((1, 4, 12))
        return data[:place] + self._random.choice(self._words) + data[rest:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)] + other[self._place(other) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]


def _plain(data: bytes) -> Any:
    """The value of a seed that is a JSON map, or None."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
