"""`tortie label` and `annotate`, in kubectl's spelling and calicoctl's."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Run = Callable[..., Result]

SETS = "".join(
    f"---\n{{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {{name: {name}}}, spec: {{}}}}\n"
    for name in ("a", "b")
)


@pytest.fixture
def labels(run: Run) -> Callable[[str], dict[str, str]]:
    run("apply", "-f", "-", text=SETS)

    def read(field: str = "labels") -> dict[str, str]:
        found: dict[str, str] = json.loads(run("get", "netset", "a", "-o", "json").output)["metadata"].get(field, {})
        return found

    return read


def test_labels_are_set_changed_and_removed(run: Run, labels: Callable[..., dict[str, str]]) -> None:
    assert run("label", "netset", "a", "x=1", "example.org/y=").output == "networkset default/a labeled\n"
    assert labels() == {"x": "1", "example.org/y": ""}
    assert run("label", "netset", "a", "x=1").output == "networkset default/a unchanged\n"
    result = run("label", "netset", "a", "x=2")
    assert result.exit_code == 1
    assert "metadata.labels[x]: is already present, as '1' (set a new value with --overwrite)" in result.stderr
    assert run("label", "netset/a", "x=2", "example.org/y-", "--overwrite").exit_code == 0
    assert labels() == {"x": "2"}
    assert run("label", "netset", "a", "z-").output == "networkset default/a unchanged\n"


def test_calicoctls_spelling_removes_what_must_be_there(run: Run, labels: Callable[..., dict[str, str]]) -> None:
    run("label", "netset", "a", "x=1")
    assert run("label", "netset", "a", "x", "--remove").exit_code == 0
    assert labels() == {}
    result = run("label", "netset", "a", "x", "--remove")
    assert result.exit_code == 1
    assert "cannot be removed, since it does not exist" in result.stderr


def test_several_objects_are_changed_together_or_not_at_all(run: Run, labels: Callable[..., dict[str, str]]) -> None:
    assert run("label", "netset", "a", "b", "x=1").output.count("labeled") == 2
    assert run("label", "netsets", "-l", "x=1", "y=2").output.count("labeled") == 2
    run("label", "netset", "b", "x=9", "--overwrite")
    assert run("label", "netsets", "--all", "x=1").exit_code == 1
    assert run("label", "netsets", "--all", "x=1", "--overwrite").output.splitlines() == [
        "networkset default/a unchanged",
        "networkset default/b labeled",
    ]


def test_objects_of_every_namespace_are_chosen_on_demand(run: Run, labels: Callable[..., dict[str, str]]) -> None:
    run("apply", "-f", "-", "-n", "shop", text=SETS)
    assert run("label", "netsets", "--all", "x=1").output.count("labeled") == 2
    assert sorted(run("label", "netsets", "-l", "!x", "-A", "y=2").output.splitlines()) == [
        "networkset shop/a labeled",
        "networkset shop/b labeled",
    ]


def test_annotations_take_any_text(run: Run, labels: Callable[..., dict[str, str]]) -> None:
    assert run("annotate", "netset", "a", "note=a = b, and more").output == "networkset default/a annotated\n"
    assert labels("annotations") == {"note": "a = b, and more"}


@pytest.mark.parametrize("mark", ["a b=c", "x=white space", f"x={'y' * 64}"])
def test_a_label_that_is_none_is_refused(run: Run, labels: Callable[..., dict[str, str]], mark: str) -> None:
    result = run("label", "netset", "a", mark)
    assert result.exit_code == 1
    assert "NetworkSet default/a: metadata.labels[" in result.stderr
    assert labels() == {}


@pytest.mark.parametrize("words", [("netset", "a"), ("netset", "x=1"), ("x=1",), ("netset", "a", "x=1", "y")])
def test_a_call_that_is_incomplete_says_what_is_missing(run: Run, words: tuple[str, ...]) -> None:
    assert run("label", *words).exit_code == 2


def test_a_key_that_is_to_be_two_things_is_refused(run: Run) -> None:
    for marks in (("a=b", "a-"), ("a-", "a=b"), ("a=b", "a=c")):
        result = run("label", "node", "x", *marks)
        assert result.exit_code == 2
        assert "'a' cannot be" in result.stderr
    assert "'a' cannot be 'b' and removed: say one of them" in run("label", "node", "x", "a=b", "a-").stderr


def test_that_no_object_matched_is_said(run: Run) -> None:
    run("ipam", "configure", "--strictaffinity=true")
    assert run("label", "nodes", "-l", "x=1", "a=b").stderr == "nothing matched\n"
