"""JSONPath as kubectl's documentation has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.cli.jsonpath import find, render
from tortie.cli.jsonpath_syntax import InvalidTemplate, parse_path, parse_template

DATA: dict[str, Any] = {
    "kind": "List",
    "name.type": "dotted",
    "items": [
        {
            "kind": "None",
            "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "kind-control-plane"}},
            "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]},
        },
        {
            "kind": "None",
            "metadata": {"name": "127.0.0.2"},
            "status": {
                "capacity": {"cpu": "8"},
                "addresses": [
                    {"type": "LegacyHostIP", "address": "127.0.0.2"},
                    {"type": "another", "address": "127.0.0.3"},
                ],
            },
        },
    ],
    "users": [
        {"name": "myself", "user": {}, "age": 40},
        {"name": "e2e", "user": {"username": "admin", "password": "secret"}, "age": 5.0, "on": True},
    ],
}

DOCUMENTED = {
    "kind is {.kind}": "kind is List",
    "{.kind}": "List",
    "{['kind']}": "List",
    r"{['name\.type']}": "dotted",
    "{..name}": "127.0.0.1 127.0.0.2 myself e2e",
    "{.items[*].metadata.name}": "127.0.0.1 127.0.0.2",
    "{.users[0].name}": "myself",
    "{.items[*]['metadata.name', 'status.capacity']}": '127.0.0.1 127.0.0.2 {"cpu":"4"} {"cpu":"8"}',
    '{.users[?(@.name=="e2e")].user.password}': "secret",
    "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}": (
        '[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] '
    ),
    r"{range .items[*]}{.metadata.name}{'\t'}{end}": "127.0.0.1\t127.0.0.2\t",
    r"{.items[0].metadata.labels.kubernetes\.io/hostname}": "kind-control-plane",
    "{@.kind}": "List",
    "{$.kind}": "List",
}


@pytest.mark.parametrize(("template", "text"), DOCUMENTED.items())
def test_the_examples_of_the_documentation_give_what_it_says(template: str, text: str) -> None:
    assert render(parse_template(template), DATA) == text


def test_the_current_object_is_everything() -> None:
    assert json.loads(render(parse_template("{@}"), DATA)) == DATA
    assert json.loads(render(parse_template("{.}"), DATA)) == DATA


@pytest.mark.parametrize(
    ("template", "text"),
    {
        "{.users[-1].name}": "e2e",
        "{.users[-1:].name}": "e2e",
        "{.users[:1].name}": "myself",
        "{.users[::2].name}": "myself",
        "{.users[0,1].name}": "myself e2e",
        "{.users[7].name}{.nothing.at.all}{.kind[0]}": "",
        "{.items[0].metadata.labels['kubernetes.io/hostname']}": "kind-control-plane",
        "{.users.*.name}": "myself e2e",
        "{.users[?(@.age>5)].name}": "myself",
        "{.users[?(@.age<=5)].name}": "e2e",
        "{.users[?(@.on==true)].name}": "e2e",
        "{.users[?(@.on)].name}": "e2e",
        '{.users[?(@.on!=true)].name}{"|"}{.users[?(@.name!="e2e")].name}': "myself|myself",
        "{.users[?(@.name<5)].name}": "",
        "{.users[?('e2e'==@.name)].age}": "5",
        "{.users[?(@.name==$.users[1].name)].name}": "e2e",
        '{.items[*].status.addresses[?(@.type=="another")].address}': "127.0.0.3",
        "{range .items[*]}{range .status.addresses[*]}{.address},{end};{end}": ("127.0.0.1,;127.0.0.2,127.0.0.3,;"),
        "{range .items}{.metadata.name} of {$.kind} {end}": "127.0.0.1 of List 127.0.0.2 of List ",
        '{"a\\"b"}{\'\\n\'} {.kind "-" .kind}': 'a"b\n List-List',
        "plain": "plain",
    }.items(),
)
def test_every_step_takes_what_it_says(template: str, text: str) -> None:
    assert render(parse_template(template), DATA) == text


@pytest.mark.parametrize("text", ["{.spec.order}", ".spec.order", "spec.order", "{spec.order}", "$.spec.order"])
def test_a_single_path_may_be_written_without_braces_and_dot(text: str) -> None:
    if text == "{spec.order}":
        with pytest.raises(InvalidTemplate, match=r"begins with a dot: \.spec"):
            parse_path(text)
    else:
        assert find(parse_path(text), {"spec": {"order": 7}}) == [7]


@pytest.mark.parametrize(
    ("template", "position", "words"),
    [
        ("{.items[0}", 9, "] is expected"),
        ("{.items[", 8, "a number, a slice"),
        ("{.items[*]", 10, "} is expected"),
        ("{range .items[*]}{.x}", 0, "no {end}"),
        ("{.x}{end}", 4, "no range"),
        ("{kind}", 1, "begins with a dot: .kind"),
        ("{}", 1, "braces must hold"),
        ('{.x[?(@.a=="b)]}', 11, "never closed"),
        ('{.x[?(@.a=="b" && @.c)]}', 15, "cannot be joined by && or ||"),
        ("{.a[1:2:0]}", 4, "steps of 1 or more"),
        ("{..}", 3, "the name of a field"),
        ("{range .a}" * 40, 300, "nested too deeply"),
    ],
)
def test_an_error_tells_its_place(template: str, position: int, words: str) -> None:
    with pytest.raises(InvalidTemplate) as caught:
        parse_template(template)
    assert (caught.value.position, words in str(caught.value)) == (position, True), str(caught.value)


PIECES = st.sampled_from(
    [*"{}[]()@$.*?:,'\"\\ =<>!-19", "..", "range ", "end", ".items", "[*]", "name", "?(@.", "==", "'x'", "&&", "\n"]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_whatever_is_read_can_be_rendered_and_the_rest_is_refused_with_a_place(text: str) -> None:
    try:
        template = parse_template(text)
    except InvalidTemplate as error:
        assert 0 <= error.position <= len(text)
    else:
        render(template, DATA)
