"""Requests that make and unmake nf_tables objects (linux/netfilter/nf_tables.h), to be committed as one batch."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec
import numpy as np

from tortie.netlink.batch import Request
from tortie.netlink.nftables_expressions import Verdict, verdict_data
from tortie.netlink.wire import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    attribute,
    be32,
    nested,
    text,
)

SUBSYSTEM = 10 << 8
EVENTS = 7
"""Multicast group of changes to nf_tables."""

NEWTABLE, GETTABLE, DELTABLE = SUBSYSTEM | 0, SUBSYSTEM | 1, SUBSYSTEM | 2
NEWCHAIN, GETCHAIN, DELCHAIN = SUBSYSTEM | 3, SUBSYSTEM | 4, SUBSYSTEM | 5
NEWRULE, GETRULE, DELRULE = SUBSYSTEM | 6, SUBSYSTEM | 7, SUBSYSTEM | 8
NEWSET, GETSET, DELSET = SUBSYSTEM | 9, SUBSYSTEM | 10, SUBSYSTEM | 11
NEWSETELEM, GETSETELEM, DELSETELEM = SUBSYSTEM | 12, SUBSYSTEM | 13, SUBSYSTEM | 14
NEWGEN, GETGEN = SUBSYSTEM | 15, SUBSYSTEM | 16

INET = 1
"""Family of tables that see both IPv4 and IPv6 (NFPROTO_INET)."""

TABLE_OWNED = 0x2
"""Only the socket that makes a table may change it, and the table goes when the socket is closed (Linux 5.12)."""

SET_ANONYMOUS, SET_CONSTANT, SET_INTERVAL, SET_MAP, SET_DYNAMIC, SET_CONCAT = 0x1, 0x2, 0x4, 0x8, 0x20, 0x80
VERDICTS = 0xFFFFFF00
"""Data type of a verdict map."""

INTERFACE_NAME = 41
"""Key type of interface names: 16 bytes, which nft(8) shows reversed unless it is told that they are in host order."""

ELEMENTS_PER_MESSAGE = 60_000
"""Bytes of elements in one message; the attribute's own length has 16 bits."""

_ELEMENT = 1
_ELEMENT_KEY = 1
_ELEMENT_DATA = 2
_ELEMENT_FLAGS = 3
_ELEMENT_USERDATA = 6
_ELEMENT_STATE = 7
_ELEMENT_KEY_END = 10
_INTERVAL_END = 1
_VALUE = 1
_COMMENT = 0
_HOST_ORDER = struct.pack("=BBI", 0, 4, 1)


class Table(msgspec.Struct, frozen=True, gc=False):
    """Where everything below lives."""

    family: int
    name: str

    def header(self) -> bytes:
        """The nfgenmsg that every message begins with."""
        return struct.pack("=BBH", self.family, 0, 0)


class Hook(msgspec.Struct, frozen=True, gc=False):
    """Where a base chain is attached.

    Args:
        number: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
        priority: lower runs first; 0 is that of filters, -300 is before conntrack.
        accept: what happens to packets on which no rule decides.
        type: `filter`, or `nat`, which sees only the first packet of each connection.
    """

    number: int
    priority: int
    accept: bool = True
    type: str = "filter"


class SetDeclaration(msgspec.Struct, frozen=True, gc=False):
    """What can be in a set; two declarations that differ are two different sets.

    Args:
        key_type: for nft(8) only: its number of the type, six bits for each part of a concatenation.
        key_length: bytes, each part of a concatenation padded to 4.
        fields: lengths of the parts, for intervals of concatenations only.
        verdicts: the set is a map from keys to verdicts.
        data: it is a map to values of this type and length; (0, 0) if not.
        stateful: elements may have a state, such as a limit, that a look-up asks and changes.
    """

    key_type: int
    key_length: int
    interval: bool = False
    fields: tuple[int, ...] = ()
    verdicts: bool = False
    data: tuple[int, int] = (0, 0)
    stateful: bool = False

    @property
    def flags(self) -> int:
        """NFT_SET_* flags."""
        kinds = {
            SET_INTERVAL: self.interval,
            SET_MAP: self.verdicts or any(self.data),
            SET_DYNAMIC: self.stateful,
            SET_CONCAT: bool(self.fields),
        }
        return sum(flag for flag, wanted in kinds.items() if wanted)


