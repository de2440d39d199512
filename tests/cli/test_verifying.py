"""`tortie verify`, `tortie policy test` and `tortie diff --meaning`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

Run = Callable[..., Result]

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80]}}
"""
CHECKS = """
manifests: [policy.yaml]
endpoints:
- {name: shop/client, labels: {app: client}}
- {name: shop/web, labels: {app: web}}
expect:
- {from: shop/client, to: shop/web, port: 80, verdict: allow}
- {from: shop/client, to: shop/web, port: 443, verdict: deny}
"""
ENDPOINTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-client-eth0, namespace: shop, labels: {app: client}}
spec: {node: n, orchestrator: k8s, pod: client, endpoint: eth0, interfaceName: cali1,
       ipNetworks: [10.0.0.1/32], profiles: [kns.shop]}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-web-eth0, namespace: shop, labels: {app: web}}
spec: {node: n, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali2,
       ipNetworks: [10.0.0.2/32], profiles: [kns.shop]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("policy", POLICY), ("checks", CHECKS), ("endpoints", ENDPOINTS)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "broken.yaml").write_text(CHECKS.replace("443", "80"))
    (tmp_path / "wider.yaml").write_text(POLICY.replace("[80]", "[80, 443]"))
    (tmp_path / "stated.yaml").write_text("invariants: [{never: {from: outside, to: shop/web}}]\n")
    return tmp_path


def test_policies_are_tested_without_a_cluster(run: Run, folder: Path) -> None:
    found = run("policy", "test", "-f", str(folder / "checks.yaml"))
    assert (found.exit_code, found.output.splitlines()[-1]) == (0, "2 of 2 hold")
    assert run("test", "-f", str(folder / "checks.yaml")).output == found.output


def test_what_fails_is_told_with_a_packet(run: Run, folder: Path) -> None:
    found = run("test", "-f", str(folder / "broken.yaml"))
    assert found.exit_code == 1
    assert (
        "FAILED  deny shop/client → shop/web (80)\n        shop/client → shop/web: TCP 80 gets through" in found.output
    )
    assert found.output.endswith("1 of 2 hold\n")


def test_machines_get_what_they_read(run: Run, folder: Path) -> None:
    def shown(shape: str) -> str:
        return run("test", "-f", str(folder / "broken.yaml"), "-o", shape).stdout

    assert [one["holds"] for one in json.loads(shown("json"))] == [True, False]
    suite = ElementTree.fromstring(shown("junit").encode())
    assert (suite.get("tests"), suite.get("failures"), len(suite.findall("testcase/failure"))) == ("2", "1", 1)
    assert shown("github").startswith(f"::error file={folder / 'broken.yaml'}::deny shop/client")


def test_a_stored_cluster_is_verified_as_it_is_and_as_it_would_be(run: Run, folder: Path) -> None:
    run("apply", "-f", str(folder / "endpoints.yaml"))
    stated = str(folder / "stated.yaml")
    assert run("verify", "-f", stated).exit_code == 1
    assert run("verify", "-f", stated, "-m", str(folder / "policy.yaml")).exit_code == 0


def test_a_file_that_is_wrong_is_told_by_line(run: Run, folder: Path) -> None:
    (folder / "bad.yaml").write_text("expect:\n- {from: a, to: b, verdict: maybe}\n")
    found = run("test", "-f", str(folder / "bad.yaml"))
    assert found.exit_code == 1
    assert f"{folder / 'bad.yaml'}:2:" in found.output
    assert "cannot be read" in run("test", "-f", str(folder / "none.yaml")).output
    (folder / "bad.yaml").write_text("manifests: [none.yaml]\n")
    assert run("test", "-f", str(folder / "bad.yaml")).exit_code == 1


def test_the_meaning_of_a_change_is_told_before_it_lands(run: Run, folder: Path) -> None:
    run("apply", "-f", str(folder / "endpoints.yaml"), "-f", str(folder / "policy.yaml"))
    wider = run("diff", "-f", str(folder / "wider.yaml"), "--meaning")
    assert wider.exit_code == 1
    assert "+ opens shop/n-k8s-client-eth0 → shop/n-k8s-web-eth0: IPv4: TCP 443\n" in wider.output
    assert "ingress: Allow by NetworkPolicy shop/web rule 0 (was: Deny by end of tier default)" in wider.output
    assert run("diff", "-f", str(folder / "wider.yaml"), "--meaning", "--forbid", "opens").exit_code == 4
    assert run("diff", "-f", str(folder / "wider.yaml"), "--meaning", "--forbid", "closes").exit_code == 1
    same = run("diff", "-f", str(folder / "policy.yaml"), "--meaning")
    assert (same.exit_code, same.output) == (0, "No traffic fares differently.\n")


