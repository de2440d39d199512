"""Who reaches whom with which packets: exact, and computed once for all that no policy tells apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from tortie.analysis.classes import Atom, Partition, Places, nets_of, peer_atoms
from tortie.analysis.cluster import Cluster, End
from tortie.analysis.diagram import Node
from tortie.analysis.packets import FAMILIES, PacketSet, Space
from tortie.analysis.symbolic import Ends, Judge
from tortie.base.addresses import Cidr
from tortie.calculation.verdict import Step
from tortie.desired.policy import Action, Direction, PolicyList, SetId


class Kind(msgspec.Struct, frozen=True, gc=False):
    """What policy knows of an end: those that have it in common fare alike, whoever is on the other side.

    Args:
        ingress, egress: numbers of policy lists.
        classes: family and class of every address.
    """

    ingress: int
    egress: int
    classes: tuple[tuple[int, int], ...]


class Reachability:
    """Answers about one cluster; what was asked once is remembered.

    Args:
        space: where the answers live; answers of clusters in one space can be compared.
        only: the packets that are of interest; all, if not given.
    """

    def __init__(self, space: Space, cluster: Cluster, only: PacketSet | None = None) -> None:
        self.space = space
        self.only = space.all if only is None else only
        self.cluster = cluster
        self.judge = Judge(space, cluster.compiled)
        self.partitions = {family: self._partition(family) for family in FAMILIES}
        self._lists: list[PolicyList] = []
        self._numbers: dict[PolicyList, int] = {}
        self._known: dict[int, tuple[PolicyList, int]] = {}
        self._groups: dict[tuple[int, Direction, int], Places] = {}
        self._decided: dict[tuple[int, Direction, int, int, int], Node] = {}
        self._allowed: dict[Node, PacketSet] = {}
        self._connections: dict[tuple[Kind, Kind], PacketSet] = {}
        self._inside: dict[tuple[int, Atom], Places] = {}
        self._kinds: dict[Kind, list[End]] | None = None
        self._port_atoms = {family: self._atoms_of_ports(family) for family in FAMILIES}

    def kind(self, end: End) -> Kind:
        """What policy knows of an end."""
        return Kind(
            self._number(end.ingress),
            self._number(end.egress),
            tuple(sorted({(one.family, self.partitions[one.family].class_of(one)) for one in end.addresses})),
        )

    def outside(self, family: int, number: int) -> Kind:
        """What policy knows of addresses of a class that are nobody's here: nothing governs them."""
        return Kind(-1, -1, ((family, number),))

    def kinds(self) -> dict[Kind, list[End]]:
        """All ends, those together that no policy tells apart. Not to be changed."""
        if self._kinds is None:
            self._kinds = {}
            classes = self._classes_of_ends()
            known: dict[tuple[int, int, tuple[tuple[int, int], ...]], list[End]] = {}
            for end in self.cluster.ends.values():
                held = tuple(sorted({(one.family, classes[one]) for one in end.addresses}))
                alike = (self._number(end.ingress), self._number(end.egress), held)
                ends = known.get(alike)
                if ends is None:
                    ends = known[alike] = self._kinds[Kind(*alike)] = []
                ends.append(end)
        return self._kinds

    def elsewhere(self) -> dict[Kind, list[tuple[int, int]]]:
        """Addresses that no end has, by kind: first and last of each range."""
        found: dict[Kind, list[tuple[int, int]]] = {}
        for family, partition in self.partitions.items():
            for number, spans in partition.spans_but(self.held(family)).items():
                found[self.outside(family, number)] = spans
        return found

    def held(self, family: int) -> set[Cidr]:
        """The addresses of all ends."""
        return {one for end in self.cluster.ends.values() for one in end.addresses if one.family == family}

    def connection(self, source: Kind, destination: Kind) -> PacketSet:
        """The packets that get from one kind of end to another, between any of their addresses."""
        key = (source, destination)
        if key not in self._connections:
            found = self.space.none
            for family, sender in source.classes:
                for other, receiver in destination.classes:
                    if family == other:
                        found |= self._between(source, destination, family, (sender, receiver))
            self._connections[key] = found & self.only
        return self._connections[key]

    def between(self, source: End, destination: End) -> PacketSet:
        """The packets that get from one end to another."""
        return self.connection(self.kind(source), self.kind(destination))

    def governing(self, number: int) -> PolicyList:
        """A policy list by its number in a kind."""
        return self._lists[number]

    def deciding(self, source: Kind, destination: Kind, way: Direction, wanted: Callable[[Step], bool]) -> PacketSet:
        """The packets between two kinds of ends that a step of this sort decides in one direction."""
        number = source.egress if way is Direction.EGRESS else destination.ingress
        found = self.space.none
        for family, sender in source.classes:
            for other, receiver in destination.classes:
                if family == other and number >= 0:
                    ends = (sender, receiver) if way is Direction.EGRESS else (receiver, sender)
                    decisions = self.decisions(number, way, family, *ends)
                    found |= self.space.wrap(self.space.forest.mapped(decisions, lambda step: _is(step, wanted)))
        return found

    def _between(self, source: Kind, destination: Kind, family: int, classes: tuple[int, int]) -> PacketSet:
        sender, receiver = classes
        sent = self.lets(source.egress, Direction.EGRESS, family, sender, receiver)
        return sent & self.lets(destination.ingress, Direction.INGRESS, family, receiver, sender) if sent else sent

    def lets(self, number: int, way: Direction, family: int, own: int, peer: int) -> PacketSet:
        """The packets between two classes that one direction of a list allows: its own class, and the other side's."""
        if number < 0:
            return self.space.family(family)
        decisions = self.decisions(number, way, family, own, peer)
        if decisions not in self._allowed:
            self._allowed[decisions] = self.judge.having(decisions, Action.ALLOW)
        return self._allowed[decisions]

    def decisions(self, number: int, way: Direction, family: int, own: int, peer: int) -> Node:
        """For every packet between two classes the step of a list that decides it in one direction."""
        representative = int(self.peer_groups(number, way, family)[peer])
        key = (number, way, family, own, representative)
        if key not in self._decided:
            partition = self.partitions[family]
            here, there = partition.representative(own), partition.representative(representative)
            ends = Ends(here, there) if way is Direction.EGRESS else Ends(there, here)
            self._decided[key] = self.judge.decisions(self._lists[number], way, ends)
        return self._decided[key]

    def peer_groups(self, number: int, way: Direction, family: int) -> Places:
        """For every class one that stands for it as the other side of a list."""
        if number < 0:
            return np.zeros(len(self.partitions[family]), dtype=np.intp)
        key = (number, way, family)
        if key not in self._groups:
            policies = self.cluster.compiled.policies
            named = [policies[one] for one in self._lists[number].policy_ids() if one in policies]
            atoms = peer_atoms(named, way, self._port_atoms[family])
            self._groups[key] = self._grouped(self.partitions[family], atoms)
        return self._groups[key]

    def _grouped(self, partition: Partition, atoms: Iterable[Atom]) -> Places:
        groups: Places = np.zeros(len(partition), dtype=np.intp)
        following = 1
        for atom in sorted(atoms, key=str):
            inside = self._classes_inside(partition, atom)
            touched, inverse = np.unique(groups[inside], return_inverse=True)
            groups[inside] = following + inverse
            following += len(touched)
        # The first of each group stands for it; of several values for one place numpy keeps the last.
        first: Places = np.zeros(following, dtype=np.intp)
        first[groups[::-1]] = np.arange(len(groups) - 1, -1, -1)
        return first[groups]

    def _classes_inside(self, partition: Partition, atom: Atom) -> Places:
        key = (partition.family, atom)
        if key not in self._inside:
            self._inside[key] = np.unique(partition.classes[partition.pieces(atom)])
        return self._inside[key]

    def _classes_of_ends(self) -> dict[Cidr, int]:
        """The class of every address that an end has, all looked up at once."""
        held = dict.fromkeys(one for end in self.cluster.ends.values() for one in end.addresses)
        found: dict[Cidr, int] = {}
        for family, partition in self.partitions.items():
            ours = [one for one in held if one.family == family]
            found.update(zip(ours, partition.classes_of(ours), strict=True))
        return found

    def _number(self, governing: PolicyList) -> int:
        # Endpoints that are governed alike share the list: looking for the object spares hashing all that is in it.
        known = self._known.get(id(governing))
        if known is not None:
            return known[1]
        number = self._numbers.setdefault(governing, len(self._lists))
        if number == len(self._lists):
            self._lists.append(governing)
        self._known[id(governing)] = (governing, number)
        return number

    def _partition(self, family: int) -> Partition:
        policies = self.cluster.compiled.policies.values()
        nets = nets_of(rule for policy in policies for rule in (*policy.ingress, *policy.egress))
        held = b"".join(
            one.packed for end in self.cluster.ends.values() for one in end.addresses if one.family == family
        )
        return Partition(family, held, nets, self.cluster.compiled.sets)

    def _atoms_of_ports(self, family: int) -> dict[SetId, list[Atom]]:
        found: dict[SetId, list[Atom]] = {}
        for atom in self.partitions[family].atoms():
            if isinstance(atom[1], tuple):
                found.setdefault(atom[1][0], []).append(atom)
        return found


def _is(step: object, wanted: Callable[[Step], bool]) -> bool:
    return isinstance(step, Step) and wanted(step)
