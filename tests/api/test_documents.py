"""What people write is loaded strictly: every mistake at once, with its place and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api.codec import to_json
from tortie.api.documents import load_resource, read_documents
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource
from tortie.base.errors import InvalidResource, Problem

POLICY = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: a
  namespace: shop
  labels: {country: NO, v: 1.10}
spec:
  selecter: x
  order: "5"
  ingress:
  - action: Allow
    protocl: TCP
    source:
      nets: 10.0.0.0/8
      ports: [80, true, 99999999999999999999]
  - {}
  egress:
"""


def load(text: str) -> Resource:
    (document,) = read_documents(text, "f.yaml")
    return load_resource(document)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidResource) as caught:
        load(text)
    return caught.value.problems


def tier(rest: str) -> str:
    return f"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: t}}\n{rest}"


def test_every_mistake_is_named_with_place_and_remedy() -> None:
    assert [str(problem) for problem in problems(POLICY)] == [
        'f.yaml:6:12: NetworkPolicy shop/a: metadata.labels[country]: must be a text, not a boolean (quote it: "NO")',
        'f.yaml:6:25: NetworkPolicy shop/a: metadata.labels[v]: must be a text, not a number (quote it: "1.10")',
        "f.yaml:8:3: NetworkPolicy shop/a: spec.selecter: is not a field (did you mean selector?)",
        "f.yaml:9:3: NetworkPolicy shop/a: spec.order: must be a number, not a text",
        "f.yaml:12:5: NetworkPolicy shop/a: spec.ingress[0].protocl: is not a field (did you mean protocol?)",
        "f.yaml:14:7: NetworkPolicy shop/a: spec.ingress[0].source.nets: must be a list, not a text",
        "f.yaml:15:19: NetworkPolicy shop/a: spec.ingress[0].source.ports[1]: "
        'must be a whole number or a text, not a boolean (quote it: "true")',
        "f.yaml:15:25: NetworkPolicy shop/a: spec.ingress[0].source.ports[2]: "
        "is too large a number (from -9223372036854775808 to 9223372036854775807)",
        "f.yaml:16:5: NetworkPolicy shop/a: spec.ingress[1].action: is required",
    ]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("spec: {order: .nan}", "spec.order: is not a finite number"),
        ("spec: {order: 1e999}", "spec.order: is not a finite number"),
        ("spec: {order: true}", "spec.order: must be a number, not a boolean"),
        ("spec: []", "spec: must be a map, not a list"),
        ("spec: {Order: 1}", "did you mean order?"),
        ("status: {conditions: [1]}", "status.conditions[0]: must be a map, not a number"),
        ("zzz: 1", "zzz: is not a field (known are metadata, spec, status)"),
        ("spec: {defaultAction: [Deny]}", "spec.defaultAction: must be a text, not a list"),
    ],
)
def test_wrong_shapes(rest: str, words: str) -> None:
    (problem,) = problems(tier(rest))
    assert words in str(problem)
    assert problem.line == 4


@pytest.mark.parametrize(
    ("number", "taken"), [(-(2**63), True), (-(2**63) - 1, False), (2**63 - 1, True), (2**63, False)]
)
def test_whole_numbers_have_64_bits(number: int, taken: bool) -> None:
    text = f"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: a, generation: {number}}}"
    if taken:
        assert load(text).metadata.generation == number
        return
    (problem,) = problems(text)
    assert problem.problem == "is too large a number"


@pytest.mark.parametrize(
    ("head", "path", "remedy"),
    [
        ("apiVersion: projectcalico.org/v3\nkind: Teir", "kind", "did you mean Tier?"),
        ("apiVersion: projectcalico.org/v1\nkind: Tier", "apiVersion", "use projectcalico.org/v3"),
    ],
)
def test_unknown_kinds_and_versions(head: str, path: str, remedy: str) -> None:
    (problem,) = problems(head)
    assert (problem.path, problem.remedy) == (path, remedy)


@pytest.mark.parametrize("text", ["kind: Tier", "apiVersion: v1", "- 1", "x", "kind: 1\napiVersion: 2", "kind: ''"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        read_documents(text)


def test_nulls_are_as_if_left_out() -> None:
    assert load(tier("spec: {order: }\nstatus:")) == load(tier(""))


def test_an_empty_label_value_is_text_and_null_is_not() -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t, labels: {a: '', b: }}"
    (problem,) = problems(text)
    assert (problem.path, problem.problem) == ("metadata.labels[b]", "must be a text, not nothing")


def test_documents_and_lists_come_in_order() -> None:
    one, two, three = (
        json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": n}}) for n in "abc"
    )
    text = f"{one}\n---\n---\napiVersion: v1\nkind: TierList\nitems: [{two}, {{kind: List, items: [{three}]}}]\n"
    documents = read_documents(text)
    assert [document.name for document in documents] == ["Tier a", "Tier b", "Tier c"]
    assert [document.position("")[0] for document in documents] == [1, 6, 6]


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("", (1, 1)),
        ("spec", (7, 1)),
        ("spec.ingress[0].source.ports[1]", (15, 19)),
        ("spec.ingress[9].source", (10, 3)),
        ("spec.missing", (7, 1)),
        ("metadata.labels[country]", (6, 12)),
        ("]][[..", (1, 1)),
        ("spec.ingress[" + "9" * 5000 + "]", (10, 3)),
    ],
)
def test_positions_are_found_or_those_of_the_nearest_holder(path: str, position: tuple[int, int]) -> None:
    (document,) = read_documents(POLICY)
    assert document.position(path) == position


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        *("metadata", "spec", "status", "name", "labels", "ingress", "action", "source", "ports", "order"),
        *("endpoints", "addresses", "containers", "addressType", "annotations"),
    ]
)
NEARLY = st.recursive(JSON, lambda inner: st.dictionaries(FIELDS, inner) | st.lists(inner, max_size=2), max_leaves=15)


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(FIELDS, NEARLY))
def test_any_object_is_loaded_or_refused(kind: str, fields: dict[str, Any]) -> None:
    text = json.dumps({**fields, "apiVersion": KINDS[kind].api_version, "kind": kind})
    try:
        for document in read_documents(text):
            load_resource(document)
    except InvalidResource:
        return


def _readable(text: str) -> bool:
    """JSON's `\\ud83d\\ude00` pairs and DEL are outside of what YAML reads."""
    return all(character.isprintable() and ord(character) < 0xD800 for character in text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_shown_can_be_loaded_again(kind: str, instances: Callable[[type], st.SearchStrategy[Any]]) -> None:
    @settings(max_examples=settings.default.max_examples // 3)
    @given(st.data())
    def comes_back(data: st.DataObject) -> None:
        resource = data.draw(instances(KINDS[kind]).filter(lambda one: _readable(to_json(one).decode())))
        if resource.api_version != API_VERSION:
            metadata = msgspec.structs.replace(resource.metadata, managed_fields=())
            resource = msgspec.structs.replace(resource, metadata=metadata)
        shown = to_json(resource).decode()
        assert load(shown) == resource

    comes_back()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metadata: {}\n", "document: kind: is required"),
        ("kind: Tier\n", "document: apiVersion: is required"),
        ("apiVersion: projectcalico.org/v3\nkind: [Tier]\n", "f.yaml:2:1: document: kind: must be a text"),
        ("kind: Tier\napiVersion: 3\n", "f.yaml:2:1: document: apiVersion: must be a text"),
    ],
)
def test_what_is_no_kind_of_anything_is_told_where_it_stands(text: str, problem: str) -> None:
    with pytest.raises(InvalidResource, match=problem):
        read_documents(text, "f.yaml")
