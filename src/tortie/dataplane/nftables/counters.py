"""Packets and bytes of every rule over the life of the agent, although refilling a chain makes its counters anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tortie.dataplane.nftables.rules import identity_of
from tortie.netlink.nftables_dump import RuleInfo, counters


class CounterTotals:
    """What rules had counted when they were replaced, by identity."""

    def __init__(self) -> None:
        self._totals: dict[int, tuple[int, int]] = {}

    def add(self, counted: Mapping[int, tuple[int, int]]) -> None:
        """Keep the figures of rules that are gone."""
        for identity, figures in counted.items():
            self._totals[identity] = _sum(self._totals.get(identity, (0, 0)), figures)

    def together_with(self, counted: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """All totals, with the figures of rules that are there; each is (packets, bytes)."""
        found = dict(self._totals)
        for identity, figures in counted.items():
            found[identity] = _sum(found.get(identity, (0, 0)), figures)
        return found


def counted(rules: Iterable[RuleInfo]) -> dict[int, tuple[int, int]]:
    """The figures of rules by identity; alternatives of one rule are taken together."""
    found: dict[int, tuple[int, int]] = {}
    for rule in rules:
        if identity := identity_of(rule.comment):
            found[identity] = _sum(found.get(identity, (0, 0)), counters(rule.expressions))
    return found


def _sum(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    return left[0] + right[0], left[1] + right[1]
