"""The part of Go's templates that is understood, and the refusal of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.cli.gotemplate import parse_go_template
from tortie.cli.jsonpath_syntax import InvalidTemplate

DATA: dict[str, Any] = {
    "items": [
        {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"order": 5, "ipNetworks": ["1", "2"], "on": True}},
        {"metadata": {"name": "b"}, "spec": {}},
    ]
}


@pytest.mark.parametrize(
    ("template", "text"),
    {
        '{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}': "a\nb\n",
        "{{range .items}}{{if .spec.order}}{{.spec.order}}{{else}}none{{end}};{{end}}": "5;none;",
        "{{range .items}}{{if .x}}x{{else if .spec.on}}on{{else}}off{{end}} {{end}}": "on off ",
        "{{range $i, $one := .items}}{{$i}}={{$one.metadata.name}} {{end}}": "0=a 1=b ",
        "{{range $one := .items}}{{$one.metadata.name}}{{end}}": "ab",
        "{{range .nothing}}x{{else}}empty{{end}}": "empty",
        "{{with (index .items 0).metadata.labels}}{{.x}}{{end}}": "1",
        "{{with .nothing}}x{{else}}without{{end}}": "without",
        "{{$n := len .items}}{{$n}} {{$.items | len | printf `%03d`}}": "2 002",
        "{{range $key, $value := (index .items 0).spec}}{{$key}} {{end}}": "ipNetworks on order ",
        'a  {{- "x" -}}  b': "axb",
        "{{/* said to nobody */}}{{true}} {{1.5}} {{-3}}": "true 1.5 -3",
        "{{(index .items 0).metadata}} {{(index .items 0).spec.ipNetworks}} {{.nope}}": (
            "map[labels:map[x:1] name:a] [1 2] <no value>"
        ),
        '{{range .items}}{{printf "%-3s|%q|%v|%d%%" .metadata.name .metadata.name .spec.on 7}} {{end}}': (
            'a  |"a"|true|7% b  |"b"|<no value>|7% '
        ),
        '{{if and (eq 1 1) (ne "a" "b") (not false) (lt 1 2) (ge 2 2) (or false 1)}}all{{end}}': "all",
        '{{print 1 2 "x" 3}}{{println 3 "y"}}': "1 2x33 y\n",
    }.items(),
)
def test_templates_give_what_go_gives(template: str, text: str) -> None:
    assert parse_go_template(template)(DATA) == text


def test_the_names_of_go_structs_are_found_as_calicoctls_users_write_them() -> None:
    template = '{{range .Items}}{{.ObjectMeta.Name}} {{join .Spec.IPNetworks ","}};{{end}}'
    assert parse_go_template(template)(DATA) == "a 1,2;b ;"
    assert parse_go_template("{{range .Items}}{{.Name}} {{.Nope}};{{end}}")(DATA) == "a <no value>;b <no value>;"


def test_what_was_asked_for_is_also_the_only_item_of_a_list_as_calicoctls_templates_have_it() -> None:
    listed = {"apiVersion": "v3", "kind": "NetworkPolicyList", **DATA}
    assert parse_go_template("{{range .}}{{range .Items}}{{.ObjectMeta.Name}}{{end}}{{end}}")(listed) == "ab"
    assert (
        parse_go_template("{{range .}}{{.Name}}{{end}}")({"kind": "Tier", "apiVersion": "v3", **DATA["items"][0]})
        == "a"
    )


@pytest.mark.parametrize(
    ("template", "position", "words"),
    [
        ("{{range .items}}", 0, "no {{end}}"),
        ("{{end}}", 0, "no block"),
        ("{{if .a}}{{else}}{{else}}{{end}}", 17, "no block"),
        ("text {{.a", 5, "never closed"),
        ("{{template `x`}}", 2, "the function template is not supported"),
        ("{{.a ? .b}}", 4, "not understood"),
        ("{{(.a}}", 5, ") is expected"),
        ("{{.a | .b}}", 7, "a function is expected"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(template: str, position: int, words: str) -> None:
    with pytest.raises(InvalidTemplate) as caught:
        parse_go_template(template)
    assert (caught.value.position, words in str(caught.value)) == (position, True), str(caught.value)


@pytest.mark.parametrize("template", ["{{index .items 9}}", "{{lt .a 1}}", "{{len 1}}", '{{printf "%s"}}'])
def test_a_function_that_does_not_fit_its_values_is_an_error_of_the_template(template: str) -> None:
    with pytest.raises(InvalidTemplate, match="does not fit its values"):
        parse_go_template(template)(DATA)


MARKS = st.sampled_from(
    ["{{", "}}", "{{- ", " -}}", "|", "(", ")", '"a"', "`", '"', " ", ",", " := ", "$x", "/*", "*/"]
)
WORDS = st.sampled_from(
    [".items", ".", "range ", "if ", "end", "else", "with ", "len ", "index ", "printf ", "1", "nil"]
)


@given(st.lists(MARKS | WORDS, max_size=25).map("".join))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        parse_go_template(text)(DATA)
    except InvalidTemplate as error:
        assert 0 <= error.position <= len(text)
