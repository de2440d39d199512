"""BGPFilters as resources, read into what the speaker carries out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tortie.api.bgpfilter import BGPFilter, FilterOperation, PrefixLengths
from tortie.api.bgpfilter import FilterRule as Rule
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import as_number, community, pattern
from tortie.desired.bgpfilter import (
    AddCommunity,
    Filter,
    FilterRule,
    NetMatch,
    Operation,
    PrependPath,
    SetPriority,
)

_NAME = re.compile(r"[A-Za-z0-9.-]+")
_OPERATORS = {"In": (True, False), "NotIn": (True, True), "Equal": (False, False), "NotEqual": (False, True)}
"""Whether longer prefixes count, and whether the match is negated."""

_ANYWHERE = PrefixLengths()


def read_filter(filter: BGPFilter) -> Filter:
    """The whole filter; one rule that cannot be read makes it unusable.

    Raises:
        ValueError: a name, prefix, number or pattern is not what it should be.
    """
    spec = filter.spec
    if not _NAME.fullmatch(filter.metadata.name):
        raise ValueError("its name has other letters than a-z, 0-9, `-` and `.`")
    return Filter(
        name=filter.metadata.name,
        imports=_by_family(spec.import_v4, spec.import_v6),
        exports=_by_family(spec.export_v4, spec.export_v6),
    )


def _by_family(rules4: Iterable[Rule], rules6: Iterable[Rule]) -> dict[int, tuple[FilterRule, ...]]:
    read = {family: tuple(_rule(rule, family) for rule in rules) for family, rules in ((4, rules4), (6, rules6))}
    return {family: rules for family, rules in read.items() if rules}


def _rule(rule: Rule, family: int) -> FilterRule:
    if rule.action not in ("Accept", "Reject"):
        raise ValueError(f"action {rule.action!r} is neither Accept nor Reject")
    if rule.source not in ("", "RemotePeers"):
        raise ValueError(f"source {rule.source!r} is unknown")
    if rule.peer_type not in ("", "iBGP", "eBGP"):
        raise ValueError(f"peerType {rule.peer_type!r} is neither iBGP nor eBGP")
    values = rule.communities.values if rule.communities else ()
    if len(values) > 1:
        raise ValueError("communities names more than one")
    return FilterRule(
        accept=rule.action == "Accept",
        net=_net(rule, family) if rule.cidr else None,
        learned=bool(rule.source),
        interface=pattern(rule.interface) if rule.interface else "",
        internal=rule.peer_type == "iBGP" if rule.peer_type else None,
        community=community(values[0]) if values else (),
        path_prefix=tuple(map(as_number, rule.as_path_prefix)),
        priority=rule.priority,
        operations=tuple(map(_operation, rule.operations)),
    )


def _net(rule: Rule, family: int) -> NetMatch:
    cidr = Cidr.parse(rule.cidr)
    if cidr.family != family:
        raise ValueError(f"{rule.cidr} is not of IPv{family}")
    if rule.match_operator not in _OPERATORS:
        raise ValueError(f"matchOperator {rule.match_operator!r} is unknown")
    inside, negated = _OPERATORS[rule.match_operator]
    lengths = rule.prefix_length or _ANYWHERE
    return NetMatch(cidr, inside, negated, lengths.min, lengths.max)


def _operation(operation: FilterOperation) -> Operation:
    if operation.add_community is not None:
        return AddCommunity(community(operation.add_community.value))
    if operation.prepend_as_path is not None:
        return PrependPath(tuple(map(as_number, operation.prepend_as_path.prefix)))
    if operation.set_priority is not None:
        return SetPriority(operation.set_priority.value)
    raise ValueError("an operation says nothing")
