"""Files of statements under pytest: each statement is a test that passes, or fails with the packet against it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80]}}
"""
STATED = """
manifests: [web.yaml]
endpoints:
- {name: shop/client, labels: {app: client}}
- {name: shop/web, labels: {app: web}}
expect:
- {from: shop/client, to: shop/web, port: 80, verdict: allow}
- {from: shop/client, to: shop/web, port: 443, verdict: allow}
- {from: shop/nobody, to: shop/web, verdict: deny}
"""
MODULE = """
def test_policy(tortie_policies):
    found = tortie_policies("web.yaml").with_endpoint("shop/web", {"app": "web"})
    found.assert_denied("outside", "shop/web")
"""


def run(folder: Path, *words: str) -> tuple[str, dict[str, str]]:
    """What pytest prints there, and the failure of each test; an empty one of those that pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tortie.testing.plugin", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(folder), "--junitxml", "out.xml", *words]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    told = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False).stdout
    cases = ElementTree.parse(folder / "out.xml").iter("testcase")
    return told, {one.get("name", ""): "".join(each.text or "" for each in one) for one in cases}


def test_statements_are_tests(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(POLICY)
    (tmp_path / "shop.tortie.yaml").write_text(STATED)
    (tmp_path / "test_shop.py").write_text(MODULE)
    told, found = run(tmp_path)
    assert "2 failed, 2 passed" in told, told
    assert found["allow shop/client → shop/web (80)"] == ""
    assert found["test_policy"] == ""
    assert "TCP 443 is denied by ingress" in found["allow shop/client → shop/web (443)"]
    assert "names nobody" in found["deny shop/nobody → shop/web (any)"]


def test_a_file_that_cannot_be_used_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.tortie.yaml").write_text("expect:\n- {from: a, to: b, verdict: maybe}\n")
    told, _ = run(tmp_path)
    assert "broken.tortie.yaml:2:" in told
    assert "use allow or deny" in told


def test_other_names_can_be_collected(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(POLICY)
    (tmp_path / "shop.test.yaml").write_text(STATED.replace("443", "80").replace("shop/nobody", "outside"))
    assert "no tests ran" in run(tmp_path)[0]
    assert "3 passed" in run(tmp_path, "-o", "tortie_files=*.test.yaml")[0]
