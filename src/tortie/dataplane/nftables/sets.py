"""Kernel sets for IP sets: their names, kinds and records.

An address set becomes a hash set per family, and an interval set per family only while it has
prefixes; a port set becomes a hash set per family. Records are what the mirror and operations hold:
those of hash sets are the packed members as they are, those of interval sets are disjoint intervals,
each as first address and first address behind it (0 behind the last of all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
import numpy as np

from tortie.base.addresses import BITS, Cidr
from tortie.base.hashes import short_hash
from tortie.desired.packed import difference, union, unpack
from tortie.desired.policy import SetId
from tortie.desired.sets import IPSet, Members, SetChange
from tortie.netlink.nftables import SetDeclaration, data_element, interval_elements, plain_elements

IPV4, IPV6, PROTOCOL, SERVICE = 7, 8, 12, 13
"""Key types as nft(8) numbers them."""

LARGE = 4096
"""Members from which on a set is declared with a size, which makes loading it three times as fast."""


class SetKind(msgspec.Struct, frozen=True, gc=False):
    """One of the forms in which members are kept.

    Args:
        field: the field of `Members` it holds; also how names of its sets begin.
        width: bytes of a record: of a key, or in maps of a key and what stands for it.
    """

    field: str
    family: int
    width: int
    declaration: SetDeclaration

    def elements(self, records: bytes) -> list[bytes]:
        """Records as packed elements for the kernel."""
        if self.declaration.interval:
            return interval_elements(records, self.declaration.key_length)
        if any(self.declaration.data):
            pairs = unpack(records, self.width)
            return [data_element(one[: self.key_length], one[self.key_length :]) for one in pairs]
        return plain_elements(_service_keys(records, self.width) if self.is_ports else records, self.key_length)

    @property
    def key_length(self) -> int:
        """Bytes of a key in the kernel."""
        return self.declaration.key_length

    @property
    def is_ports(self) -> bool:
        """Whether members have a protocol and a port."""
        return self.field.startswith("ports")

    def records(self, keys: bytes) -> bytes:
        """The inverse of `elements` for hash sets, from sorted keys."""
        if not self.is_ports:
            return keys
        rows = np.frombuffer(keys, dtype=np.uint8).reshape(-1, self.key_length)
        size = self.width - 3
        columns = [*range(size), size, size + 4, size + 5]
        return rows[:, columns].tobytes()


KINDS: Mapping[str, SetKind] = MappingProxyType(
    {
        kind.field: kind
        for kind in (
            SetKind("hosts4", 4, 4, SetDeclaration(IPV4, 4)),
            SetKind("nets4", 4, 8, SetDeclaration(IPV4, 4, interval=True)),
            SetKind("ports4", 4, 7, SetDeclaration(IPV4 << 12 | PROTOCOL << 6 | SERVICE, 12)),
            SetKind("hosts6", 6, 16, SetDeclaration(IPV6, 16)),
            SetKind("nets6", 6, 32, SetDeclaration(IPV6, 16, interval=True)),
            SetKind("ports6", 6, 19, SetDeclaration(IPV6 << 12 | PROTOCOL << 6 | SERVICE, 24)),
        )
    }
)
"""In the order in which sets are made: the kernel finds sets by walking its list, and most rules are of IPv4."""

_PLAIN = re.compile(r"[A-Za-z0-9:_-]{1,100}\Z")


def set_name(field: str, set_id: SetId) -> str:
    """The kernel's name of one form of a set; a pure function of both."""
    text = set_id.replace(":", ".") if _PLAIN.match(set_id) else short_hash(set_id, 32) + "."
    return f"{field}-{text}"


def forms(ipset: IPSet) -> Iterator[SetKind]:
    """The kinds of kernel sets that a set needs."""
    for kind in KINDS.values():
        if kind.is_ports == ipset.ports and (not kind.declaration.interval or getattr(ipset.members, kind.field)):
            yield kind


def records(kind: SetKind, members: Members) -> bytes:
    """All records of one kind."""
    if kind.declaration.interval:
        return merged(getattr(members, kind.field))
    packed: bytes = getattr(members, kind.field)
    return packed


def merged(nets: Iterable[Cidr]) -> bytes:
    """Prefixes of one family as sorted, disjoint, not even adjacent intervals."""
    parts: list[bytes] = []
    first = behind = -1
    size, top = 0, 0
    for net in sorted(nets):
        size, top = BITS[net.family] // 8, 1 << BITS[net.family]
        if net.address > behind:
            if first >= 0:
                parts.append(_interval(first, behind % top, size))
            first = net.address
        behind = max(behind, net.last + 1)
    if first >= 0:
        parts.append(_interval(first, behind % top, size))
    return b"".join(parts)


def folded(changes: Iterable[SetChange], kind: SetKind) -> tuple[bytes, bytes]:
    """The records of one kind that several changes in a row add and remove, taken together."""
    added = removed = b""
    for change in changes:
        plus, minus = getattr(change.added, kind.field), getattr(change.removed, kind.field)
        added, removed = (
            union(difference(added, minus, kind.width), difference(plus, removed, kind.width), kind.width),
            union(difference(removed, plus, kind.width), difference(minus, added, kind.width), kind.width),
        )
    return added, removed


def suitable_size(count: int, size: int) -> int:
    """The size to declare for so many members, given the one declared (0: no limit, which stays)."""
    if count <= size:
        return size
    return 1 << (2 * count - 1).bit_length() if count >= LARGE else 0


def _interval(first: int, behind: int, size: int) -> bytes:
    return first.to_bytes(size, "big") + behind.to_bytes(size, "big")


def _service_keys(packed: bytes, width: int) -> bytes:
    """Address, protocol and port, each padded to four bytes."""
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)
    size = width - 3
    keys = np.zeros((len(rows), size + 8), dtype=np.uint8)
    keys[:, :size] = rows[:, :size]
    keys[:, size] = rows[:, size]
    keys[:, size + 4 : size + 6] = rows[:, size + 1 :]
    return keys.tobytes()
