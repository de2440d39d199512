"""How large a write may be: the same for every driver, so that what one datastore holds can be moved to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.contract import Write
from tortie.datastore.keys import parse_key

MAX_REQUEST_BYTES = 1_572_864
"""What etcd takes unless told otherwise (its option --max-request-bytes)."""

_KEYS = 3
"""A conditional write names its key in the condition, the write, and the read that answers a refusal."""

_FRAME_BYTES = 256
"""More than all the rest of a request: tags, lengths, numbers, and the name of the user."""


class TooLarge(InvalidResource):
    """A value is larger than the datastore takes; `limit` is 0 when only the server knows it."""

    def __init__(self, key: str, size: int, limit: int) -> None:
        self.key = key
        self.size = size
        self.limit = limit
        most = f"the datastore takes {limit:,}" if limit else "that is more than this etcd takes"
        super().__init__(
            Problem(str(parse_key(key) or key), "", f"takes {size:,} bytes, and {most}", "split it into several")
        )


def request_size(key: str, value: bytes) -> int:
    """Bytes that writing a value takes at most."""
    return len(value) + _KEYS * len(key.encode("utf-8", "surrogateescape")) + _FRAME_BYTES


def oversized(writes: Mapping[str, bytes], limit: int = MAX_REQUEST_BYTES) -> dict[str, TooLarge]:
    """Which values would take more than `limit` bytes to write, by key."""
    sizes = {key: request_size(key, value) for key, value in writes.items()}
    return {key: TooLarge(key, size, limit) for key, size in sizes.items() if size > limit}


def refuse_oversized(key: str, value: bytes, limit: int = MAX_REQUEST_BYTES) -> None:
    """Raises TooLarge for a value that would take more than `limit` bytes to write."""
    size = request_size(key, value)
    if size > limit:
        raise TooLarge(key, size, limit)


def group_size(writes: Sequence[Write]) -> int:
    """Bytes that writing several values together takes at most."""
    return sum(request_size(write.key, write.value or b"") for write in writes)


def refuse_oversized_group(writes: Sequence[Write], limit: int = MAX_REQUEST_BYTES) -> None:
    """Raises TooLarge, in the name of the largest, for values that together would take more than `limit` bytes."""
    size = group_size(writes)
    if size > limit:
        largest = max(writes, key=lambda write: len(write.value or b""))
        raise TooLarge(largest.key, size, limit)
