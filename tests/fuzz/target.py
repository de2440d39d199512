"""What a reader is to the machinery that breaks its inputs, and where good inputs are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "datastore" / "golden"
CONFORMANCE = TESTS / "conformance" / "data"
EXAMPLES = TESTS.parent / "examples"


class Target(NamedTuple):
    """One reader.

    Args:
        seeds: inputs that are right.
        run: reads one input, and whatever uses what was read.
        errors: what a wrong input may raise.
        words: pieces of its language.
    """

    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], object]
    errors: tuple[type[BaseException], ...]
    words: tuple[bytes, ...] = ()


def text_of(data: bytes) -> str:
    """Any bytes as text, broken characters and half ones too."""
    return data.decode("utf-8", "surrogateescape")


def suppressing(error: type[BaseException], run: Callable[[], object]) -> None:
    try:
        run()
    except error:
        return
