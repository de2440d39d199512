"""Addresses that no rule can tell apart: the whole address space, cut into few classes.

Rules tell addresses apart by prefixes and by sets only. The ends of prefixes and the members of sets cut the
space of a family into pieces; pieces that are in the same prefixes and sets, with the same ports, are one class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tortie.base.addresses import BITS, Cidr
from tortie.desired.packed import WIDTHS
from tortie.desired.policy import Direction, Policy, Rule, SetId, Side
from tortie.desired.sets import IPSet

Places = np.ndarray[tuple[int], np.dtype[np.intp]]
"""Indexes of pieces, or class numbers of them."""

Atom = tuple[str, object]
"""A thing that an address is in or not: a prefix, a set, or a set with one of its protocols and ports."""

TYPES = {4: ">u4", 6: "S16"}
"""How numpy holds an address of each family: both compare as numbers do."""


class Partition:
    """The pieces of one family's addresses, and their classes.

    Args:
        held: addresses that are to be pieces of their own, packed and in any order.
        nets: prefixes that count by themselves.
    """

    def __init__(self, family: int, held: bytes, nets: Iterable[Cidr], sets: Mapping[SetId, IPSet]) -> None:
        self.family = family
        self._nets = sorted({net for net in nets if net.family == family})
        self._sets = sets
        self.starts = self._cut(held)
        self.classes: Places = np.zeros(len(self.starts), dtype=np.intp)
        self._next = 1
        for atom in self.atoms():
            self._refine(self.pieces(atom))
        _, first, self.classes = np.unique(self.classes, return_index=True, return_inverse=True)
        self.representatives: Places = first

    def __len__(self) -> int:
        """How many classes there are."""
        return len(self.representatives)

    def place(self, address: Cidr) -> int:
        """The piece that an address is in."""
        return int(np.searchsorted(self.starts, _array(self.family, address.packed), side="right")[0]) - 1

    def class_of(self, address: Cidr) -> int:
        """The class of an address."""
        return int(self.classes[self.place(address)])

    def classes_of(self, addresses: Iterable[Cidr]) -> list[int]:
        """The class of each of many addresses of this family."""
        packed = b"".join(one.packed for one in addresses)
        places = np.searchsorted(self.starts, _array(self.family, packed), side="right") - 1
        found: list[int] = self.classes[places].tolist()
        return found

    def representative(self, number: int) -> Cidr:
        """One address of a class."""
        return self._address(int(self.representatives[number]))

    def spans_but(self, held: Iterable[Cidr]) -> dict[int, list[tuple[int, int]]]:
        """First and last of every piece, by class; without those that begin with a held address."""
        own = np.ones(len(self.starts), dtype=bool)
        own[np.searchsorted(self.starts, _array(self.family, b"".join(one.packed for one in held)))] = False
        found: dict[int, list[tuple[int, int]]] = {}
        for place in np.flatnonzero(own).tolist():
            span = (self._address(place).address, self._end(place))
            found.setdefault(int(self.classes[place]), []).append(span)
        return found

    def atoms(self) -> Iterator[Atom]:
        """Everything that tells addresses apart."""
        yield from (("net", net) for net in self._nets)
        for name, whole in self._sets.items():
            if not whole.ports:
                yield ("set", name)
            else:
                yield from (("port", (name, suffix)) for suffix in sorted(_suffixes(self._packed(whole), self.family)))

    def pieces(self, atom: Atom) -> Places:
        """The pieces inside."""
        value = atom[1]
        if isinstance(value, Cidr):
            return self._within([value] if value.family == self.family else [])
        if isinstance(value, tuple):
            name, suffix = value
            return self._at(_with_suffix(self._packed(self._sets[name]), self.family, suffix))
        members = self._sets[SetId(str(value))].members
        hosts, nets = (members.hosts4, members.nets4) if self.family == 4 else (members.hosts6, members.nets6)
        return np.union1d(self._at(hosts), self._within(nets))

    def _packed(self, whole: IPSet) -> bytes:
        return whole.members.ports4 if self.family == 4 else whole.members.ports6

    def _at(self, hosts: bytes) -> Places:
        return np.searchsorted(self.starts, _array(self.family, hosts))

    def _within(self, nets: Iterable[Cidr]) -> Places:
        found: list[Places] = [np.zeros(0, dtype=np.intp)]
        for net in nets:
            last = Cidr(net.family, net.last, net.bits)
            found.append(np.arange(self.place(net), self.place(last) + 1))
        return np.concatenate(found)

    def _refine(self, inside: Places) -> None:
        touched, inverse = np.unique(self.classes[inside], return_inverse=True)
        self.classes[inside] = self._next + inverse
        self._next += len(touched)

    def _cut(self, held: bytes) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        """Where pieces begin."""
        width = BITS[self.family] // 8
        hosts = [held]
        nets = list(self._nets)
        for whole in self._sets.values():
            members = whole.members
            hosts.append(members.hosts4 if self.family == 4 else members.hosts6)
            nets += members.nets4 if self.family == 4 else members.nets6
            hosts.append(_without_suffix(self._packed(whole), self.family))
        singles = b"".join(hosts)
        cuts = [0, *(net.address for net in nets), *(net.last + 1 for net in nets)]
        end = 1 << BITS[self.family]
        edges = b"".join(cut.to_bytes(width, "big") for cut in cuts if cut < end)
        return np.unique(_array(self.family, singles + _successors(singles, self.family) + edges))

    def _address(self, place: int) -> Cidr:
        raw = self.starts[place : place + 1].astype(TYPES[self.family]).tobytes()
        return Cidr.from_bytes(raw)

    def _end(self, place: int) -> int:
        if place + 1 < len(self.starts):
            return self._address(place + 1).address - 1
        return (1 << BITS[self.family]) - 1


def peer_atoms(policies: Iterable[Policy], way: Direction, ports: Mapping[SetId, list[Atom]]) -> set[Atom]:
    """By what policies tell apart the addresses of the other side.

    Args:
        ports: the atoms of each set that lists ports.
    """
    found: set[Atom] = set()
    for policy in policies:
        for rule in policy.rules(way):
            found.update(side_atoms(rule.source if way is Direction.INGRESS else rule.destination, ports))
    return found


def side_atoms(side: Side, ports: Mapping[SetId, list[Atom]]) -> Iterator[Atom]:
    """By what one side of a rule tells addresses apart."""
    yield from (("net", net) for net in (*side.nets, *side.not_nets))
    yield from (("set", name) for name in (*side.sets, *side.not_sets))
    for name in (*side.port_sets, *side.not_port_sets, *side.service_sets):
        yield from ports.get(name, ())


def nets_of(rules: Iterable[Rule]) -> set[Cidr]:
    """Every prefix that rules name."""
    return {net for rule in rules for side in (rule.source, rule.destination) for net in (*side.nets, *side.not_nets)}


def _array(family: int, packed: bytes) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    return np.frombuffer(packed, dtype=TYPES[family]).astype("u4" if family == 4 else "S16")


def _successors(packed: bytes, family: int) -> bytes:
    """The address after each, but for the last there is."""
    if family == 4:
        numbers = np.frombuffer(packed, dtype=">u4").astype("u8") + 1
        return numbers[numbers < 1 << 32].astype(">u4").tobytes()
    numbers6 = (int.from_bytes(packed[i : i + 16], "big") + 1 for i in range(0, len(packed), 16))
    return b"".join(one.to_bytes(16, "big") for one in numbers6 if one < 1 << 128)


def _records(packed: bytes, family: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, WIDTHS[f"ports{family}"])


def _suffixes(packed: bytes, family: int) -> set[bytes]:
    rows = np.ascontiguousarray(_records(packed, family)[:, -3:])
    return {row.tobytes() for row in np.unique(rows, axis=0)} if len(rows) else set()


def _with_suffix(packed: bytes, family: int, suffix: bytes) -> bytes:
    rows = _records(packed, family)
    kept = rows[(rows[:, -3:] == np.frombuffer(suffix, dtype=np.uint8)).all(axis=1)]
    return np.ascontiguousarray(kept[:, :-3]).tobytes()


def _without_suffix(packed: bytes, family: int) -> bytes:
    return np.ascontiguousarray(_records(packed, family)[:, :-3]).tobytes()
