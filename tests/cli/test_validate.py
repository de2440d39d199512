"""`tortie validate` and `convert`: files alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from click.testing import Result

Run = Callable[..., Result]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

KUBERNETES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}}
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkPolicy
metadata: {name: default.deny}
spec: {selector: all()}
"""


def test_every_example_is_valid_and_no_datastore_is_asked(run: Run, tmp_path: Path) -> None:
    result = run("validate", "-R", "-f", str(EXAMPLES))
    assert result.exit_code == 0, result.output
    assert "tier security valid" in result.stdout.splitlines()
    assert not (tmp_path / "datastore.db").exists()


def test_it_ends_with_how_many_are_valid(run: Run) -> None:
    assert run("validate", "-f", "-", text=KUBERNETES.partition("---")[0]).stderr == "1 valid\n"


def test_what_must_be_corrected_is_counted_whatever_is_wrong_with_it(run: Run) -> None:
    tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: NAME}\nspec: {ordr: 1, ordre: 2}\n---\n"
    good = tier.replace("ordr: 1, ordre: 2", "order: 1")
    text = good.replace("NAME", "a") * 2 + good.replace("NAME", "b") + tier.replace("NAME", "c") + "x\n---\n{\n"
    result = run("validate", "-f", "-", text=text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "2 valid, 4 invalid"
    assert "written" not in result.stderr


def test_problems_can_be_had_for_machines(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: x}\nspec: {ordr: 1}\n---\n[\n")
    result = run("validate", "-f", str(file), "-o", "json")
    assert result.exit_code == 1
    first, second = json.loads(result.stdout)
    assert first == {
        "object": "Tier x",
        "path": "spec.ordr",
        "problem": "is not a field",
        "remedy": "did you mean order?",
        "file": str(file),
        "line": 4,
        "column": 8,
    }
    assert second["line"] == 7
    valid = file.read_text().partition("---")[0].replace("ordr", "order")
    assert json.loads(run("validate", "-f", "-", "-o", "json", text=valid).stdout) == []


def test_kubernetes_objects_and_old_spellings_become_documents_of_today(run: Run) -> None:
    result = run("convert", "-f", "-", text=KUBERNETES)
    assert result.exit_code == 0, result.output
    first, second = sorted(yaml.safe_load_all(result.stdout), key=lambda one: str(one["kind"]), reverse=True)
    assert (first["metadata"]["name"], first["spec"]["selector"]) == (
        "knp.default.api",
        "projectcalico.org/orchestrator == 'k8s' && app == 'api'",
    )
    assert (second["apiVersion"], second["metadata"]["name"]) == ("projectcalico.org/v3", "deny")
    assert run("apply", "-f", "-", text=result.stdout).exit_code == 0
    listed = json.loads(run("convert", "-f", "-", "-o", "json", text=KUBERNETES).stdout)
    assert len(listed["items"]) == 2


def test_nothing_is_converted_when_something_is_wrong(run: Run) -> None:
    result = run("convert", "-f", "-", text=KUBERNETES + "---\n{apiVersion: apps/v1, kind: Deployment}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Deployment" in result.stderr
