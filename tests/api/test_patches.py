"""Patches: the examples of their RFCs, and that what turns one document into another does."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.patches import json_patch, merge_patch
from tortie.base.errors import InvalidResource

RFC_7386: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""The examples of its appendix A."""

RFC_6902: list[tuple[Any, list[dict[str, Any]], Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"g": {}}}], {"foo": "bar", "child": {"g": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
    ({"foo": 1}, [{"op": "copy", "from": "/foo", "path": "/bar"}], {"foo": 1, "bar": 1}),
    ({"foo": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
    ({"": 1}, [{"op": "test", "path": "/", "value": 1}], {"": 1}),
    ({"foo": 1}, [{"op": "test", "path": "/foo", "value": 1.0}], {"foo": 1}),
]
"""The examples of its appendix A that succeed, and cases that its text decides."""

REFUSED: list[tuple[Any, Any, str]] = [
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], "is 'qux', not 'bar'"),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], "there is no /baz"),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], "is 10, not '10'"),
    ({"a": True}, [{"op": "test", "path": "/a", "value": 1}], "is True, not 1"),
    ({"a": [0]}, [{"op": "test", "path": "/a", "value": [False]}], "not [False]"),
    ({}, [{"op": "remove", "path": "/a"}], "there is no /a"),
    ({"a": [1]}, [{"op": "replace", "path": "/a/1", "value": 2}], "there is no /a/1"),
    ({"a": [1]}, [{"op": "add", "path": "/a/01", "value": 2}], "beyond the list"),
    ({"a": [1]}, [{"op": "add", "path": "/a/2", "value": 2}], "beyond the list (0 to 1, or - for its end)"),
    ({"a": 1}, [{"op": "add", "path": "/a/b", "value": 2}], "holds no others"),
    ({"a": {}}, [{"op": "move", "from": "/a", "path": "/a/b"}], "is within /a"),
    ({}, [{"op": "add", "path": "a", "value": 1}], "is no JSON pointer"),
    ({}, [{"op": "add", "path": "/~2", "value": 1}], "is no JSON pointer"),
    ({}, [{"op": "add", "path": "/a"}], "[0].value: is required"),
    ({}, [{"op": "jump", "path": "/a"}], "one of add, remove, replace, move, copy, test"),
    ({}, [{"op": [], "path": "/a"}], "[] is no operation"),
    ({"a": [1]}, [{"op": "remove", "path": "/a/" + "9" * 5000}], "there is no /a/9"),
    ({}, ["add"], "[0]: must be a map"),
    ({}, {"spec": 1}, "must be a list of operations"),
]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7386)
def test_merge_patches_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    before = deepcopy(target)
    assert merge_patch(target, patch) == result
    assert target == before


@pytest.mark.parametrize(("target", "patch", "result"), RFC_6902)
def test_json_patches_of_the_rfc(target: Any, patch: list[dict[str, Any]], result: Any) -> None:
    before = deepcopy(target)
    assert json_patch(target, patch) == result
    assert target == before


@pytest.mark.parametrize(("target", "patch", "problem"), REFUSED)
def test_a_json_patch_that_cannot_be_says_which_operation_and_why(target: Any, patch: Any, problem: str) -> None:
    before = deepcopy(target)
    with pytest.raises(InvalidResource) as caught:
        json_patch(target, patch)
    assert problem in str(caught.value)
    assert target == before


@given(VALUES, VALUES)
def test_a_merge_patch_says_all_that_it_says(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    if isinstance(patch, dict):
        for name, value in patch.items():
            assert (name not in once) if value is None else (name in once)


@given(VALUES, VALUES)
def test_operations_that_rebuild_a_document_give_it(target: Any, wanted: Any) -> None:
    if not isinstance(wanted, dict):
        assert json_patch(target, [{"op": "replace", "path": "", "value": wanted}]) == wanted
        return
    pointers = {name: "/" + name.replace("~", "~0").replace("/", "~1") for name in wanted}
    operations = [{"op": "replace", "path": "", "value": {}}]
    operations += [{"op": "add", "path": pointers[name], "value": value} for name, value in wanted.items()]
    operations += [{"op": "test", "path": pointers[name], "value": value} for name, value in wanted.items()]
    assert json_patch(target, operations) == wanted


@given(
    VALUES,
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
                "path": st.text("/ab01-~", max_size=5),
                "from": st.text("/ab01-~", max_size=5),
                "value": VALUES,
            },
        ),
        max_size=4,
    ),
)
def test_whatever_the_operations_the_answer_is_a_document_or_a_problem(target: Any, operations: list[Any]) -> None:
    before = deepcopy(target)
    try:
        json_patch(target, operations)
    except InvalidResource as error:
        assert error.problems[0].object == "patch"
    assert target == before
