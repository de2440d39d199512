"""The command on etcd: what it writes there is what others read, and the other way round."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.cli.calicoctl import calicoctl
from tortie.cli.main import tortie
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.troubles import Failure, told

Run = Callable[..., Result]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "etcd.md"

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100, defaultAction: Pass}
"""

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {tier: security, selector: role == 'db', ingress: [{action: Deny}]}
"""

KEY = "/calico/resources/v3/projectcalico.org/tiers/security"


@pytest.fixture
def run(etcd: object) -> Run:
    url: str = etcd.url  # type: ignore[attr-defined] # the server of conftest.py, which cannot be imported

    def invoke(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(tortie, list(arguments), input=text, env={"TORTIE_DATASTORE": url})

    return invoke


def test_the_writing_verbs_do_on_etcd_what_they_do_on_a_file(run: Run) -> None:
    assert run("apply", "--dry-run", "-f", "-", text=POLICY).exit_code == 1
    assert run("apply", "-f", "-", text=POLICY + "---" + TIER).exit_code == 0
    assert run("diff", "-f", "-", text=POLICY + "---" + TIER).exit_code == 0
    shown = run("get", "tier", "security", "-o", "yaml").output
    assert run("patch", "tier", "security", "-p", '{"spec": {"order": 50}}').output == "tier security patched\n"
    stale = run("replace", "-f", "-", text=shown)
    assert stale.exit_code == 1
    assert "is at revision" in stale.stderr
    assert run("label", "tier", "security", "team=net").exit_code == 0
    assert run("delete", "tier", "security").exit_code == 1
    assert run("delete", "-f", "-", text=POLICY + "---" + TIER).exit_code == 0


def test_what_another_writer_stored_is_changed_and_keeps_its_identity(run: Run, etcd: object) -> None:
    stored = {
        "kind": "Tier",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": "security", "uid": "u-1", "creationTimestamp": "2026-08-23T09:00:00Z"},
        "spec": {"order": 100, "defaultAction": "Pass"},
    }
    etcd.control("put", KEY, json.dumps(stored))  # type: ignore[attr-defined]
    assert run("apply", "-f", "-", text=TIER.replace("100", "70")).output == "tier security configured\n"
    written = json.loads(etcd.control("get", KEY, "--print-value-only"))  # type: ignore[attr-defined]
    assert written["metadata"]["uid"] == "u-1"
    assert written["spec"]["order"] == 70


def test_calicoctl_finds_etcd_by_its_variables(etcd: object) -> None:
    url: str = etcd.url  # type: ignore[attr-defined]
    environment = {"DATASTORE_TYPE": "etcdv3", "ETCD_ENDPOINTS": url}
    result = CliRunner().invoke(calicoctl, ["apply", "-f", "-"], input=TIER, env=environment)
    assert result.output == "Successfully applied 1 'Tier' resource(s)\n"
    assert KEY in etcd.control("get", KEY, "--keys-only")  # type: ignore[attr-defined]


def test_the_page_about_etcd_shows_what_is_printed_and_stored(etcd: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    stored, asked, failure = re.findall(r"^```\n(\$ .*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for shown in re.findall(r"^\$ (tortie .*)\n((?:[^$].*\n)*)", stored, re.MULTILINE):
        environment = {"ETCD_ENDPOINTS": etcd.url, "TORTIE_DATASTORE": ""}  # type: ignore[attr-defined]
        printed = CliRunner().invoke(tortie, shown[0].split()[1:], env=environment).output
        assert without_identity(printed) == without_identity(shown[1])
    keys = etcd.control(*asked.splitlines()[0].removesuffix(" | grep .").split()[2:])  # type: ignore[attr-defined]
    assert keys.split() == asked.splitlines()[1:]
    unknown = Failure("127.0.0.1:2379", "CERTIFICATE_VERIFY_FAILED")
    assert failure.splitlines()[1] == told(EtcdSettings(endpoints=["https://127.0.0.1:2379"]), unknown)


def without_identity(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{32}\b", "", text)


def test_an_etcd_that_does_not_answer_has_an_exit_code_of_its_own() -> None:
    environment = {**os.environ, "TORTIE_DATASTORE": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "tortie.cli", "apply", "-f", "-"]
    result = subprocess.run(command, check=False, input=TIER, env=environment, capture_output=True, text=True)
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr
