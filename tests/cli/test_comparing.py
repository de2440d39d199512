"""`tortie diff`: with a revision of git, with classes of change that are forbidden, and for what has happened."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

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
FLOWS = [
    {"source_name": "client", "source_namespace": "shop", "dest_name": "web", "dest_namespace": "shop"}
    | {"protocol": "tcp", "dest_port": port, "action": action}
    for port, action in ((80, "Allow"), (80, "Allow"), (443, "Deny"))
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "web.yaml").write_text(POLICY)
    (tmp_path / "endpoints.yaml").write_text(ENDPOINTS)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
    return tmp_path


def test_files_are_compared_with_a_revision(run: Run, repository: Path) -> None:
    web = repository / "policies" / "web.yaml"
    words = ("diff", "-f", str(web.parent), "-f", str(repository / "endpoints.yaml"), "--revision", "HEAD", "--offline")
    assert run(*words).output == "No traffic fares differently.\n"
    web.write_text(POLICY.replace("[80]", "[443]"))
    found = run(*words)
    assert found.exit_code == 1
    assert "+ opens shop/n-k8s-client-eth0 → shop/n-k8s-web-eth0: IPv4: TCP 443\n" in found.output
    assert "- closes shop/n-k8s-client-eth0 → shop/n-k8s-web-eth0: IPv4: TCP 80\n" in found.output
    (web.parent / "new.yaml").write_text(POLICY.replace("name: web", "name: new").replace("[80]", "[22]"))
    assert "IPv4: TCP 22,443" in run(*words).output


def test_endpoints_are_those_of_the_datastore(run: Run, repository: Path) -> None:
    web = repository / "policies" / "web.yaml"
    assert run("apply", "-f", str(repository / "endpoints.yaml"), "-f", str(web)).exit_code == 0
    web.write_text(POLICY.replace("[80]", "[443]"))
    assert "closes shop/n-k8s-client-eth0" in run("diff", "-f", str(web), "--revision", "main", "--meaning").output
    new = repository / "policies" / "new.yaml"
    new.write_text(POLICY.replace("name: web", "name: new").replace("[80]", "[22]"))
    assert "IPv4: TCP 22\n" in run("diff", "-f", str(new), "--revision", "HEAD").output


def test_what_git_does_not_know_is_told(run: Run, repository: Path, tmp_path: Path) -> None:
    web = str(repository / "policies" / "web.yaml")
    found = run("diff", "-f", web, "--revision", "nowhere", "--offline")
    assert (found.exit_code, "knows no revision 'nowhere'" in found.output) == (2, True), found.output
    both = run("diff", "-f", web, "--revision", "HEAD", "--against", web)
    assert (both.exit_code, "give one of them" in both.output) == (2, True), both.output


def test_classes_of_change_are_forbidden(run: Run, repository: Path) -> None:
    web = repository / "policies" / "web.yaml"
    words = ("diff", "-f", str(web), "-f", str(repository / "endpoints.yaml"), "--revision", "HEAD", "--offline")
    web.write_text(POLICY.replace("[80]", "[80, 443]"))
    assert run(*words, "--forbid", "opens").exit_code == 4
    assert run(*words, "--forbid", "opens-from-outside", "--forbid", "closes").exit_code == 1
    web.write_text(POLICY.replace("source: {selector: app == 'client'}", "source: {nets: [203.0.113.0/24]}"))
    assert run(*words, "--forbid", "opens-from-outside").exit_code == 4
    assert run(*words, "--forbid", "opens-to-outside").exit_code == 1


def test_what_has_happened_is_replayed(run: Run, repository: Path) -> None:
    flows, web = repository / "flows.jsonl", repository / "policies" / "web.yaml"
    flows.write_text("\n".join(map(json.dumps, FLOWS)))
    assert run("apply", "-f", str(repository / "endpoints.yaml"), "-f", str(web)).exit_code == 0
    assert run("diff", "-f", str(web), "--flows", str(flows)).exit_code == 0
    web.write_text(POLICY.replace("[80]", "[443]"))
    found = run("diff", "-f", str(web), "--flows", str(flows))
    assert found.exit_code == 1
    assert found.output == (
        "- shop/client → shop/web TCP 80 would be denied (2 times)\n"
        "      ingress: Deny by end of tier default (was: Allow by NetworkPolicy shop/web rule 0)\n"
        "+ shop/client → shop/web TCP 443 would be allowed (once)\n"
        "      ingress: Allow by NetworkPolicy shop/web rule 0 (was: Deny by end of tier default)\n"
        "of what has happened: 2 would be denied, 1 would be allowed, 0 as before\n"
    )
    assert run("diff", "-f", str(web), "--flows", str(flows), "--forbid", "closes").exit_code == 4
    table = run("diff", "-f", str(web), "--flows", str(flows), "-o", "markdown").output
    assert "| denied | shop/client → shop/web | TCP 80 | 2 | ingress: Deny by end" in table
    told = json.loads(run("diff", "-f", str(web), "--flows", str(flows), "-o", "json").stdout)
    assert [one["connections"] for one in told["changed"]] == [2, 1]
    flows.write_text("{}\n")
    broken = run("diff", "-f", str(web), "--flows", str(flows))
    assert (broken.exit_code, f"{flows}:1:" in broken.output) == (2, True), broken.output
