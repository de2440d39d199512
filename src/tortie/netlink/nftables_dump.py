"""What nf_tables holds: reading tables, chains, rules, sets and elements back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from tortie.base.errors import KernelError
from tortie.netlink.nftables import (
    GETCHAIN,
    GETRULE,
    GETSET,
    GETSETELEM,
    GETTABLE,
    SET_ANONYMOUS,
    SET_DYNAMIC,
    SET_INTERVAL,
    SET_MAP,
    VERDICTS,
    Hook,
    SetDeclaration,
    Table,
)
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage, as_text, attribute_list, attributes, text

_HEADER = 4
_ENOENT = 2
_INTERVAL_END = 1


class TableInfo(msgspec.Struct, frozen=True, gc=False):
    """A table; any flag (dormant, owned) is not ours."""

    flags: int
    handle: int


class ChainInfo(msgspec.Struct, frozen=True, gc=False):
    """A chain; `hook` is None for chains that are only jumped to, `type` is empty for them."""

    name: str
    handle: int
    hook: Hook | None = None
    type: str = ""


class RuleInfo(msgspec.Struct, frozen=True, gc=False):
    """A rule; `expressions` are as the kernel lists them, counters included."""

    chain: str
    handle: int
    comment: bytes
    expressions: bytes


class SetInfo(msgspec.Struct, frozen=True, gc=False):
    """A set or map; `size` is the most elements it may hold, 0 for no limit."""

    name: str
    handle: int
    flags: int
    declaration: SetDeclaration
    size: int = 0

    @property
    def is_anonymous(self) -> bool:
        """Whether it belongs to one rule."""
        return bool(self.flags & SET_ANONYMOUS)


class ElementInfo(msgspec.Struct, frozen=True, gc=False):
    """One element; `verdict` and `chain` in verdict maps, `data` in others, `end` in sets of concatenated intervals."""

    key: bytes
    interval_end: bool = False
    end: bytes = b""
    comment: bytes = b""
    verdict: int = 0
    chain: str = ""
    data: bytes = b""


def read_table(socket: NetlinkSocket, table: Table) -> TableInfo | None:
    """The table, or None when there is none. Raises KernelError."""
    try:
        answers = socket.request(GETTABLE, 0, table.header() + text(1, table.name), f"get table {table.name}")
    except KernelError as error:
        if error.errno == _ENOENT:
            return None
        raise
    found = attributes(answers[0].payload, _HEADER)
    return TableInfo(_number(found.get(2, b"")), _number(found.get(4, b"")))


def read_chains(socket: NetlinkSocket, table: Table) -> list[ChainInfo]:
    """All chains of a table. Raises KernelError."""
    answers = socket.dump(GETCHAIN, table.header(), f"list chains of table {table.name}")
    return [parse_chain(one) for one in _of(table, answers)]


def read_rules(socket: NetlinkSocket, table: Table, chain: str = "") -> list[RuleInfo]:
    """All rules of a table, or of one of its chains, in order per chain. Raises KernelError."""
    payload = table.header() + text(1, table.name) + (text(2, chain) if chain else b"")
    return [parse_rule(one) for one in socket.dump(GETRULE, payload, f"list rules of table {table.name}")]


def read_sets(socket: NetlinkSocket, table: Table) -> list[SetInfo]:
    """All sets and maps of a table, anonymous ones included. Raises KernelError."""
    answers = socket.dump(GETSET, table.header() + text(1, table.name), f"list sets of table {table.name}")
    return [parse_set(one) for one in answers]


def read_elements(socket: NetlinkSocket, table: Table, name: str) -> list[Message]:
    """The messages that hold a set's elements, to be parsed or taken as keys. Raises KernelError."""
    payload = table.header() + text(1, table.name) + text(2, name)
    return socket.dump(GETSETELEM, payload, f"list elements of set {name}")


def parse_chain(message: Message) -> ChainInfo:
    """Raises TruncatedMessage."""
    found = attributes(message.payload, _HEADER)
    hook = None
    if 4 in found:
        inner = attributes(found[4])
        priority = int.from_bytes(inner.get(2, b""), "big", signed=True)
        accept = _number(found.get(5, b"")) == 1
        hook = Hook(_number(inner.get(1, b"")), priority, accept, as_text(found.get(7, b"")))
    return ChainInfo(as_text(found.get(3, b"")), _number(found.get(2, b"")), hook, as_text(found.get(7, b"")))


def parse_rule(message: Message) -> RuleInfo:
    """Raises TruncatedMessage."""
    found = attributes(message.payload, _HEADER)
    return RuleInfo(
        chain=as_text(found.get(2, b"")),
        handle=_number(found.get(3, b"")),
        comment=parse_comment(found.get(7, b"")),
        expressions=found.get(4, b""),
    )


