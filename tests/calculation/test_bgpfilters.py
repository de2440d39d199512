"""Filters as resources, read whole or not at all."""

from __future__ import annotations

import pytest

from tortie.api.bgpfilter import (
    AddCommunity,
    BGPFilter,
    BGPFilterSpec,
    CommunityMatch,
    FilterOperation,
    FilterRuleV4,
    FilterRuleV6,
    PrefixLengths,
    PrependASPath,
    SetPriority,
)
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.calculation.bgpfilters import read_filter
from tortie.desired import bgpfilter as desired


def read(name: str = "f", **spec: object) -> desired.Filter:
    return read_filter(BGPFilter(metadata=Metadata(name=name), spec=BGPFilterSpec(**spec)))


def read_rule(**fields: object) -> desired.FilterRule:
    (rule,) = read(import_v4=(FilterRuleV4(**{"action": "Accept", **fields}),)).imports[4]
    return rule


def test_rules_stand_in_order_by_direction_and_family() -> None:
    accept, reject = FilterRuleV4(action="Accept"), FilterRuleV4(action="Reject")
    found = read(import_v4=(accept, reject), export_v6=(FilterRuleV6(action="Reject"),))
    assert found.imports == {4: (desired.FilterRule(accept=True), desired.FilterRule(accept=False))}
    assert found.exports == {6: (desired.FilterRule(accept=False),)}


def test_every_condition_and_operation_is_read() -> None:
    rule = read_rule(
        cidr="10.0.0.0/8",
        match_operator="In",
        prefix_length=PrefixLengths(min=16, max=24),
        source="RemotePeers",
        interface="eth*",
        peer_type="eBGP",
        communities=CommunityMatch(values=("65000:1:2",)),
        as_path_prefix=("65000", "1.1"),
        priority=100,
        operations=(
            FilterOperation(add_community=AddCommunity(value="65000:7")),
            FilterOperation(prepend_as_path=PrependASPath(prefix=(65001, "65002"))),
            FilterOperation(set_priority=SetPriority(value=200)),
        ),
    )
    assert rule == desired.FilterRule(
        accept=True,
        net=desired.NetMatch(Cidr.parse("10.0.0.0/8"), inside=True, negated=False, shortest=16, longest=24),
        learned=True,
        interface="eth*",
        internal=False,
        community=(65000, 1, 2),
        path_prefix=(65000, 65537),
        priority=100,
        operations=(
            desired.AddCommunity((65000, 7)),
            desired.PrependPath((65001, 65002)),
            desired.SetPriority(200),
        ),
    )


@pytest.mark.parametrize(
    ("operator", "inside", "negated"),
    [("In", True, False), ("NotIn", True, True), ("Equal", False, False), ("NotEqual", False, True)],
)
def test_operators(operator: str, inside: bool, negated: bool) -> None:
    net = read_rule(cidr="10.0.0.0/8", match_operator=operator).net
    assert net is not None
    assert (net.inside, net.negated) == (inside, negated)


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "Perhaps"},
        {"cidr": "10.0.0.0/8"},
        {"cidr": "10.0.0.0/8", "match_operator": "Like"},
        {"cidr": "fd00::/8", "match_operator": "In"},
        {"cidr": "x", "match_operator": "In"},
        {"source": "Anybody"},
        {"peer_type": "cBGP"},
        {"interface": 'eth0" then accept; #'},
        {"communities": CommunityMatch(values=("1:2", "3:4"))},
        {"communities": CommunityMatch(values=("70000:1",))},
        {"as_path_prefix": ("x",)},
        {"operations": (FilterOperation(),)},
    ],
    ids=str,
)
def test_one_rule_that_cannot_be_read_makes_the_whole_unusable(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_rule(**fields)


def test_a_name_that_the_speaker_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        read("it's")
