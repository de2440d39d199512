"""Flow records of several collectors are read alike; what cannot be read is told with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.flowrecords import FlowRecord, Peer, read_flows
from tortie.base.errors import InvalidResource

SNAKE = {
    "source_name": "client-7f9-*",
    "source_namespace": "shop",
    "source_address": "10.0.0.1",
    "dest_name": "web",
    "dest_namespace": "shop",
    "dest_port": 80,
    "protocol": "tcp",
    "action": "Allow",
    "connections_started": 3,
    "policies": {"enforced": []},
}
READ = FlowRecord(Peer("shop", "client-7f9-*", "10.0.0.1"), Peer("shop", "web"), 6, 80, "Allow", 3)


def lines(*values: Any) -> list[str]:
    return [json.dumps(one) for one in values]


def test_names_of_fields_may_be_written_in_either_way() -> None:
    camel = {"sourceName": "client-7f9-*", "sourceNamespace": "shop", "sourceIP": "10.0.0.1", "destName": "web"}
    camel |= {"destNamespace": "shop", "destPort": "80", "proto": 6, "action": "Allow", "connectionsStarted": 3}
    nested = {"id": 1, "flow": {"key": {name: SNAKE[name] for name in list(SNAKE)[:7]}, "action": "Allow"}}
    nested["flow"]["connectionsStarted"] = 3  # type: ignore[index]
    assert read_flows(lines(SNAKE, camel, nested, {"total": 1, "items": [SNAKE]}), "f") == [READ] * 4


def test_what_is_unknown_is_empty() -> None:
    outside = {"source_name": "-", "source_namespace": "-", "source_address": "192.0.2.1", "dest_name": "web"}
    (found,) = read_flows(["", *lines(outside | {"protocol": "icmp"})], "f")
    assert (found.source, found.port, found.count, found.text) == (
        Peer("", "-", "192.0.2.1"),
        None,
        1,
        "192.0.2.1 → web",
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Expecting property name"),
        ("7", "is no record of a flow"),
        (json.dumps({**SNAKE, "protocol": None}), "has no protocol"),
        (json.dumps({**SNAKE, "protocol": "tpc"}), "tpc"),
        (json.dumps({**SNAKE, "dest_port": 70000}), "70000 is no port"),
        (json.dumps({**SNAKE, "source_address": "10.0.0"}), "10.0.0"),
        (json.dumps({**SNAKE, "dest_name": ""}), "says neither dest_name nor dest_address"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(line: str, problem: str) -> None:
    with pytest.raises(InvalidResource) as raised:
        read_flows([*lines(SNAKE), line], "flows.jsonl")
    (found,) = raised.value.problems
    assert (found.file, found.line, problem in found.problem) == ("flows.jsonl", 2, True), found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.sampled_from([*SNAKE, "flow", "items"]), one),
)


@given(st.one_of(st.text(), JSON.map(json.dumps)))
def test_nothing_that_is_read_is_a_crash(line: str) -> None:
    try:
        read_flows([line], "f")
    except InvalidResource as error:
        assert error.problems