def parse_set(message: Message) -> SetInfo:
    """Raises TruncatedMessage."""
    found = attributes(message.payload, _HEADER)
    flags = _number(found.get(3, b""))
    description = attributes(found.get(9, b""))
    data = _number(found.get(6, b"")), _number(found.get(7, b""))
    verdicts = bool(flags & SET_MAP) and data[0] == VERDICTS
    declaration = SetDeclaration(
        key_type=_number(found.get(4, b"")),
        key_length=_number(found.get(5, b"")),
        interval=bool(flags & SET_INTERVAL),
        fields=tuple(_number(attributes(field).get(1, b"")) for _, field in attribute_list(description.get(2, b""))),
        verdicts=verdicts,
        stateful=bool(flags & SET_DYNAMIC),
        data=data if flags & SET_MAP and not verdicts else (0, 0),
    )
    size = _number(description.get(1, b""))
    return SetInfo(as_text(found.get(2, b"")), _number(found.get(16, b"")), flags, declaration, size)


def parse_elements(messages: list[Message]) -> Iterator[ElementInfo]:
    """Raises TruncatedMessage."""
    for message in messages:
        listed = attributes(message.payload, _HEADER).get(3, b"")
        for _, data in attribute_list(listed):
            yield _element(attributes(data))


def parse_keys(messages: list[Message], length: int) -> bytes:
    """The keys of a plain set, joined and sorted, without an object for each.

    Raises:
        TruncatedMessage: the elements are not plain keys of `length` bytes.
    """
    stride = 12 + length + (-length % 4)
    parts = [attributes(message.payload, _HEADER).get(3, b"") for message in messages]
    joined = b"".join(parts)
    if len(joined) % stride:
        raise TruncatedMessage(f"{len(joined)} bytes are not elements of {stride} bytes")
    rows = np.frombuffer(joined, dtype=np.uint8).reshape(-1, stride)
    if len(rows) and not (rows[:, :12] == rows[0, :12]).all():
        raise TruncatedMessage("elements are not all alike")
    keys = np.ascontiguousarray(rows[:, 12 : 12 + length]).reshape(-1).view(f"V{length}")
    return np.sort(keys).tobytes()


def parse_comment(userdata: bytes) -> bytes:
    """The comment in user data, empty if there is none."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == 0:
            return userdata[offset + 2 : offset + 2 + length].rstrip(b"\0")
        offset += 2 + length
    return b""


def counters(expressions: bytes) -> tuple[int, int]:
    """Packets and bytes of the first counter of a rule. Raises TruncatedMessage."""
    for _, one in attribute_list(expressions):
        # The name comes first: a header of four bytes, then the text. Most expressions need no more than this look.
        if one.startswith(b"counter\0", 4):
            found = attributes(attributes(one).get(2, b""))
            return _number(found.get(2, b"")), _number(found.get(1, b""))
    return 0, 0


def jump_targets(expressions: bytes) -> list[str]:
    """The chains that a rule jumps or goes to. Raises TruncatedMessage."""
    targets = []
    for name, data in _expressions(expressions):
        if name == b"immediate\0":
            verdict = attributes(attributes(attributes(data).get(2, b"")).get(2, b""))
            if 2 in verdict:
                targets.append(as_text(verdict[2]))
    return targets


def _expressions(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for _, one in attribute_list(data):
        found = attributes(one)
        yield found.get(1, b""), found.get(2, b"")


def _element(found: dict[int, bytes]) -> ElementInfo:
    data = attributes(found.get(2, b""))
    verdict = attributes(data.get(2, b""))
    return ElementInfo(
        key=attributes(found.get(1, b"")).get(1, b""),
        interval_end=bool(_number(found.get(3, b"")) & _INTERVAL_END),
        end=attributes(found.get(10, b"")).get(1, b""),
        comment=parse_comment(found.get(6, b"")),
        verdict=int.from_bytes(verdict.get(1, b""), "big", signed=True),
        chain=as_text(verdict.get(2, b"")),
        data=data.get(1, b""),
    )


def _of(table: Table, answers: list[Message]) -> Iterator[Message]:
    """Those of the table: not every dump can be narrowed by the kernel."""
    for one in answers:
        if as_text(attributes(one.payload, _HEADER).get(1, b"")) == table.name:
            yield one


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def read_base_chains(socket: NetlinkSocket) -> list[tuple[Table, ChainInfo]]:
    """The chains of all tables of all families that packets come to by themselves. Raises KernelError."""
    found = []
    for message in socket.dump(GETCHAIN, Table(0, "").header(), "list chains"):
        chain = parse_chain(message)
        if chain.hook is not None:
            name = as_text(attributes(message.payload, _HEADER).get(1, b""))
            found.append((Table(message.payload[0], name), chain))
    return found