def test_files_are_compared_with_files(run: Run, folder: Path) -> None:
    def options(name: str) -> tuple[str, ...]:
        return (str(folder / "endpoints.yaml"), str(folder / f"{name}.yaml"))

    new, old = options("wider"), options("policy")
    command = ("diff", "-f", new[0], "-f", new[1], "--against", old[0], "--against", old[1])
    assert "| opens | shop/n-k8s-client-eth0 |" in run(*command, "-o", "markdown").output
    (change,) = json.loads(run(*command, "-o", "json").stdout)
    assert (change["opens"], change["closes"]) == ("IPv4: TCP 443", "")
    assert run(*command[:-1], str(folder / "none.yaml")).exit_code == 2


def test_what_could_go_is_listed(run: Run, folder: Path) -> None:
    run("apply", "-f", str(folder / "endpoints.yaml"), "-f", str(folder / "policy.yaml"))
    assert run("verify", "--idle").output == "Every policy governs somebody, and every rule decides something.\n"
    (folder / "idle.yaml").write_text(POLICY.replace("[80]", "[80]").replace("app == 'web'", "app == 'gone'"))
    idle = run("verify", "--idle", "-m", str(folder / "idle.yaml"))
    assert (idle.exit_code, idle.output) == (0, "NetworkPolicy shop/web: governs nobody\n")
    assert json.loads(run("verify", "--idle", "-m", str(folder / "idle.yaml"), "-o", "json").stdout) == [
        {"what": "NetworkPolicy shop/web", "why": "governs nobody"}
    ]
    assert run("verify").exit_code == 2


def test_a_snapshot_of_a_cluster_is_tested_like_fixtures(run: Run, folder: Path) -> None:
    run("apply", "-f", str(folder / "endpoints.yaml"))
    snapshot = run("get", "workloadendpoints,profiles", "-A", "-o", "yaml").stdout
    (folder / "snapshot.yaml").write_text(snapshot)
    (folder / "of.yaml").write_text(
        "manifests: [snapshot.yaml, policy.yaml]\n"
        "expect: [{from: shop/client, to: shop/web, port: 80, verdict: allow}]\n"
    )
    assert run("test", "-f", str(folder / "of.yaml")).output.endswith("1 of 1 hold\n")


def test_live_needs_a_lab_and_takes_no_manifests(run: Run, folder: Path) -> None:
    checks = str(folder / "checks.yaml")
    absent = run("test", "-f", checks, "--live", "--lab", "nosuchlab")
    assert (absent.exit_code, "needs a lab that is up" in absent.output) == (3, True), absent.output
    assert run("test", "-f", checks, "--live", "-m", checks).exit_code == 2
    for words in (("-f", checks), ("--offline",)):
        assert run("explain", "a", "b", "80", "--live", *words).exit_code == 2


@pytest.mark.parametrize("command", ["test", "verify"])
def test_a_file_that_is_no_text_is_told(run: Run, tmp_path: Path, command: str) -> None:
    file = tmp_path / "binary.test.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    done = run(command, "-f", str(file))
    assert (done.exit_code, done.output) == (
        1,
        f"{file}: is not text: invalid start byte at byte 0 (store it as UTF-8)\n",
    )


def test_a_file_that_states_nothing_does_not_pass(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    done = run("test", "-f", str(tmp_path / "empty.yaml"))
    assert (done.exit_code, "nothing is stated" in done.output) == (1, True)


@pytest.mark.parametrize("words", [("reach",), ("explain", "10.0.0.1", "10.0.0.2"), ("diff", "--meaning")])
def test_what_is_wrong_with_files_is_told_once(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("a: [b\nc: d\n")
    done = run(*words, "-f", str(file), "--offline")
    assert done.exit_code in (1, 2)
    assert done.output.count(str(file)) == 1, done.output