def new_table(table: Table, flags: int = 0) -> Request:
    """Create a table, or find it there; one with TABLE_OWNED goes with the socket that makes it."""
    payload = table.header() + text(1, table.name) + be32(2, flags)
    return Request(NEWTABLE, NLM_F_CREATE, payload, f"new table {table.name}")


def delete_table(table: Table) -> Request:
    """Delete a table with all that is in it."""
    return Request(DELTABLE, 0, table.header() + text(1, table.name), f"delete table {table.name}")


def new_chain(table: Table, chain: str, hook: Hook | None = None) -> Request:
    """Create a chain, or find it there; with a hook, a base chain."""
    payload = table.header() + text(1, table.name) + text(3, chain)
    if hook is not None:
        payload += nested(4, be32(1, hook.number), attribute(2, struct.pack(">i", hook.priority)))
        payload += be32(5, int(hook.accept)) + text(7, hook.type)
    return Request(NEWCHAIN, NLM_F_CREATE, payload, f"new chain {chain}")


def delete_chain(table: Table, chain: str) -> Request:
    """Delete a chain that is empty and that nothing jumps to."""
    return Request(DELCHAIN, 0, table.header() + text(1, table.name) + text(3, chain), f"delete chain {chain}")


def flush_chain(table: Table, chain: str) -> Request:
    """Delete all rules of a chain."""
    return Request(DELRULE, 0, table.header() + text(1, table.name) + text(2, chain), f"flush chain {chain}")


def new_rule(table: Table, chain: str, expressions: bytes, comment: bytes = b"") -> Request:
    """Append a rule; `comment` (up to 253 bytes) is kept as nft(8) keeps comments."""
    userdata = attribute(7, packed_comment(comment)) if comment else b""
    payload = table.header() + text(1, table.name) + text(2, chain) + nested(4, expressions) + userdata
    return Request(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, payload, f"new rule in chain {chain}")


def new_set(table: Table, name: str, declaration: SetDeclaration, size: int = 0) -> Request:
    """Create a set, or find it there.

    Args:
        size: most elements that it may hold, 0 for no limit; with a limit, large loads are three times as fast,
            and sending the request again raises it (Linux 6.5).
    """
    return _set_request(table, name, declaration, declaration.flags, size)


def new_anonymous_set(table: Table, name: str, declaration: SetDeclaration) -> Request:
    """Create a set that belongs to the one rule that names it, and goes with it."""
    return _set_request(table, name, declaration, declaration.flags | SET_ANONYMOUS | SET_CONSTANT, 0)


def delete_set(table: Table, name: str) -> Request:
    """Delete a set or map that no rule names."""
    return Request(DELSET, 0, table.header() + text(1, table.name) + text(2, name), f"delete set {name}")


def add_elements(table: Table, name: str, elements: list[bytes]) -> Iterator[Request]:
    """Add packed elements; those that are there already do no harm."""
    return _element_requests(NEWSETELEM, NLM_F_CREATE, table, name, elements)


def delete_elements(table: Table, name: str, elements: list[bytes]) -> Iterator[Request]:
    """Delete packed elements; the batch fails with ENOENT when one is not there."""
    return _element_requests(DELSETELEM, 0, table, name, elements)


def element(key: bytes, end: bytes = b"", comment: bytes = b"", state: bytes = b"") -> bytes:
    """One element; `end` is the last key of a range in a set of concatenated intervals, `state` an expression."""
    upper = nested(_ELEMENT_KEY_END, attribute(_VALUE, end)) if end else b""
    userdata = attribute(_ELEMENT_USERDATA, packed_comment(comment)) if comment else b""
    # An expression comes wrapped as an item of a list; here it stands by itself.
    own = nested(_ELEMENT_STATE, state[4:]) if state else b""
    return nested(_ELEMENT, nested(_ELEMENT_KEY, attribute(_VALUE, key)), upper, userdata, own)


