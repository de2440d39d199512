"""BGPFilters as functions of BIRD: one a direction and family, told whether the session is inside one AS. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from tortie.base.addresses import Cidr
from tortie.desired.bgpfilter import (
    LOWEST_PREFERENCE,
    AddCommunity,
    Filter,
    FilterRule,
    NetMatch,
    Operation,
    PrependPath,
    SetPriority,
)

LONGEST_NAME = 45
"""Letters of a filter's name that leave room for the rest of a symbol, of which BIRD takes 64."""

_KEPT = 28
_DIRECTIONS = ("import", "export")


def render_filter(filter: Filter, families: Iterable[int]) -> str:
    """Its functions of these families."""
    return "".join(
        _function(function_name(filter.name, direction, family), rules)
        for family in families
        for direction in _DIRECTIONS
        if (rules := rules_of(filter, direction, family))
    )


def rules_of(filter: Filter, direction: str, family: int) -> tuple[FilterRule, ...]:
    """Rules of a direction, `import` or `export`, and a family."""
    return (filter.imports if direction == "import" else filter.exports).get(family, ())


def function_name(name: str, direction: str, family: int) -> str:
    """The quoted symbol of a filter's function."""
    return f"'bgp_{short_name(name)}_{direction}FilterV{family}'"


def short_name(name: str) -> str:
    """A name that fits, and is another for each filter."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_KEPT]}_{hashlib.sha256(name.encode()).hexdigest()[:16].upper()}"


def community_text(community: tuple[int, ...]) -> str:
    """A standard or large community as BIRD writes it."""
    return f"({','.join(map(str, community))})"


def add_community(community: tuple[int, ...]) -> str:
    """The statement that adds a community to a route."""
    return f"{_communities(community)}.add({community_text(community)});"


def _communities(community: tuple[int, ...]) -> str:
    return "bgp_community" if len(community) == 2 else "bgp_large_community"


def _function(name: str, rules: Iterable[FilterRule]) -> str:
    lines = "".join(f"    {_rule(rule)}\n" for rule in rules)
    return f"function {name}(bool is_internal) {{\n{lines}}}\n"


def _rule(rule: FilterRule) -> str:
    conditions = " && ".join(_conditions(rule))
    steps = [step for operation in rule.operations for step in _steps(operation)]
    actions = " ".join([*steps, "accept;" if rule.accept else "reject;"])
    body = f"{{ {actions} }}" if steps else actions
    return f"if {conditions} then {body}" if conditions else actions


def _conditions(rule: FilterRule) -> Iterator[str]:
    if rule.internal is not None:
        yield "is_internal" if rule.internal else "!is_internal"
    if rule.net is not None:
        yield _net(rule.net)
    if rule.learned:
        yield "source = RTS_BGP"
    if rule.interface:
        yield f'defined(ifname) && ifname ~ "{rule.interface}"'
    if rule.community:
        yield f"{community_text(rule.community)} ~ {_communities(rule.community)}"
    if rule.path_prefix:
        yield f"bgp_path ~ [= {' '.join(map(str, rule.path_prefix))} * =]"
    if rule.priority is not None:
        yield f"defined(bgp_local_pref) && bgp_local_pref = {LOWEST_PREFERENCE - rule.priority}"


def _net(match: NetMatch) -> str:
    shortest = max(match.cidr.length, match.shortest or 0)
    longest = match.cidr.bits if match.longest is None else min(match.cidr.bits, match.longest)
    if not match.inside:
        longest = min(longest, match.cidr.length)
    if shortest > longest:
        return "true" if match.negated else "false"
    pattern = f"net ~ [ {match.cidr}{_lengths(match.cidr, shortest, longest)} ]"
    return f"!({pattern})" if match.negated else pattern


def _lengths(cidr: Cidr, shortest: int, longest: int) -> str:
    if shortest == longest == cidr.length:
        return ""
    return "+" if (shortest, longest) == (cidr.length, cidr.bits) else f"{{{shortest},{longest}}}"


def _steps(operation: Operation) -> Iterator[str]:
    match operation:
        case AddCommunity(community):
            yield add_community(community)
        case PrependPath(as_numbers):
            yield from (f"bgp_path.prepend({number});" for number in reversed(as_numbers))
        case SetPriority(priority):
            yield f"bgp_local_pref = {LOWEST_PREFERENCE - priority};"
