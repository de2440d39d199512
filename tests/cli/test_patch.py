"""`tortie patch`: the three kinds of patches, on what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db}
spec: {order: 10, selector: role == 'db', ingress: [{action: Deny}]}
"""


@pytest.fixture
def stored(run: Run) -> Callable[[], dict[str, Any]]:
    run("apply", "-f", "-", text=POLICY)

    def read() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("get", "np", "db", "-o", "json").output)
        return found

    return read


@pytest.mark.parametrize("form", [(), ("-t", "merge"), ("--type", "strategic")])
def test_a_merge_patch_changes_what_it_names(run: Run, stored: Callable[[], dict[str, Any]], form: tuple[str]) -> None:
    patch = '{"metadata": {"labels": {"a": "b"}}, "spec": {"order": null, "ingress": [{"action": "Pass"}]}}'
    assert run("patch", "np", "db", *form, "-p", patch).output == "networkpolicy default/db patched\n"
    after = stored()
    assert after["metadata"]["labels"] == {"a": "b", "projectcalico.org/tier": "default"}
    assert "order" not in after["spec"]
    assert after["spec"]["selector"] == "role == 'db'"
    assert [rule["action"] for rule in after["spec"]["ingress"]] == ["Pass"]
    assert run("patch", "np", "db", *form, "-p", patch).output == "networkpolicy default/db unchanged\n"


def test_a_json_patch_is_done_whole_or_not_at_all(run: Run, stored: Callable[[], dict[str, Any]]) -> None:
    add = {"op": "add", "path": "/spec/ingress/0", "value": {"action": "Allow", "protocol": "TCP"}}
    test = {"op": "test", "path": "/spec/order", "value": 10}
    assert run("patch", "np/db", "--type=json", "-p", json.dumps([test, add])).exit_code == 0
    assert [rule["action"] for rule in stored()["spec"]["ingress"]] == ["Allow", "Deny"]
    result = run("patch", "np/db", "--type=json", "-p", json.dumps([add, {**test, "value": 11}]))
    assert result.exit_code == 1
    assert "NetworkPolicy default/db: patch[1].value: /spec/order is 10, not 11" in result.stderr
    assert len(stored()["spec"]["ingress"]) == 2


def test_a_patch_may_stand_in_a_file_and_be_yaml(run: Run, stored: Callable[[], Any], tmp_path: Path) -> None:
    file = tmp_path / "patch.yaml"
    file.write_text("spec:\n  order: 5 # first\n")
    assert run("patch", "np", "db", "--patch-file", str(file), "-o", "name").output == "networkpolicy/db\n"
    assert stored()["spec"]["order"] == 5


@pytest.mark.parametrize(
    ("patch", "problems"),
    [
        ('{"spec": {"ordr": 5, "selector": 5}}', ["spec.ordr: is not a field (did you mean order?)", "spec.selector"]),
        ('{"spec": {"tier": "nowhere"}}', ["there is no tier 'nowhere'"]),
        ('{"metadata": {"name": "x"}}', ["metadata.name: cannot change"]),
        ('{"kind": "Tier"}', ["kind: cannot change"]),
        ('{"metadata": {"resourceVersion": "1"}}', ["metadata.resourceVersion: is at revision"]),
        ('{"spec": {"ingress": [{"$patch": "delete"}]}}', ["$patch is not carried out"]),
        ("[]", ["must be a map of the fields to change (or say --type json)"]),
        ("{", ["patch:2:1: document: a value is missing"]),
        ("{}\n---\n{}", ["holds 2 documents"]),
    ],
)
def test_a_patch_that_gives_no_valid_resource_changes_nothing(
    run: Run, stored: Callable[[], Any], patch: str, problems: list[str]
) -> None:
    before = stored()
    result = run("patch", "np", "db", "-p", patch)
    assert result.exit_code == 1
    for problem in problems:
        assert problem in result.stderr
    assert stored() == before


def test_what_is_not_there_cannot_be_patched(run: Run, stored: Callable[[], Any]) -> None:
    result = run("patch", "np", "dbb", "-p", "{}")
    assert result.exit_code == 1
    assert "did you mean NetworkPolicy default/db?" in result.stderr


def test_a_dry_run_shows_the_result_without_writing_it(run: Run, stored: Callable[[], dict[str, Any]]) -> None:
    result = run("patch", "np", "db", "-p", '{"spec": {"order": 1}}', "--dry-run", "-o", "json")
    assert json.loads(result.output)["spec"]["order"] == 1
    assert stored()["spec"]["order"] == 10


def test_a_call_without_patch_or_object_is_wrong(run: Run) -> None:
    assert run("patch", "np", "db").exit_code == 2
    assert run("patch", "np", "-p", "{}").exit_code == 2
    assert run("patch", "np", "db", "-p", "{}", "--dry-run=client").exit_code == 2
