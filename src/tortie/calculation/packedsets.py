"""Sets of addresses that are given as a whole: what was told of each, and how it differs now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tortie.base.addresses import Cidr
from tortie.calculation.ipsets import SetOutput
from tortie.desired.packed import difference, pack
from tortie.desired.policy import SetId
from tortie.desired.sets import IPSet, Members, SetChange


class PackedSets:
    """Members are single addresses."""

    def __init__(self) -> None:
        self._told: dict[SetId, Members] = {}

    def flush(self, wanted: Mapping[SetId, Iterable[Cidr]], output: SetOutput) -> None:
        """Add to the output what differs from the last time; sets that are not wanted are gone."""
        output.removed += sorted(self._told.keys() - wanted.keys())
        for set_id in sorted(wanted):
            self._tell(set_id, _members(wanted[set_id]), output)
        self._told = {set_id: self._told[set_id] for set_id in wanted}

    def is_empty(self) -> bool:
        """Whether nothing was told that is still there."""
        return not self._told

    def _tell(self, set_id: SetId, members: Members, output: SetOutput) -> None:
        old = self._told.get(set_id)
        if old is None:
            output.sets.append(IPSet(set_id, members))
        elif old != members:
            output.changes.append(SetChange(set_id, _without(members, old), _without(old, members)))
        self._told[set_id] = members


def _members(addresses: Iterable[Cidr]) -> Members:
    packed = [one.packed for one in addresses]
    return Members(
        hosts4=pack([one for one in packed if len(one) == 4], 4),
        hosts6=pack([one for one in packed if len(one) == 16], 16),
    )


def _without(members: Members, others: Members) -> Members:
    return Members(
        hosts4=difference(members.hosts4, others.hosts4, 4),
        hosts6=difference(members.hosts6, others.hosts6, 16),
    )
