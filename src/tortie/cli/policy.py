"""`tortie policy`: what the policies of this host do to packets."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from tortie.agent.client import ask_hits
from tortie.agent.hits import EndHits, HitsReport, PolicyHits
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.connection import or_exit
from tortie.cli.lazy import Group
from tortie.cli.node import run_directory_option
from tortie.cli.output import Format, aligned, say, structured
from tortie.cli.personality import program

_HEADINGS = ("TIER", "POLICY", "RULE", "ACTION", "PACKETS", "BYTES")
_END_HEADINGS = ("FATE", "REASON", "DIRECTION", "PACKETS", "BYTES")


@click.group("policy", cls=Group, commands_by_name={"test": "tortie.cli.verifying:test"})
def commands() -> None:
    """What policies do to packets, on this host and without any."""


@commands.command()
@click.argument("name", required=False, metavar="[KIND/NAME]")
@click.option("-e", "--endpoint", default="", metavar="NAMESPACE/NAME", help="Only policies that govern this workload.")
@click.option("--never", is_flag=True, help="Only rules that never matched.")
@click.option(
    "-o",
    "--output",
    type=click.Choice([Format.WIDE, Format.YAML, Format.JSON], case_sensitive=False),
    help="How to show it; wide also tells how many workloads each policy governs.",
)
@run_directory_option
def hits(name: str | None, endpoint: str, never: bool, output: Format | None, run_directory: Path) -> None:
    """Show how many packets each rule matched, in the order in which packets meet the rules.

    Packets of connections that were allowed before are counted once, under their own line. What staged policies
    count is what they would have decided.

    \b
      tortie policy hits
      tortie policy hits networkpolicy/shop/web
      tortie policy hits --endpoint shop/web-1 -o wide
      tortie policy hits --never -o json
    """
    report = or_exit(lambda: _chosen(ask_hits(run_directory, endpoint), name, never))
    if output in (Format.YAML, Format.JSON):
        say(structured(msgspec.to_builtins(report), output))
    else:
        say(describe(report, wide=output is Format.WIDE))


def describe(report: HitsReport, *, wide: bool = False) -> str:
    """The report for people."""
    since = datetime.datetime.fromtimestamp(report.since, datetime.UTC)
    parts = [f"Node {report.node}, counted since {since:%Y-%m-%d %H:%M:%S} UTC"]
    headings = (*_HEADINGS, "ENDPOINTS") if wide else _HEADINGS
    rows = [row if wide else row[: len(_HEADINGS)] for one in report.policies for row in _rows(one)]
    parts.append(aligned(headings, rows) if rows else "No policy is in force here, or none is left by the options.")
    if report.ends:
        parts.append("No written rule decided:\n" + aligned(_END_HEADINGS, [_end_row(one) for one in report.ends]))
    return "\n\n".join(parts)


def _chosen(report: HitsReport, name: str | None, never: bool) -> HitsReport:
    """What the options leave of a report. Raises InvalidResource."""
    policies = list(report.policies)
    if name is not None:
        policies = _named(policies, name)
    if never:
        policies = list(_never(policies))
    ends = () if name is not None or never else report.ends
    return msgspec.structs.replace(report, policies=policies, ends=ends)


def _named(policies: Iterable[PolicyHits], name: str) -> list[PolicyHits]:
    """By kind (in any form that `tortie get` takes) and name, with its namespace where one is ambiguous."""
    kind, _, rest = name.partition("/")
    canonical = _kind(kind)
    namespace, _, short = rest.rpartition("/")
    found = [
        one
        for one in policies
        if one.kind == canonical and one.name == short and namespace in ("", one.namespace) and short
    ]
    if not found:
        remedy = f"write KIND/NAME or KIND/NAMESPACE/NAME of a policy that {program()} policy hits lists"
        raise InvalidResource(Problem(name, "", "is in force for no workload of this host", remedy))
    return found


def _kind(word: str) -> str:
    # The tables of kinds are loaded for those who name one.
    from tortie.api.kinds import find_kind

    return find_kind(word).kind


def _never(policies: Iterable[PolicyHits]) -> Iterator[PolicyHits]:
    for one in policies:
        rules = [rule for rule in one.rules if not rule.packets]
        if rules:
            yield msgspec.structs.replace(one, rules=rules)


def _rows(policy: PolicyHits) -> Iterator[Sequence[str]]:
    place = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
    whose = f"{policy.kind} {place}"
    total = (str(policy.packets), str(policy.bytes), str(policy.endpoints))
    yield (policy.tier or "(profile)", whose, "all", "", *total)
    for rule in policy.rules:
        action = f"would {rule.action}" if policy.staged else rule.action
        yield ("", "", f"{rule.direction.value} {rule.index}", action, str(rule.packets), str(rule.bytes), "")


def _end_row(end: EndHits) -> Sequence[str]:
    return (end.fate, end.reason, end.direction.value, str(end.packets), str(end.bytes))
