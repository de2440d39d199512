"""A whole datastore as one file: a header, one line for every key with its exact bytes, and a checksum. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from tortie.base.errors import InvalidResource, Problem

T = TypeVar("T")

ROOTS = ("/calico/", "/tortie/")
"""What is Calico's layout, and what is ours beside it."""

IMPORT_KEY = "/tortie/import"
"""Stands in a datastore while an archive is being brought into it."""

VOLATILE = (
    "/calico/felix/",
    "/calico/bgp/v1/",
    "/calico/openstack/v1/",
    "/calico/openstack/v2/",
    "/tortie/testimony/",
    "/tortie/controllers/",
    IMPORT_KEY,
)
"""Written again by whoever is alive: liveness, status and elections do not move; nor does what tells of a move."""

FORMAT = "tortie-datastore"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Args:
        format, version: what kind of file this is.
        cluster: identity of the cluster; empty when it has none.
        revision: of the datastore when all of this was read, at one instant.
        keys: how many follow.
        taken: when, RFC 3339.
    """

    format: str
    version: int
    cluster: str
    revision: int
    keys: int
    taken: str


class Archive(msgspec.Struct, frozen=True):
    """All keys and their bytes."""

    header: Header
    values: Mapping[str, bytes]


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes that are text stand as text, so that people can read them."""

    key: str
    value: str | None = None
    base64: str | None = None


class _Trailer(msgspec.Struct, frozen=True):
    sha256: str


def is_moved(key: str) -> bool:
    """Whether a key belongs to what a datastore is moved with."""
    return key.startswith(ROOTS) and not key.startswith(VOLATILE)


def write_archive(archive: Archive) -> Iterator[bytes]:
    """The file, line by line."""
    digest = hashlib.sha256()
    for line in _lines(archive):
        digest.update(line)
        yield line
    yield msgspec.json.encode(_Trailer(digest.hexdigest())) + b"\n"


def read_archive(lines: Iterable[bytes], file: str) -> Archive:
    """The content of a file.

    Raises:
        InvalidResource: it is no such file, or not whole, or altered.
    """
    digest = hashlib.sha256()
    rows = iter(lines)
    header = _header(next(rows, b""), file, digest)
    values: dict[str, bytes] = {}
    last = b""
    for number, line in enumerate(rows, 2):
        last = line
        if number == header.keys + 2:
            break
        digest.update(line)
        key, value = _value(line, file, number)
        values[key] = value
    if len(values) != header.keys or next(rows, None) is not None:
        raise _broken(file, len(values) + 1, f"holds {len(values)} keys where its header says {header.keys}")
    if _decode(last, _Trailer, file, header.keys + 2).sha256 != digest.hexdigest():
        raise _broken(file, header.keys + 2, "its checksum does not fit")
    return Archive(header, values)


def _lines(archive: Archive) -> Iterator[bytes]:
    yield msgspec.json.encode(archive.header) + b"\n"
    for key in sorted(archive.values):
        yield msgspec.json.encode(_line(key, archive.values[key])) + b"\n"


def _line(key: str, value: bytes) -> _Line:
    try:
        return _Line(key, value=value.decode())
    except UnicodeDecodeError:
        return _Line(key, base64=base64.b64encode(value).decode())


def _header(line: bytes, file: str, digest: hashlib._Hash) -> Header:
    digest.update(line)
    header = _decode(line, Header, file, 1)
    if (header.format, header.version) != (FORMAT, 1):
        raise _broken(file, 1, f"is {header.format!r} version {header.version}, not {FORMAT!r} version 1")
    return header


def _value(line: bytes, file: str, number: int) -> tuple[str, bytes]:
    row = _decode(line, _Line, file, number)
    if not is_moved(row.key) or (row.value is None) == (row.base64 is None):
        raise _broken(file, number, "is not a key of a datastore and its value")
    if row.value is not None:
        return row.key, row.value.encode()
    try:
        return row.key, base64.b64decode(row.base64 or "", validate=True)
    except ValueError as error:
        raise _broken(file, number, str(error)) from error


def _decode(line: bytes, type: type[T], file: str, number: int) -> T:
    try:
        return msgspec.json.decode(line, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(file, number, str(error)) from error


def _broken(file: str, line: int, problem: str) -> InvalidResource:
    remedy = "use a whole file that `tortie datastore migrate export` wrote"
    return InvalidResource(Problem("datastore archive", "", problem, remedy, file, line, 1))
