"""`tortie monitor`: packets of this host as policy decides them, live."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from tortie.agent.client import monitor as watched
from tortie.agent.decisions import Decision, Filter, Packet, Report
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.calculation.protocols import protocol_number
from tortie.cli.connection import or_exit
from tortie.cli.node import run_directory_option
from tortie.cli.output import GAP, complain

_HEADINGS = ("TIME", "INTERFACE", "ENDPOINT", "DIRECTION", "VERDICT", "PACKET", "BY")
_WIDTHS = (15, 15, 24, 9, 7, 44, 0)
"""To begin with; a longer cell widens its column from there on."""
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}


@click.command()
@click.option("--drops", is_flag=True, help="Only packets that are denied.")
@click.option(
    "-e", "--endpoint", default="", metavar="NAMESPACE/NAME", help="Only what this workload sends or receives."
)
@click.option("--source", default="", metavar="CIDR", help="Only packets from these addresses.")
@click.option("--destination", default="", metavar="CIDR", help="Only packets to these addresses.")
@click.option("--protocol", default="", metavar="PROTOCOL", help="Only this protocol, by name or number.")
@click.option("--port", type=click.IntRange(1, 65535), help="Only packets from or to this port.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many packets.")
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="Most packets a second that the kernel traces at each place; others go by unseen.",
)
@click.option("-o", "--output", type=click.Choice(["json"]), help="An object a line.")
@run_directory_option
def monitor(
    drops: bool,
    endpoint: str,
    source: str,
    destination: str,
    protocol: str,
    port: int | None,
    limit: int | None,
    rate: int,
    output: str | None,
    run_directory: Path,
) -> None:
    """Show which rule allows or denies which packet, as it happens, until Ctrl-C.

    Shown are packets that begin a connection, and all that are denied; what was allowed once is not judged again.
    Nothing of policy is changed: the kernel traces some packets for as long as somebody watches.

    \b
      tortie monitor --drops
      tortie monitor --endpoint shop/web-1 --protocol tcp --port 80
      tortie monitor --source 10.0.0.0/8 --limit 10 -o json
    """
    wanted = or_exit(lambda: _filter(drops, endpoint, (source, destination), protocol, port, rate))
    or_exit(lambda: _show(watched(run_directory, wanted), limit, output is not None))


class Columns:
    """Lines that stand below each other although the next is not known."""

    def __init__(self) -> None:
        self._widths = list(_WIDTHS)

    def line(self, cells: Sequence[str]) -> str:
        """The next line."""
        self._widths = [max(len(cell), width) for cell, width in zip(cells[:-1], self._widths, strict=False)] + [0]
        return GAP.join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)).rstrip()


def cells(report: Report) -> tuple[str, ...]:
    """One report for people; empty when it is of no packet."""
    decision, packet = report.decision, report.packet
    if decision is None or packet is None:
        return ()
    time = datetime.datetime.fromtimestamp(report.time).strftime("%H:%M:%S.%f")
    direction = decision.direction.value if decision.direction else ""
    return (time, report.interface, report.endpoint, direction, decision.verdict, describe(packet), _by(decision))


def describe(packet: Packet) -> str:
    """The packet in a few words."""
    protocol = _PROTOCOLS.get(packet.protocol, f"protocol {packet.protocol}")
    if packet.source_port is None:
        kind = "" if packet.icmp_type is None else f" type {packet.icmp_type} code {packet.icmp_code}"
        return f"{protocol} {packet.source} > {packet.destination}{kind}"
    source, destination = (f"[{one}]" if ":" in one else one for one in (packet.source, packet.destination))
    return f"{protocol} {source}:{packet.source_port} > {destination}:{packet.destination_port}"


def _by(decision: Decision) -> str:
    place = f"{decision.namespace}/{decision.name}" if decision.namespace else decision.name
    by = decision.reason or f"{decision.kind} {place} rule {decision.rule}"
    return f"{by} (staged: {decision.staged})" if decision.staged else by


def _show(reports: Iterator[Report], limit: int | None, as_json: bool) -> None:
    """Raises Unavailable when the agent ends."""
    next(reports)
    columns = Columns()
    if not as_json:
        click.echo(columns.line(_HEADINGS))
    left = itertools.count(1)
    for report in reports:
        if report.lost:
            complain("some packets came too fast to be shown")
            continue
        click.echo(json.dumps(msgspec.to_builtins(report)) if as_json else columns.line(cells(report)))
        if limit is not None and next(left) >= limit:
            return


def _filter(drops: bool, endpoint: str, ends: tuple[str, str], protocol: str, port: int | None, rate: int) -> Filter:
    """Raises InvalidResource."""
    problems = [*_bad_prefixes(ends)]
    number = None
    try:
        number = protocol_number(protocol) if protocol else None
    except ValueError:
        problems.append(Problem("--protocol", "", f"{protocol!r} is no protocol", "use tcp, udp, icmp, or a number"))
    if problems:
        raise InvalidResource(*problems)
    return Filter(drops, endpoint, *ends, number, port, rate)


def _bad_prefixes(ends: tuple[str, str]) -> Iterator[Problem]:
    for option, text in zip(("--source", "--destination"), ends, strict=True):
        try:
            if text:
                Cidr.parse(text)
        except ValueError:
            yield Problem(option, "", f"{text!r} is no prefix", "use such as 10.0.0.0/8 or fd00::1")
