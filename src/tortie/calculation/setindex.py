"""Membership tests on packed IP sets, without an object per member."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.desired.policy import SetId
from tortie.desired.sets import IPSet


class SetIndex:
    """The members of all sets of a node, ready to be asked.

    Asking for a set that was not given raises KeyError: a rule must not name an unknown set.
    """

    def __init__(self, sets: Iterable[IPSet] = ()) -> None:
        self._sets: dict[SetId, _Members] = {whole.id: _index(whole) for whole in sets}

    def has_address(self, set_id: SetId, family: int, address: int) -> bool:
        """Whether an address set holds the address, by itself or inside a prefix."""
        members = self._sets[set_id]
        record = address.to_bytes(BITS[family] // 8, "big")
        return _holds(members.hosts[family], record) or any(
            address >> BITS[family] - length in networks for length, networks in members.nets[family].items()
        )

    def has_port(self, set_id: SetId, family: int, address: int, protocol: int, port: int | None) -> bool:
        """Whether a port set holds address, protocol and port together; False for a packet without ports."""
        packed = self._sets[set_id].ports[family]
        if port is None:
            return False
        return _holds(packed, port_record(family, address, protocol, port))


def port_record(family: int, address: int, protocol: int, port: int) -> bytes:
    """One packed member of a port set."""
    return address.to_bytes(BITS[family] // 8, "big") + port_suffix(protocol, port)


def port_suffix(protocol: int, port: int) -> bytes:
    """What follows the address in a packed member of a port set."""
    return protocol.to_bytes(1, "big") + port.to_bytes(2, "big")


class _Members(msgspec.Struct, frozen=True, gc=False):
    """`nets` are keyed by family, then prefix length; its values are the significant bits."""

    hosts: dict[int, bytes]
    ports: dict[int, bytes]
    nets: dict[int, dict[int, frozenset[int]]]


def _index(whole: IPSet) -> _Members:
    members = whole.members
    return _Members(
        hosts={4: members.hosts4, 6: members.hosts6},
        ports={4: members.ports4, 6: members.ports6},
        nets={4: _by_length(members.nets4), 6: _by_length(members.nets6)},
    )


def _by_length(nets: tuple[Cidr, ...]) -> dict[int, frozenset[int]]:
    lengths = {net.length for net in nets}
    return {
        length: frozenset(net.address >> net.bits - length for net in nets if net.length == length)
        for length in sorted(lengths)
    }


def _holds(packed: bytes, record: bytes) -> bool:
    """Binary search in sorted records."""
    width = len(record)
    rows = _Rows(packed, width)
    position = bisect.bisect_left(rows, record)
    return position < len(rows) and rows[position] == record


class _Rows:
    """Packed records seen as a sequence, for bisect."""

    def __init__(self, packed: bytes, width: int) -> None:
        self._packed = packed
        self._width = width

    def __len__(self) -> int:
        return len(self._packed) // self._width

    def __getitem__(self, index: int) -> bytes:
        return self._packed[index * self._width : (index + 1) * self._width]
