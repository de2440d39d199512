"""`tortie bgp`: neighbours of hosts, what they exchange, and why a route is the one that is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from tortie.agent.client import ask
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, NotFound, Problem, Unavailable
from tortie.bgp.control import BirdControl
from tortie.bgp.route import RouteStatus
from tortie.bgp.routes import Question, routes
from tortie.bgp.status import SessionStatus, sessions
from tortie.cli import bgp_tables
from tortie.cli.connection import or_exit
from tortie.cli.node import run_directory_option
from tortie.cli.output import Format, say, structured


@click.group("bgp")
def commands() -> None:
    """Neighbours and routes of this host's BGP daemon."""


_shown_option = click.option(
    "-o",
    "--output",
    type=click.Choice([Format.WIDE, Format.YAML, Format.JSON], case_sensitive=False),
    help="How to show it; wide tells more of each.",
)
_socket_option = click.option(
    "--bird-socket",
    type=click.Path(path_type=Path),
    help="Ask the BIRD that answers here, and no agent.",
)


_directories_option = click.option(
    "--run-directory",
    "directories",
    type=click.Path(path_type=Path),
    envvar="TORTIE_RUN_DIRECTORY",
    default=(Path("/run/tortie"),),
    show_default="/run/tortie",
    multiple=True,
    help="Run directory of an agent; repeat it for several.",
)


@commands.command()
@_directories_option
@_socket_option
@_shown_option
def peers(directories: tuple[Path, ...], bird_socket: Path | None, output: Format | None) -> None:
    """Show each session: with whom, how it stands, since when, what it brought, and why it is not established.

    RECEIVED are routes that the neighbour sent, ACCEPTED those that filters let in, EXPORTED those sent to it.

    \b
      tortie bgp peers
      tortie bgp peers -o wide
      tortie bgp peers --bird-socket /run/bird/bird.ctl
      tortie bgp peers --run-directory /run/tortie/lab/demo/hosts/h1 --run-directory /run/tortie/lab/demo/hosts/h2
    """
    if bird_socket is not None:
        found: bgp_tables.Found = {"": or_exit(lambda: _sessions(bird_socket))}
    else:
        found = dict(or_exit(lambda: [_of_agent(one) for one in directories]))
    if output in (Format.YAML, Format.JSON):
        say(structured(bgp_tables.sessions_of_nodes(found), output))
    else:
        say(bgp_tables.peers_table(found, wide=output is Format.WIDE))


@commands.command("routes")
@click.argument("where", required=False, metavar="[PREFIX|ADDRESS]")
@click.option("--from", "sender", default="", metavar="PEER", help="Only what this neighbour sent and was accepted.")
@click.option("--to", "receiver", default="", metavar="PEER", help="Only what is sent to this neighbour.")
@click.option("--rejected", is_flag=True, help="What was received and not accepted, instead.")
@click.option("--best", is_flag=True, help="Only routes that are used.")
@run_directory_option
@_socket_option
@_shown_option
def show_routes(
    where: str | None,
    sender: str,
    receiver: str,
    rejected: bool,
    best: bool,
    run_directory: Path,
    bird_socket: Path | None,
    output: Format | None,
) -> None:
    """Show the routes that BIRD knows, and why each is used or is not.

    A prefix shows all routes inside it, an address those that a packet to it would take. PEER is the address of a
    neighbour, or the name of its session.

    \b
      tortie bgp routes
      tortie bgp routes 10.65.0.0/16 --best
      tortie bgp routes 10.65.0.3 -o wide
      tortie bgp routes --from 172.31.0.2 --rejected
      tortie bgp routes --to Mesh_172_31_0_2 -o json
    """
    asked = Question(_where(where), rejected=rejected, best=best)

    def found() -> list[RouteStatus]:
        with BirdControl(bird_socket or _socket_of(run_directory)) as control:
            known = sessions(control) if sender or receiver else []
            ends = {"sender": _session(known, sender), "receiver": _session(known, receiver)}
            return routes(control, msgspec.structs.replace(asked, **ends))

    shown = or_exit(found)
    if output in (Format.YAML, Format.JSON):
        say(structured([msgspec.to_builtins(one) for one in shown], output))
    else:
        say(bgp_tables.routes_table(shown, wide=output is Format.WIDE))


def _sessions(socket: Path) -> list[SessionStatus]:
    with BirdControl(socket) as control:
        return sessions(control)


def _of_agent(directory: Path) -> tuple[str, Sequence[SessionStatus]]:
    report = ask(directory)
    if report.bgp_problem:
        raise Unavailable(report.bgp_problem)
    return report.node, report.bgp


def _socket_of(directory: Path) -> Path:
    report = ask(directory)
    if not report.bird_socket:
        raise Unavailable(f"node {report.node} runs no BGP: bird_directory of its agent is empty")
    return Path(report.bird_socket)


def _where(text: str | None) -> Cidr | None:
    if text is None:
        return None
    try:
        return Cidr.parse(text) if "/" in text else Cidr.host(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is neither an address nor a prefix: {error}") from error


def _session(known: Sequence[SessionStatus], peer: str) -> str:
    """The name of a session; empty when none is asked for. Raises NotFound, InvalidResource."""
    found = [one.name for one in known if peer in (one.name, one.peer)]
    if peer and not found:
        there = ", ".join(one.peer for one in known) or "there are none"
        raise NotFound(f"session with {peer} (neighbours: {there})")
    if len(found) > 1:
        raise InvalidResource(Problem(peer, "", "has several sessions", f"name one of {', '.join(found)}"))
    return found[0] if found else ""
