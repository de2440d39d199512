"""`tortie node status`: what the agent of this host says of itself."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click
import msgspec

from tortie.agent.client import ask
from tortie.agent.status import AgentReport
from tortie.cli.connection import FAILED, or_exit
from tortie.cli.options import structured_option
from tortie.cli.output import Format, aligned, say, structured


@click.group("node")
def commands() -> None:
    """This host's node."""


@commands.command()
@click.option(
    "--run-directory",
    type=click.Path(path_type=Path),
    envvar="TORTIE_RUN_DIRECTORY",
    default=Path("/run/tortie"),
    show_default=True,
    help="Run directory of the agent.",
)
@structured_option
def status(run_directory: Path, output: Format | None) -> None:
    """Show the agent, its BGP sessions, and what of its state is programmed; status 1 when it is not ready."""
    report = or_exit(lambda: ask(run_directory))
    if output is not None:
        say(structured(msgspec.to_builtins(report), output))
    else:
        say(describe(report))
    if not report.ready:
        sys.exit(FAILED)


def describe(report: AgentReport) -> str:
    """The report for people."""
    started = datetime.datetime.fromtimestamp(report.started, datetime.UTC)
    parts = [
        f"Node {report.node}: agent {report.version}, process {report.pid}, since {started:%Y-%m-%d %H:%M:%S} UTC, "
        + ("ready" if report.ready else "not ready")
        + (f": {report.delayed}" if report.delayed else ""),
        f"{report.endpoints} endpoints, {report.policies} policies and profiles, {report.sets} IP sets, "
        f"{report.routes} routes",
        "",
        _targets(report),
    ]
    if report.bgp:
        parts += ["", _sessions(report)]
    elif report.bgp_problem:
        parts += ["", f"BGP: {report.bgp_problem}"]
    waiting = [f"{name}: {reason}" for target in report.targets for name, reason in target.waiting.items()]
    rejected = [f"{key}: {problem}" for key, problem in report.rejected.items()]
    for heading, lines in (("Waiting", waiting), ("Not usable, treated as absent", rejected)):
        if lines:
            parts += ["", f"{heading}:", *(f"  {line}" for line in lines)]
    return "\n".join(parts)


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
