"""What `tortie node status` tells people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from tortie.agent.main import main as agent
from tortie.agent.status import AgentReport, DatastoreReport, TargetReport
from tortie.bgp.status import SessionStatus
from tortie.cli.node import describe

Run = Callable[..., Result]

REPORT = AgentReport(
    node="h1",
    version="1.2.3",
    pid=77,
    started=0.0,
    ready=True,
    in_sync=True,
    endpoints=2,
    policies=3,
    sets=1,
    routes=4,
    targets=[
        TargetReport("nftables", "programmed", operations=5, full_passes=1),
        TargetReport("bird", "failing", reason="BIRD does not answer", waiting={"10.0.0.1/32": "no interface cali1"}),
    ],
    bgp=[SessionStatus("Mesh", "172.31.0.2", 64512, "Established", "12:00:00", "", 3, 1)],
    rejected={"NetworkPolicy a/b": "cannot be read"},
)


def test_the_report_shows_targets_sessions_and_what_is_wrong() -> None:
    text = describe(REPORT)
    for part in (
        "Node h1: agent 1.2.3, process 77, since 1970-01-01 00:00:00 UTC, ready",
        "BIRD does not answer",
        "Established",
        "3/1",
        "10.0.0.1/32: no interface cali1",
        "NetworkPolicy a/b: cannot be read",
    ):
        assert part in text


def test_what_is_not_as_it_should_be_is_told_though_the_agent_is_ready() -> None:
    datastore = DatastoreReport("http://etcd-1:2379", "unavailable", "nobody answers")
    report = msgspec.structs.replace(REPORT, datastore=datastore, problems=["the datastore does not answer"])
    text = describe(report)
    assert "UTC, ready, with problems" in text
    assert "Datastore http://etcd-1:2379: unavailable" in text
    assert "Problems:\n  the datastore does not answer" in text
    assert "Problems" not in describe(REPORT)


def test_without_an_agent_the_command_says_what_to_look_at(run: Run, tmp_path: Path) -> None:
    result = run("node", "status", "--run-directory", str(tmp_path))
    assert result.exit_code == 3
    assert "is tortie-agent running?" in result.output


def test_version_prints_it(run: Run) -> None:
    assert run("--version").output.strip()


def test_that_no_agent_answers_is_said_with_the_place(run: Run, tmp_path: Path) -> None:
    result = run("node", "status", "--run-directory", str(tmp_path))
    where = tmp_path / "status.sock"
    assert result.exit_code == 3
    assert result.stderr == f"no agent answers on {where}: No such file or directory; is tortie-agent running?\n"


def test_an_agent_is_started_by_either_command_with_the_same_options(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "agent.conf"
    file.write_text("health_port = 1\n")
    words = ("--config", str(file), "--show-settings")
    shown = run("node", "run", *words)
    assert "health_port = 1    # configuration file" in shown.stdout.splitlines()
    environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    assert shown.stdout == CliRunner().invoke(agent, words, env=environment).stdout
