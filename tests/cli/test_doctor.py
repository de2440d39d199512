"""`tortie doctor`: findings for people and for programs, and a status that says whether there is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.agent.host_checks import Finding, State
from tortie.api.resource import ResourceKey
from tortie.cli import doctor as module
from tortie.cli.doctor import latency
from tortie.datastore.contract import KeyValue
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]
NODE = "{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n1}, spec: {}}"
FINE = [Finding("forwarding", State.OK, "packets are forwarded")]


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is well, since this one need not be."""
    monkeypatch.setattr(module, "host_findings", lambda where: FINE)
    monkeypatch.setattr(module, "kernel_findings", list)
    monkeypatch.setattr(module, "_agent", lambda folder: iter(()))


def test_a_host_that_is_well_ends_with_zero(run: Run) -> None:
    run("apply", "-f", "-", text=NODE)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "✓ forwarding: packets are forwarded" in result.output
    assert "3 checks: 0 errors, 0 warnings, 0 unknown" in result.output


def test_an_error_is_told_with_its_remedy_and_ends_with_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Finding("disk", State.ERROR, "is full", "0 MiB", "du -x")
    monkeypatch.setattr(module, "host_findings", lambda where: [broken])
    run("apply", "-f", "-", text=NODE)
    result = run("doctor")
    assert result.exit_code == 1
    assert "✗ disk: is full (0 MiB)\n    du -x\n" in result.output
    told = json.loads(run("doctor", "-o", "json").output)
    assert told[0] == {"check": "disk", "state": "error", "cause": "is full", "evidence": "0 MiB", "fix": "du -x"}


def test_a_datastore_that_is_not_there_is_an_error(run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 1
    assert "✗ datastore: there is no datastore" in result.output


def test_a_datastore_that_cannot_be_opened_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "datastore.db").write_bytes(b"nonsense" * 1000)
    result = run("doctor")
    assert result.exit_code == 1
    assert "✗ datastore: the datastore does not answer" in result.output


def test_books_that_do_not_agree_are_told(run: Run, store_value: StoreValue) -> None:
    run("apply", "-f", "-", text=NODE)
    run("apply", "-f", "-", text=POOL)
    store_value("/calico/ipam/v2/handle/lost", b'{"handleID":"lost","block":{"10.0.0.0/26":1}}')
    result = run("doctor")
    assert "! addresses: the books of addresses do not agree" in result.output
    assert "tortie ipam check" in result.output


async def test_a_slow_datastore_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(EmbeddedDatastore):
        async def get(self, key: str) -> KeyValue | None:
            assert key == resource_key(ResourceKey("ClusterInformation", "", "default"))
            return None

    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    slow = Slow.open_memory()
    finding = await latency(slow, "here")
    await slow.close()
    assert finding.state is State.WARNING


POOL = "{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: p}, spec: {cidr: 10.0.0.0/16}}"


def test_an_agent_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (finding,) = module._agent(tmp_path)
    assert (finding.state, finding.fix) == (State.ERROR, "systemctl start tortie-agent")
