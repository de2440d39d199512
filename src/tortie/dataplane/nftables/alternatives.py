"""From a compiled rule to the conjunctions that the kernel can test.

A rule matches when every dimension does; a dimension when one of its alternatives does; an alternative
when all its conditions do. There is one kernel rule for each way to choose an alternative of every
dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from tortie.dataplane.nftables.matches import (
    ICMP,
    PORT_PROTOCOLS,
    Condition,
    has_ports,
    in_nets,
    in_ports,
    in_service_set,
    in_set,
    of_family,
    of_icmp,
    of_protocol,
)
from tortie.dataplane.nftables.sets import set_name
from tortie.desired.policy import Action, Rule, SetId, Side

Alternative: TypeAlias = tuple[Condition, ...]
Dimension: TypeAlias = tuple[Alternative, ...]
Test: TypeAlias = Callable[[bool], Condition]
"""A condition that can be had inverted."""

NEVER: Dimension = ()


class SetForms(Protocol):
    """Which forms of named sets the kernel has; being asked tells it that a rule names the set."""

    def has_prefixes(self, set_id: SetId, family: int) -> bool:
        """Whether an address set has prefixes of this family, and so an interval set beside its hash set."""

    def use_ports(self, set_id: SetId) -> None:
        """A rule names this port set."""


def conjunctions(rule: Rule, forms: SetForms) -> Iterator[Alternative]:
    """All conditions of each kernel rule, in order. For Log rules they exclude each other, so that it logs once."""
    for family in _families(rule):
        for choice in itertools.product(*_Reading(rule, family, forms).dimensions()):
            yield tuple(itertools.chain.from_iterable(choice))


def _families(rule: Rule) -> tuple[int | None, ...]:
    """The families that need kernel rules of their own; None is both at once."""
    if rule.family is not None:
        return (rule.family,)
    return (4, 6) if rule.icmp or rule.not_icmp or any(map(_by_address, (rule.source, rule.destination))) else (None,)


def _by_address(side: Side) -> bool:
    nets = side.nets or side.not_nets
    return bool(nets or side.sets or side.not_sets or side.port_sets or side.not_port_sets or side.service_sets)


class _Reading:
    """One rule as seen for one family."""

    def __init__(self, rule: Rule, family: int | None, forms: SetForms) -> None:
        self._rule = rule
        self._family = family
        self._forms = forms
        self._exclusive = rule.action is Action.LOG

    def dimensions(self) -> list[Dimension]:
        """Cheap tests first: those that look into no named set, whose elements are elsewhere in memory."""
        ends = tuple(enumerate((self._rule.source, self._rule.destination)))
        found: list[Dimension] = []
        if self._family is not None:
            found.append(_always(of_family(self._family)))
        found += self._protocol()
        found += self._icmp()
        for end, side in ends:
            found += self._nets(side, end)
        named: list[Dimension] = []
        for end, side in ends:
            (named if side.port_sets or side.service_sets else found).extend(self._ports(side, end))
        for end, side in ends:
            named += self._sets(side, end)
        return [*found, *self._ports_not(), *named]

    def _protocol(self) -> Iterator[Dimension]:
        rule = self._rule
        if rule.protocol is not None:
            yield _always(of_protocol(rule.protocol))
        elif any(side.ports or side.port_sets or side.service_sets for side in (rule.source, rule.destination)):
            yield _always(has_ports())
        if rule.not_protocol is not None:
            yield _always(of_protocol(rule.not_protocol, inverted=True))

    def _nets(self, side: Side, end: int) -> Iterator[Dimension]:
        if side.nets and (inside := in_nets(side.nets, end)):
            yield _always(inside)
        if side.not_nets:
            outside = in_nets(side.not_nets, end, inverted=True)
            yield _always(outside) if outside else NEVER

    def _sets(self, side: Side, end: int) -> Iterator[Dimension]:
        for set_id in side.sets:
            yield _either([self._in_set(name, end) for name in self._names(set_id)], self._exclusive)
        for set_id in side.not_sets:
            for name in self._names(set_id):
                yield _always(self._in_set(name, end)(True))

    def _ports(self, side: Side, end: int) -> Iterator[Dimension]:
        tests: list[Test] = [partial(in_ports, side.ports, end)] if side.ports else []
        tests += [self._in_service_set(set_id, end) for set_id in side.port_sets]
        if tests or side.service_sets:
            yield _either(tests, self._exclusive) if self._can_have_ports() and tests else self._possible()
        for set_id in side.service_sets:
            yield _always(self._in_service_set(set_id, end)(False))

    def _ports_not(self) -> Iterator[Dimension]:
        """Packets without ports are in no list of ports."""
        conditions = [
            condition
            for end, side in enumerate((self._rule.source, self._rule.destination))
            for condition in self._side_ports_not(side, end)
        ]
        if not conditions or not self._can_have_ports():
            return
        if self._rule.protocol is None:
            yield ((has_ports(inverted=True),), (has_ports(), *conditions))
        else:
            yield (tuple(conditions),)

    def _side_ports_not(self, side: Side, end: int) -> Iterator[Condition]:
        if side.not_ports:
            yield in_ports(side.not_ports, end, inverted=True)
        for set_id in side.not_port_sets:
            yield self._in_service_set(set_id, end)(True)

    def _icmp(self) -> Iterator[Dimension]:
        rule = self._rule
        if self._family is None or not (rule.icmp or rule.not_icmp):
            return
        number = ICMP[self._family]
        is_icmp = rule.protocol in (None, number)
        unknown = rule.protocol is None
        if rule.icmp:
            sure = (of_protocol(number),) if unknown else ()
            yield ((*sure, of_icmp(rule.icmp)),) if is_icmp else NEVER
        if rule.not_icmp and is_icmp:
            other = of_icmp(rule.not_icmp, inverted=True)
            yield ((of_protocol(number, inverted=True),), (of_protocol(number), other)) if unknown else _always(other)

    def _can_have_ports(self) -> bool:
        return self._rule.protocol is None or self._rule.protocol in PORT_PROTOCOLS

    def _possible(self) -> Dimension:
        """Nothing more to test, unless the protocol has no ports at all."""
        return ((),) if self._can_have_ports() else NEVER

    def _names(self, set_id: SetId) -> list[str]:
        """The kernel sets that hold addresses of a set."""
        family = self._address_family()
        prefixes = self._forms.has_prefixes(set_id, family)
        return [set_name(f"hosts{family}", set_id), *([set_name(f"nets{family}", set_id)] if prefixes else [])]

    def _in_set(self, name: str, end: int) -> Test:
        return partial(in_set, name, self._address_family(), end)

    def _in_service_set(self, set_id: SetId, end: int) -> Test:
        family = self._address_family()
        self._forms.use_ports(set_id)
        return partial(in_service_set, set_name(f"ports{family}", set_id), family, end)

    def _address_family(self) -> int:
        if self._family is None:
            raise AssertionError("a rule that names addresses is rendered per family")
        return self._family


def _always(condition: Condition) -> Dimension:
    return ((condition,),)


def _either(tests: Sequence[Test], exclusive: bool) -> Dimension:
    """One alternative for each test; exclusive ones begin with the contrary of those before."""
    return tuple(
        ((*(before(True) for before in tests[:position]), test(False)) if exclusive else (test(False),))
        for position, test in enumerate(tests)
    )
