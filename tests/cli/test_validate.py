"""`tortie validate` and `convert`: files alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        (
            "metadata: {name: a, name: a}\nspec: {order: 1, order: 2}\n---\nHEADmetadata: {name: b}\n",
            "1 valid, 1 invalid",
        ),
        (
            "metadata: {name: a, 1: 2}\n---\nHEADmetadata: {name: a}\n---\nHEADmetadata: {name: a}\n",
            "1 valid, 2 invalid",
        ),
        ("metadata: {name: a}\n---\na: 1\na: !x 2\n3: 4\n---\n- 1\n- 2\n---\na: [\n", "1 valid, 4 invalid"),
        ("metadata: {name: a, name: a, labels: [\n", "0 valid, 1 invalid"),
        ("metadata: {name: a}\nspec: {order: &o !x 2}\nstatus: *o\n", "0 valid, 1 invalid"),
    ],
)
def test_documents_are_counted_and_not_what_is_wrong_with_each(run: Run, text: str, counted: str) -> None:
    head = "apiVersion: projectcalico.org/v3\nkind: Tier\n"
    result = run("validate", "-f", "-", text=f"HEAD{text}".replace("HEAD", head))
    assert result.stderr.splitlines()[-1] == counted, result.stderr


def test_of_a_list_the_objects_are_counted_each_for_itself(run: Run) -> None:
    tier = '{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "NAME"}}'
    listed = (
        f'{{"apiVersion": "v1", "kind": "List", "items": [{", ".join(tier.replace("NAME", one) for one in "abc")}]}}'
    )
    twice = {'"name": "b"': "2 valid, 1 invalid", '"apiVersion": "v1"': "3 valid, 1 invalid"}
    for field, counted in twice.items():
        text = listed.replace(field, f"{field}, {field}")
        assert run("validate", "-f", "-", text=text).stderr.splitlines()[-1] == counted


def test_a_link_that_leads_to_itself_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    result = run("validate", "-f", str(tmp_path / "loop.yaml"))
    assert (result.exit_code, result.stderr.count("Too many levels of symbolic links")) == (1, 1)


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


def _policy(rules: str) -> str:
    head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
    return f"{head}spec:\n  podSelector: {{}}\n{rules}"


def test_a_broken_rule_of_a_kubernetes_policy_refuses_it_with_every_place(run: Run) -> None:
    rules = "  ingress:\n  - form: []\n  - ports: [{port: 99999}]\n    from: [{ipBlock: {cidr: 10.0.0.0/40}}]\n"
    result = run("validate", "-f", "-", text=_policy(rules))
    assert result.exit_code == 1
    for said in (
        "<stdin>:7:5: NetworkPolicy default/a: spec.ingress[0].form: is not a field (did you mean from?)",
        "<stdin>:8:14: NetworkPolicy default/a: spec.ingress[1].ports[0].port: 99999 is not a port",
        "<stdin>:9:23: NetworkPolicy default/a: spec.ingress[1].from[0].ipBlock.cidr: '10.0.0.0/40' is not a prefix",
    ):
        assert said in result.output


def test_wrong_types_do_not_hide_what_else_is_wrong(run: Run) -> None:
    text = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: b}
spec:
  order: ten
  egress:
  - action: allow
    protcol: TCP
"""
    result = run("validate", "-f", "-", text=text)
    assert "<stdin>:5:3: GlobalNetworkPolicy b: spec.order: must be a number, not a text" in result.output
    assert "<stdin>:7:5: GlobalNetworkPolicy b: spec.egress[0].action: 'allow' is not valid" in result.output
    assert "<stdin>:8:5: GlobalNetworkPolicy b: spec.egress[0].protcol: is not a field" in result.output


def test_a_selector_without_value_is_pointed_out_with_its_place(run: Run) -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: b}\nspec:\n  selector:\n"
    result = run("validate", "-f", "-", text=text)
    assert result.exit_code == 0
    assert "<stdin>:5:3: GlobalNetworkPolicy b: spec.selector: has no value, and so selects everything" in result.output


def test_a_boolean_where_one_of_some_words_belongs_names_the_words(run: Run) -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
    result = run("validate", "-f", "-", text=f"{text}spec: {{floatingIPs: Yes}}\n")
    assert "spec.floatingIPs: must be a text, not a boolean (one of Enabled, Disabled)" in result.output


def test_what_is_wrong_with_a_namespace_is_not_said_of_its_profile(run: Run) -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: Shop, namespace: x}\nspce: {}\n"
    result = run("validate", "-f", "-", text=text)
    assert "metadata.name: 'Shop' is not a name" in result.output
    assert "metadata.namespace: must be empty (a Namespace belongs to the whole cluster)" in result.output
    assert "spce: is not a field (did you mean spec?)" in result.output
    assert "Profile" not in result.output


def test_pools_of_the_files_must_not_overlap(run: Run) -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {{name: {}}}\nspec: {{cidr: {}}}\n"
    pools = (("b", "10.0.1.0/24"), ("c", "10.1.0.0/16"), ("a", "10.0.0.0/16"), ("d", "fd00::/64"))
    result = run("validate", "-f", "-", text="---\n".join(pool.format(*one) for one in pools))
    assert result.exit_code == 1
    assert "IPPool b: spec.cidr: 10.0.1.0/24 overlaps IPPool a (10.0.0.0/16) of these files" in result.output
    assert "3 valid, 1 invalid" in result.output
