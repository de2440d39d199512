"""Rules with conditions from a newer writer are marked when they are read, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.codec import decode, encode
from tortie.api.newer import RULED_KINDS, NewerRule, with_newer_rules
from tortie.api.policy import NetworkPolicy

PLAIN: dict[str, Any] = {
    "action": "Allow",
    "ipVersion": 4,
    "protocol": "TCP",
    "notProtocol": 17,
    "icmp": {"type": 8, "code": 0},
    "notICMP": {"type": 3},
    "source": {
        "nets": ["10.0.0.0/8"],
        "notNets": ["10.1.0.0/16"],
        "selector": "a == 'b'",
        "notSelector": "has(c)",
        "namespaceSelector": "all()",
        "ports": [80, "http"],
        "notPorts": [443],
        "serviceAccounts": {"names": ["web"], "selector": "all()"},
    },
    "destination": {"services": {"name": "db", "namespace": "shop"}},
    "http": {"methods": ["GET"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]},
    "metadata": {"annotations": {"a": "b"}},
}
"""Every field that is known."""

PLACES: list[tuple[str | int, ...]] = [
    (),
    ("icmp",),
    ("notICMP",),
    ("source",),
    ("source", "serviceAccounts"),
    ("destination",),
    ("destination", "services"),
    ("http",),
    ("http", "paths", 1),
]
"""Every part of a rule that narrows what it matches."""


def stored(kind: str, **lists: Any) -> bytes:
    document = {"kind": kind, "metadata": {"name": "a", "namespace": "b"}, "spec": {"fromTheFuture": {}, **lists}}
    return json.dumps(document).encode()


def marked(kind: str, data: bytes) -> dict[str, list[bool]]:
    """Which rules are marked, in each direction."""
    spec: Any = with_newer_rules(decode(kind, data), data)
    return {name: [isinstance(rule, NewerRule) for rule in getattr(spec.spec, name)] for name in ("ingress", "egress")}


def changed(place: tuple[str | int, ...], **fields: Any) -> dict[str, Any]:
    rule: dict[str, Any] = json.loads(json.dumps(PLAIN))
    part: Any = rule
    for step in place:
        part = part[step]
    part.update(fields)
    return rule


@pytest.mark.parametrize("kind", sorted(RULED_KINDS))
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_rule_with_an_unknown_field_anywhere_in_its_conditions_is_marked(
    kind: str, place: tuple[str | int, ...]
) -> None:
    data = stored(kind, ingress=[PLAIN, changed(place, newer={"a": 1})], egress=[changed(place, newer=0)])
    assert marked(kind, data) == {"ingress": [False, True], "egress": [True]}


def test_nothing_that_is_known_is_marked() -> None:
    nulls = {name: None for name in PLAIN if name != "action"}
    spelt = [PLAIN, {"action": "Deny"}, {"action": "Deny", **nulls}, changed(("metadata",), newer=1)]
    assert marked("NetworkPolicy", stored("NetworkPolicy", ingress=spelt, egress=None)) == {
        "ingress": [False] * 4,
        "egress": [],
    }


def test_a_mark_changes_nothing_that_is_stored_or_shown() -> None:
    data = stored("NetworkPolicy", ingress=[changed((), newer=1)])
    read = decode("NetworkPolicy", data)
    assert encode(with_newer_rules(read, data)) == encode(read)


def test_what_cannot_be_read_is_not_known() -> None:
    data = stored("NetworkPolicy", ingress=[PLAIN])
    known = decode("NetworkPolicy", data)
    for broken in (data[:-1], data.replace(b"{}", b"[" * 5000 + b"]" * 5000, 1)):
        found = with_newer_rules(known, broken)
        assert isinstance(found, NetworkPolicy)
        assert isinstance(found.spec.ingress[0], NewerRule)


@given(
    st.sampled_from(PLACES),
    st.from_regex(r"newer[A-Za-z]*", fullmatch=True),
    st.sampled_from([None, "", [], {}, 0, False, "a", [None], {"a": 1}]),
)
def test_a_field_counts_when_it_says_anything(place: tuple[str | int, ...], name: str, value: Any) -> None:
    data = stored("NetworkPolicy", ingress=[changed(place, **{name: value})])
    assert marked("NetworkPolicy", data)["ingress"] == [value not in (None, "", [])]
