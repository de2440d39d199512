"""BGP filters: what the public cases leave out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.bgpfilter import BGPFilter
from tortie.api.defaults import with_defaults
from tortie.api.resource import Resource
from tortie.api.validation import problems

TAG = {"addCommunity": {"value": "65000:100"}}


def read(spec: dict[str, Any]) -> Resource:
    return codec.decode("BGPFilter", msgspec.json.encode({"metadata": {"name": "n"}, "spec": spec}))


def paths(rule: dict[str, Any], field: str = "importV4") -> list[str]:
    resource = with_defaults(read({field: [{"action": "Accept", **rule}]}))
    prefix = f"spec.{field}[0]"
    return [problem.path.removeprefix(prefix).lstrip(".") for problem in problems(resource, lambda text: None)]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"cidr": "10.0.0.1/8", "matchOperator": "In"}, "cidr"),
        ({"cidr": "10.0.0.1", "matchOperator": "In"}, "cidr"),
        ({"cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"min": 20, "max": 10}}, "prefixLength.min"),
        ({"peerType": "EBGP"}, "peerType"),
        ({"interface": "a" * 16}, "interface"),
        ({"communities": {}}, "communities.values"),
        ({"communities": {"values": ["1:1", "2:2"]}}, "communities.values"),
        ({"communities": {"values": ["70000:1"]}}, "communities.values[0]"),
        ({"asPathPrefix": ["AS1"]}, "asPathPrefix[0]"),
        ({"priority": 0}, "priority"),
        ({"operations": [TAG] * 11}, "operations"),
        ({"operations": [TAG], "action": "Reject"}, "operations"),
        ({"operations": [{"addCommunity": {}}]}, "operations[0].addCommunity.value"),
        ({"operations": [{"prependASPath": {}}]}, "operations[0].prependASPath.prefix"),
        ({"operations": [{"prependASPath": {"prefix": [1] * 11}}]}, "operations[0].prependASPath.prefix"),
        ({"operations": [{"setPriority": {}}]}, "operations[0].setPriority.value"),
        ({"operations": [{"setPriority": {"value": 2**31 - 1}}]}, "operations[0].setPriority.value"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, Any], path: str) -> None:
    assert paths(rule) == [path]


def test_each_family_has_its_lengths() -> None:
    lengths = {"matchOperator": "In", "prefixLength": {"max": 64}}
    assert paths({"cidr": "fd00::/8", **lengths}, "exportV6") == []
    assert paths({"cidr": "10.0.0.0/8", **lengths}, "exportV4") == ["prefixLength"]


def test_as_numbers_are_canonical_and_fields_in_stored_order() -> None:
    rule = {
        "operations": [{"prependASPath": {"prefix": ["1.10", 7]}}],
        "action": "Accept",
        "asPathPrefix": ["64512"],
        "communities": {"values": ["1:2"]},
    }
    resource = with_defaults(read({"importV4": [rule]}))
    assert isinstance(resource, BGPFilter)
    assert codec.encode(resource).endswith(
        b'"spec":{"importV4":[{"communities":{"values":["1:2"]},"asPathPrefix":[64512],"action":"Accept",'
        b'"operations":[{"prependASPath":{"prefix":[65546,7]}}]}]}}'
    )
