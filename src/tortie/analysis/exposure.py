"""Who reaches somebody, whom somebody reaches, and with what: the others put together that fare alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tortie.analysis.cluster import End
from tortie.analysis.naming import Spans, addresses_text, common_name
from tortie.analysis.packets import FAMILIES, PacketSet
from tortie.analysis.reachability import Kind, Reachability
from tortie.analysis.who import Party


class Peer(msgspec.Struct, frozen=True):
    """Others with whom the same traffic is possible.

    Args:
        packets: what gets through.
        ends: who they are.
        outside: addresses that are nobody's, in words.
    """

    packets: PacketSet
    ends: tuple[str, ...]
    outside: tuple[str, ...]


class Reach(msgspec.Struct, frozen=True):
    """What ends that no policy tells apart have to do with all others.

    Args:
        name: who they are, in words.
        families: of their addresses.
        reached_by, reaches: most traffic first.
    """

    name: str
    families: tuple[int, ...]
    reached_by: tuple[Peer, ...]
    reaches: tuple[Peer, ...]


def reach_of(reach: Reachability, party: Party) -> list[Reach]:
    """One for each kind of those who are named."""
    everybody = _Everybody(reach)
    if party.address is not None:
        number = reach.partitions[party.address.family].class_of(party.address)
        return [everybody.reach(reach.outside(party.address.family, number), party.text, is_outside=True)]
    found: dict[Kind, list[End]] = {}
    for end in party.ends:
        found.setdefault(reach.kind(end), []).append(end)
    return [everybody.reach(kind, common_name(ends)) for kind, ends in found.items()]


def exposure(reach: Reachability) -> list[Reach]:
    """Everybody whom the outside reaches, or who reaches it, and nothing but that."""
    everybody = _Everybody(reach)
    found = (everybody.exposed(kind, ends) for kind, ends in reach.kinds().items())
    return [one for one in found if one.reached_by or one.reaches]


class _Everybody:
    """All who can be on the other side."""

    def __init__(self, reach: Reachability) -> None:
        self._reach = reach
        self._inside = reach.kinds()
        self._elsewhere = reach.elsewhere()
        self._outside: dict[tuple[Kind, ...], tuple[str, ...]] = {}
        self._names: dict[Kind, str] = {}

    def reach(self, kind: Kind, name: str, *, is_outside: bool = False) -> Reach:
        """Of one kind, with everybody; the outside is not asked about itself, nor who is alone of a kind."""
        others = [one for one, ends in self._inside.items() if one != kind or len(ends) > 1]
        return self._with(kind, name, others if is_outside else [*others, *self._elsewhere])

    def exposed(self, kind: Kind, ends: Sequence[End]) -> Reach:
        """Of one kind, with the outside."""
        return self._with(kind, common_name(ends), list(self._elsewhere))

    def _with(self, kind: Kind, name: str, others: Sequence[Kind]) -> Reach:
        received = self._peers((self._reach.connection(one, kind), one) for one in others)
        sent = self._peers((self._reach.connection(kind, one), one) for one in others)
        return Reach(name, tuple(sorted({family for family, _ in kind.classes})), received, sent)

    def _peers(self, met: Iterable[tuple[PacketSet, Kind]]) -> tuple[Peer, ...]:
        together: dict[PacketSet, list[Kind]] = {}
        for packets, kind in met:
            if packets:
                together.setdefault(packets, []).append(kind)
        return tuple(
            Peer(
                packets,
                tuple(self._name(kind) for kind in kinds if kind in self._inside),
                self._addresses(tuple(kind for kind in kinds if kind in self._elsewhere)),
            )
            for packets, kinds in together.items()
        )

    def _name(self, kind: Kind) -> str:
        if kind not in self._names:
            self._names[kind] = common_name(self._inside[kind])
        return self._names[kind]

    def _addresses(self, kinds: tuple[Kind, ...]) -> tuple[str, ...]:
        if kinds not in self._outside:
            spans: dict[int, list[tuple[int, int]]] = {}
            for kind in kinds:
                spans.setdefault(kind.classes[0][0], []).extend(self._elsewhere[kind])
            self._outside[kinds] = tuple(self._text(family, spans[family]) for family in FAMILIES if family in spans)
        return self._outside[kinds]

    def _text(self, family: int, spans: Spans) -> str:
        return addresses_text(family, spans, [(one.address, one.address) for one in self._reach.held(family)])
