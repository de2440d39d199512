"""Filters as BIRD's functions."""

from __future__ import annotations

import pytest

from tortie.base.addresses import Cidr
from tortie.bgp.filters import LONGEST_NAME, function_name, render_filter, short_name
from tortie.desired.bgpfilter import AddCommunity, Filter, FilterRule, NetMatch, PrependPath, SetPriority

NET = Cidr.parse("10.0.0.0/8")


def rule_text(rule: FilterRule) -> str:
    text = render_filter(Filter("f", {4: (rule,)}, {}), (4, 6))
    return text.splitlines()[1].strip()


@pytest.mark.parametrize(
    ("match", "text"),
    [
        (NetMatch(NET), "net ~ [ 10.0.0.0/8+ ]"),
        (NetMatch(NET, negated=True), "!(net ~ [ 10.0.0.0/8+ ])"),
        (NetMatch(NET, inside=False), "net ~ [ 10.0.0.0/8 ]"),
        (NetMatch(NET, inside=False, negated=True), "!(net ~ [ 10.0.0.0/8 ])"),
        (NetMatch(NET, shortest=16, longest=24), "net ~ [ 10.0.0.0/8{16,24} ]"),
        (NetMatch(NET, shortest=4), "net ~ [ 10.0.0.0/8+ ]"),
        (NetMatch(NET, longest=8), "net ~ [ 10.0.0.0/8 ]"),
        (NetMatch(NET, longest=7), "false"),
        (NetMatch(NET, negated=True, longest=7), "true"),
        (NetMatch(NET, inside=False, shortest=9), "false"),
        (NetMatch(NET, inside=False, shortest=8, longest=32), "net ~ [ 10.0.0.0/8 ]"),
    ],
)
def test_prefixes_and_lengths(match: NetMatch, text: str) -> None:
    assert rule_text(FilterRule(accept=False, net=match)) == f"if {text} then reject;"


def test_conditions_are_joined_and_operations_come_before_the_verdict() -> None:
    rule = FilterRule(
        accept=True,
        internal=False,
        community=(1, 2, 3),
        path_prefix=(65000, 65001),
        operations=(AddCommunity((1, 2)), PrependPath((65002, 65003)), SetPriority(100)),
    )
    assert rule_text(rule) == (
        "if !is_internal && (1,2,3) ~ bgp_large_community && bgp_path ~ [= 65000 65001 * =] then "
        "{ bgp_community.add((1,2)); bgp_path.prepend(65003); bgp_path.prepend(65002); "
        "bgp_local_pref = 2147483547; accept; }"
    )


def test_a_rule_without_conditions_is_for_all_routes() -> None:
    assert rule_text(FilterRule(accept=False)) == "reject;"


def test_there_is_a_function_for_each_direction_and_family_that_has_rules() -> None:
    rules = (FilterRule(accept=True),)
    text = render_filter(Filter("f", {4: rules}, {4: rules, 6: rules}), (4,))
    names = [line.split("(")[0] for line in text.splitlines() if line.startswith("function")]
    assert names == ["function 'bgp_f_importFilterV4'", "function 'bgp_f_exportFilterV4'"]


def test_long_names_are_cut_and_stay_different() -> None:
    longest = "a" * LONGEST_NAME
    assert short_name(longest) == longest
    cut = [short_name("a" * count) for count in (LONGEST_NAME + 1, LONGEST_NAME + 2)]
    assert len({longest, *cut}) == 3
    assert all(len(function_name(name, "import", 4)) == 64 + len("''") for name in cut)
