"""`tortie doctor`: what keeps this host, its agent and the datastore from working as they should, and what to do."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import click
import msgspec

from tortie.agent.client import ask
from tortie.agent.host_checks import Finding, State, Surroundings, host_findings, kernel_findings
from tortie.agent.status import AgentReport
from tortie.base.clock import SystemClock
from tortie.base.errors import TortieError, Unavailable
from tortie.cli.connection import FAILED, is_missing, with_location
from tortie.cli.node import run_directory_option
from tortie.cli.options import structured_option
from tortie.cli.output import Format, say, structured
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.location import Location, place_of
from tortie.datastore.open import open_datastore
from tortie.datastore.reading import INFORMATION
from tortie.datastore.resources import ResourceStore
from tortie.ipam.report import confirmed, read_books
from tortie.selector.check import selector_problem

SLOW_SECONDS = 0.1
_READINGS = 5
_SIGNS = {State.OK: "✓", State.WARNING: "!", State.ERROR: "✗", State.UNKNOWN: "?"}


@click.command()
@run_directory_option
@structured_option
@with_location
def doctor(run_directory: Path, output: Format | None, location: Location) -> None:
    """Look for what is wrong with this host, its agent and the datastore, and tell what would mend it.

    Nothing is changed. The exit code is 0 when nothing is worse than a warning, 1 when there is an error.

    \b
      tortie doctor
      tortie doctor -o json
    """
    findings = list(examine(run_directory, location))
    if output is not None:
        say(structured([msgspec.to_builtins(one) for one in findings], output))
    else:
        say("\n".join(line for one in findings for line in _told(one)))
        say(_summary(findings))
    if any(one.state is State.ERROR for one in findings):
        sys.exit(FAILED)


def examine(run_directory: Path, location: Location) -> Iterator[Finding]:
    """Everything that is looked at, in the order in which it is told."""
    yield from host_findings(Surroundings(run_directory=run_directory, speaks_bgp=_speaks_bgp(run_directory)))
    yield from kernel_findings() if os.geteuid() == 0 else [_unasked("kernel", "only root can try it")]
    yield from _agent(run_directory)
    yield from asyncio.run(_datastore(location))


def _speaks_bgp(run_directory: Path) -> bool:
    """Whether the agent works with BIRD; where none answers, it may be meant to."""
    try:
        return bool(ask(run_directory).bird_socket)
    except Unavailable:
        return True


def _agent(run_directory: Path) -> Iterator[Finding]:
    try:
        report = ask(run_directory)
    except Unavailable as error:
        yield Finding(
            "agent", State.ERROR, "the agent of this host does not answer", str(error), "systemctl start tortie-agent"
        )
        return
    yield _standing(report)
    for problem in report.problems:
        yield Finding("agent", State.ERROR, "the agent reports a problem", problem, "tortie node status")


def _standing(report: AgentReport) -> Finding:
    evidence = f"{report.endpoints} endpoints, datastore {report.datastore.state}"
    if report.ready:
        return Finding("agent", State.OK, "the agent is ready", evidence)
    return Finding("agent", State.ERROR, "the agent is not ready", report.delayed or evidence, "tortie node status")


async def _datastore(location: Location) -> list[Finding]:
    place = place_of(location)
    if is_missing(location):
        cause = "there is no datastore where this command looks"
        return [Finding("datastore", State.ERROR, cause, place, "set TORTIE_DATASTORE, or make one with tortie apply")]
    try:
        datastore = await open_datastore(location)
        try:
            return [await latency(datastore, place), await addresses(datastore)]
        finally:
            await datastore.close()
    except TortieError as error:
        fix = "tortie node status, and see docs/etcd.md" if not isinstance(location, Path) else f"ls -l {place}"
        return [Finding("datastore", State.ERROR, "the datastore does not answer", str(error), fix)]


async def latency(datastore: Datastore, place: str) -> Finding:
    """How long reading one key takes."""
    took = []
    for _ in range(_READINGS):
        began = time.monotonic()
        await datastore.get(resource_key(INFORMATION))
        took.append(time.monotonic() - began)
    median = statistics.median(took)
    evidence = f"{median * 1000:.1f} ms to read a key from {place}"
    if median < SLOW_SECONDS:
        return Finding("datastore", State.OK, "the datastore answers soon", evidence)
    fix = "etcdctl endpoint status -w table; give etcd a disk of its own"
    return Finding("datastore", State.WARNING, "the datastore is slow, and so is every change", evidence, fix)


async def addresses(datastore: Datastore) -> Finding:
    """Whether the books of addresses agree with who uses them."""
    clock = SystemClock()
    store = ResourceStore(datastore, clock, selector_problem)
    books = await read_books(datastore, store, clock, Random())
    report = confirmed(books, books, locked=False)
    if not report.findings:
        return Finding("addresses", State.OK, "the books of addresses agree with who uses them")
    evidence = f"{len(report.findings)} findings, {len(report.leaks)} leaks"
    return Finding(
        "addresses", State.WARNING, "the books of addresses do not agree with their use", evidence, "tortie ipam check"
    )


def _unasked(check: str, why: str) -> Finding:
    return Finding(check, State.UNKNOWN, "was not looked at", why, "sudo tortie doctor")


def _told(one: Finding) -> Iterator[str]:
    evidence = f" ({one.evidence})" if one.evidence else ""
    yield f"{_SIGNS[one.state]} {one.check}: {one.cause}{evidence}"
    if one.fix:
        yield f"    {one.fix}"


def _summary(findings: list[Finding]) -> str:
    counts = {state: sum(one.state is state for one in findings) for state in State}
    words = ((State.ERROR, "errors"), (State.WARNING, "warnings"), (State.UNKNOWN, "unknown"))
    return f"{len(findings)} checks: " + ", ".join(f"{counts[state]} {word}" for state, word in words)