def verdict_element(key: bytes, code: Verdict, chain: str) -> bytes:
    """One element of a verdict map."""
    return nested(_ELEMENT, nested(_ELEMENT_KEY, attribute(_VALUE, key)), verdict_data(_ELEMENT_DATA, code, chain))


def data_element(key: bytes, data: bytes) -> bytes:
    """One element of a map to values."""
    return nested(
        _ELEMENT, nested(_ELEMENT_KEY, attribute(_VALUE, key)), nested(_ELEMENT_DATA, attribute(_VALUE, data))
    )


def plain_elements(keys: bytes, length: int) -> list[bytes]:
    """Many elements at once: `keys` are joined keys of `length` bytes; the result is cut for messages."""
    return _packed(keys, length, element(bytes(length)))


def interval_elements(intervals: bytes, length: int) -> list[bytes]:
    """Disjoint intervals at once, each two joined keys: the first, and the first behind it.

    An interval that reaches to the last possible key has 0 behind it, and no second element.
    """
    rows = np.frombuffer(intervals, dtype=np.uint8).reshape(-1, 2 * length)
    endless = ~rows[:, length:].any(axis=1)
    template = _interval_element(bytes(length), 0) + _interval_element(bytes(length), _INTERVAL_END)
    packed = _packed(rows[~endless].tobytes(), length, template, 2)
    return packed + [_interval_element(row[:length].tobytes(), 0) for row in rows[endless]]


def _interval_element(key: bytes, flags: int) -> bytes:
    return nested(_ELEMENT, be32(_ELEMENT_FLAGS, flags), nested(_ELEMENT_KEY, attribute(_VALUE, key)))


def packed_comment(comment: bytes) -> bytes:
    """The way nft(8) packs comments into user data."""
    return bytes((_COMMENT, len(comment) + 1)) + comment + b"\0"


def _packed(keys: bytes, length: int, template: bytes, parts: int = 1) -> list[bytes]:
    """Copies of a template with keys filled in; it has `parts` equal parts, each ending in a key and its padding."""
    size = len(template) // parts
    rows = np.frombuffer(keys, dtype=np.uint8).reshape(-1, parts, length)
    packed = np.empty((len(rows), parts, size), dtype=np.uint8)
    packed[:] = np.frombuffer(template, dtype=np.uint8).reshape(parts, size)
    end = size - (-length % 4)
    packed[:, :, end - length : end] = rows
    step = ELEMENTS_PER_MESSAGE // len(template)
    return [packed[start : start + step].tobytes() for start in range(0, len(rows), step)]


def _set_request(table: Table, name: str, declaration: SetDeclaration, flags: int, size: int) -> Request:
    concatenation = nested(2, *(nested(1, be32(1, length)) for length in declaration.fields))
    description = (be32(1, size) if size else b"") + (concatenation if declaration.fields else b"")
    payload = b"".join(
        (
            table.header(),
            text(1, table.name),
            text(2, name),
            be32(3, flags),
            be32(4, declaration.key_type),
            be32(5, declaration.key_length),
            be32(6, VERDICTS) if declaration.verdicts else b"",
            be32(6, declaration.data[0]) + be32(7, declaration.data[1]) if any(declaration.data) else b"",
            be32(10, 1),
            attribute(13, _HOST_ORDER) if declaration.key_type == INTERFACE_NAME else b"",
            nested(9, description) if description else b"",
        )
    )
    return Request(NEWSET, NLM_F_CREATE, payload, f"new set {name}")


def _element_requests(kind: int, flags: int, table: Table, name: str, elements: list[bytes]) -> Iterator[Request]:
    head = table.header() + text(1, table.name) + text(2, name)
    words = f"{'add' if kind == NEWSETELEM else 'delete'} elements of set {name}"
    for packed in _joined(elements):
        yield Request(kind, flags, head + nested(3, packed), words)


def _joined(elements: list[bytes]) -> Iterator[bytes]:
    """Elements put together up to what one message may hold."""
    pending: list[bytes] = []
    size = 0
    for packed in elements:
        if size + len(packed) > ELEMENTS_PER_MESSAGE and pending:
            yield b"".join(pending)
            pending, size = [], 0
        pending.append(packed)
        size += len(packed)
    if pending:
        yield b"".join(pending)
