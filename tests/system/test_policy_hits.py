"""What rules counted, asked of a running agent: real packets, enforced and staged rules, restarts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tortie.agent.client import ask_hits
from tortie.agent.hits import HitsReport, PolicyHits
from tortie.api.resource import ResourceKey
from tortie.cli.main import tortie

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

STAGED = """
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: strict}
spec:
  selector: role == 'server'
  order: 1
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: UDP}
    - {action: Deny, source: {selector: role == 'client'}}
"""
STAGED_KEY = ResourceKey("StagedGlobalNetworkPolicy", "", "strict")


def report(world: World, endpoint: str = "") -> HitsReport:
    return ask_hits(world.lab.place("h1").directory, endpoint)


def of(found: HitsReport, kind: str, name: str) -> PolicyHits | None:
    return next((one for one in found.policies if (one.kind, one.name) == (kind, name)), None)


def packets(world: World, kind: str, name: str) -> list[int]:
    found = of(report(world), kind, name)
    return [rule.packets for rule in found.rules] if found else []


def denied(world: World, reason: str) -> int:
    return sum(end.packets for end in report(world).ends if end.reason == reason)


def test_the_rule_that_decided_counts(settled: World) -> None:
    before = packets(settled, "GlobalNetworkPolicy", "server")
    ends = denied(settled, "end of tier default")
    assert settled.reaches("client", "server")
    assert packets(settled, "GlobalNetworkPolicy", "server") == [before[0] + 1]
    assert not settled.reaches("neighbour", "server")
    assert packets(settled, "GlobalNetworkPolicy", "server") == [before[0] + 1]
    assert denied(settled, "end of tier default") > ends


def test_a_staged_policy_counts_what_it_would_have_decided_and_decides_nothing(settled: World) -> None:
    settled.apply(STAGED)
    settled.until(lambda: len(packets(settled, "StagedGlobalNetworkPolicy", "strict")) == 2, "the policy is counted")
    assert settled.reaches("client", "server")
    assert packets(settled, "StagedGlobalNetworkPolicy", "strict") == [0, 1]
    assert not settled.reaches("neighbour", "server")
    assert packets(settled, "StagedGlobalNetworkPolicy", "strict") == [0, 1]
    would = [end for end in report(settled).ends if end.fate == "Would deny"]
    assert [(end.reason, end.direction.value) for end in would] == [("end of tier default", "ingress")]
    settled.delete(STAGED_KEY)
    settled.until(lambda: of(report(settled), "StagedGlobalNetworkPolicy", "strict") is None, "the policy is gone")
    assert "pending" not in settled.ruleset()


def test_figures_outlive_the_agent(settled: World) -> None:
    assert settled.reaches("client", "server")
    before = report(settled)
    settled.kill()
    settled.start()
    after = report(settled)
    assert after.since == before.since
    assert of(after, "GlobalNetworkPolicy", "server") == of(before, "GlobalNetworkPolicy", "server")


def test_the_command_shows_what_was_asked(settled: World) -> None:
    directory = ["--run-directory", str(settled.lab.place("h1").directory)]

    def run(*words: str) -> str:
        result = CliRunner().invoke(tortie, ["policy", "hits", *words, *directory])
        assert result.exit_code == 0, result.output
        return result.output

    assert settled.reaches("client", "server")
    text = run()
    assert "GlobalNetworkPolicy server" in text
    assert "ingress 0" in text
    only = json.loads(run("gnp/server", "-o", "json"))
    assert [one["name"] for one in only["policies"]] == ["server"]
    assert json.loads(run("gnp/server", "--never", "-o", "json"))["policies"] == []
    endpoint = next(f"{one.namespace}/{one.name}" for one in settled.lab.topology.workloads if one.name == "neighbour")
    assert "ENDPOINTS" in run("-o", "wide")
    assert "GlobalNetworkPolicy server" not in run("-e", endpoint)
    wrong = CliRunner().invoke(tortie, ["policy", "hits", "gnp/nothing", *directory])
    assert wrong.exit_code == 1
    assert "is in force for no workload" in wrong.output
    absent = CliRunner().invoke(tortie, ["policy", "hits", "-e", f"{endpoint}-not", *directory])
    assert "no workload or workload endpoint" in absent.output
    assert "here are" in absent.output
