"""`tortie node`: what the agent of this host says of itself, and whether the host is fit for one."""

from __future__ import annotations

import datetime
import itertools
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from tortie.agent.checks import Outcome, run_checks
from tortie.agent.client import ask
from tortie.agent.options import agent_options
from tortie.agent.status import AgentReport
from tortie.base.errors import TortieError
from tortie.cli.connection import FAILED, or_exit
from tortie.cli.diagnostics import node_files, write_archive
from tortie.cli.options import structured_option
from tortie.cli.output import Format, aligned, say, structured


@click.group("node")
def commands() -> None:
    """This host's node."""


run_directory_option = click.option(
    "--run-directory",
    type=click.Path(path_type=Path),
    envvar="TORTIE_RUN_DIRECTORY",
    default=Path("/run/tortie"),
    show_default=True,
    help="Run directory of the agent.",
)


@commands.command()
@agent_options
def run(config: Path, show_settings: bool) -> None:
    """Start the agent of this host, as `tortie-agent` does with the same options; it runs until SIGTERM.

    \b
      tortie node run
      tortie node run --show-settings
    """
    # The agent loads all that programs the kernel; no other command needs that.
    from tortie.agent.main import start

    start(config, show_settings=show_settings)


@commands.command()
@run_directory_option
@structured_option
def status(run_directory: Path, output: Format | None) -> None:
    """Show the agent, its BGP sessions, and what of its state is programmed; status 1 when it is not ready.

    \b
      tortie node status
      tortie node status -o json
    """
    report = or_exit(lambda: ask(run_directory))
    if output is not None:
        say(structured(msgspec.to_builtins(report), output))
    else:
        say(describe(report))
    if not report.ready:
        sys.exit(FAILED)


@commands.command()
@structured_option
def checksystem(output: Format | None) -> None:
    """Try on this host everything that an agent needs of the kernel; status 1 when something required is missing.

    Nothing of the host is changed: it is tried in a network namespace that ends with the command.

    \b
      tortie node checksystem
    """
    outcomes = or_exit(run_checks)
    if output is not None:
        say(structured([msgspec.to_builtins(outcome) for outcome in outcomes], output))
    else:
        say(describe_checks(outcomes))
    if any(outcome.problem and outcome.required for outcome in outcomes):
        sys.exit(FAILED)


@commands.command()
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder to write to; the current one when not given.",
)
@run_directory_option
def diags(log_dir: Path, run_directory: Path) -> None:
    """Gather the state of this host, its network and its agent in one archive.

    \b
      tortie node diags --log-dir /var/log/calico
    """
    name = f"tortie-node-{socket.gethostname()}"
    path = or_exit(lambda: write_archive(log_dir, name, itertools.chain(_agent_files(run_directory), node_files())))
    say(f"Diagnostics written to {path}")


def describe_checks(outcomes: Sequence[Outcome]) -> str:
    """The checks for people."""
    rows = [
        [outcome.name, _verdict(outcome), outcome.problem or "-", outcome.remedy if outcome.problem else "-"]
        for outcome in outcomes
    ]
    return aligned(["CHECK", "RESULT", "PROBLEM", "WHAT TO DO"], rows)


def _verdict(outcome: Outcome) -> str:
    if not outcome.problem:
        return "ok"
    return "missing" if outcome.required else "missing (optional)"


def _agent_files(run_directory: Path) -> Iterator[tuple[str, bytes]]:
    try:
        yield "agent/status.json", msgspec.json.format(msgspec.json.encode(ask(run_directory)))
    except TortieError as error:
        yield "agent/status.json", f"{error}\n".encode()


def describe(report: AgentReport) -> str:
    """The report for people."""
    started = datetime.datetime.fromtimestamp(report.started, datetime.UTC)
    parts = [
        f"Node {report.node}: agent {report.version}, process {report.pid}, since {started:%Y-%m-%d %H:%M:%S} UTC, "
        + standing(report)
        + (f": {report.delayed}" if report.delayed else ""),
        f"Datastore {report.datastore.place}: {report.datastore.state}",
        f"{report.endpoints} endpoints, {report.policies} policies and profiles, {report.sets} IP sets, "
        f"{report.routes} routes" + (f", {report.host_endpoints} host endpoints" if report.host_endpoints else ""),
        "",
        _targets(report),
    ]
    if report.bgp:
        parts += ["", _sessions(report)]
    elif report.bgp_problem:
        parts += ["", f"BGP: {report.bgp_problem}"]
    waiting = [f"{name}: {reason}" for target in report.targets for name, reason in target.waiting.items()]
    rejected = [f"{key}: {problem}" for key, problem in report.rejected.items()]
    for heading, lines in (
        ("Problems", report.problems),
        ("Moving", [f"{endpoint}: {stage}" for endpoint, stage in report.moving.items()]),
        ("Waiting", waiting),
        ("Not used, or not wholly", rejected),
    ):
        if lines:
            parts += ["", f"{heading}:", *(f"  {line}" for line in lines)]
    return "\n".join(parts)


def standing(report: AgentReport) -> str:
    """How an agent stands, in a word or three."""
    if not report.ready:
        return "not ready"
    return "ready, with problems" if report.problems else "ready"


def _targets(report: AgentReport) -> str:
    rows = [
        [target.name, target.state, str(target.operations), str(target.full_passes), target.reason or "-"]
        for target in report.targets
    ]
    return aligned(["TARGET", "STATE", "OPERATIONS", "FULL PASSES", "REASON"], rows)


def _sessions(report: AgentReport) -> str:
    rows = [
        [one.peer, str(one.peer_as), one.state, one.since, f"{one.imported}/{one.exported}", one.info or "-"]
        for one in report.bgp
    ]
    return aligned(["PEER", "AS", "STATE", "SINCE", "ROUTES IN/OUT", "INFO"], rows)
