"""`tortie lab`: whole clusters on this machine."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec
import typer

from tortie.agent.client import ask
from tortie.base.errors import NotFound, Unavailable
from tortie.cli.connection import or_exit
from tortie.cli.output import Format, aligned, complain, say, structured
from tortie.lab.assembly import assemble, find
from tortie.lab.lab import PORTS, Lab
from tortie.lab.probe.matrix import Question
from tortie.lab.probe.model import Transport
from tortie.lab.sessions import wait_established
from tortie.lab.state import Attachment
from tortie.lab.topology import simple
from tortie.netlink.namespace import enter

app = typer.Typer(help="Whole clusters in network namespaces on this machine; needs root.", no_args_is_help=True)


@app.callback()
def _lab() -> None:
    """Whole clusters in network namespaces on this machine."""
    if os.geteuid() != 0:
        complain("labs are made of network namespaces: run this as root")
        raise typer.Exit(1)


NameOption = Annotated[str, typer.Option("--name", help="Name of the lab: letters and digits.")]
OutputOption = Annotated[Format | None, typer.Option("-o", "--output", help="How to show it.")]


@app.command()
def up(
    name: NameOption = "lab",
    hosts: Annotated[int, typer.Option(min=1, max=100, help="How many hosts.")] = 3,
    workloads: Annotated[int, typer.Option(min=0, max=50, help="How many workloads on each host.")] = 2,
) -> None:
    """Raise hosts with agents and BIRD, and workloads on them."""
    lab = or_exit(lambda: assemble(simple(name, hosts, workloads)))
    or_exit(lab.up)
    or_exit(lambda: wait_established(lab))
    say(_status(lab))
    say(f"\nResources are in {lab.topology.datastore}; use: export TORTIE_DATASTORE={lab.topology.datastore}")


@app.command()
def status(name: NameOption = "lab", output: OutputOption = None) -> None:
    """Show hosts, agents and workloads."""
    lab = or_exit(lambda: find(name))
    if output in (Format.YAML, Format.JSON):
        say(structured(msgspec.to_builtins(lab.status()), output))
    else:
        say(_status(lab))


@app.command(name="exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def execute(
    where: Annotated[str, typer.Argument(help="A host, a workload, or fabric.")],
    command: Annotated[list[str], typer.Argument(help="Program and arguments.")],
    name: NameOption = "lab",
) -> None:
    """Run a program at a host or workload, with this terminal; its exit status is ours."""
    lab = or_exit(lambda: find(name))
    arguments = command[1:] if command[0] == "--" else command
    or_exit(lambda: enter(lab.namespace(where)))
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        complain(f"{arguments[0]} cannot be run: {error.strerror}")
        raise typer.Exit(127) from error


@app.command()
def kill(host: Annotated[str, typer.Argument(help="Which host.")], name: NameOption = "lab") -> None:
    """Crash the agent of a host (kill -9); BIRD goes on. `start` brings the agent back."""
    lab = or_exit(lambda: find(name))
    or_exit(lambda: lab.kill_services(host))
    say(f"the agent of {host} is dead; tortie lab start --name {name} {host} brings it back")


@app.command()
def start(host: Annotated[str, typer.Argument(help="Which host.")], name: NameOption = "lab") -> None:
    """Start what does not run on a host: its agent, its BIRD."""
    lab = or_exit(lambda: find(name))
    or_exit(lambda: lab.start_services(host))
    or_exit(lab.wait_ready)
    say(f"{host} is ready")


@app.command()
def probe(
    name: NameOption = "lab",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Destination port of TCP, UDP and SCTP.")] = 80,
    output: OutputOption = None,
) -> None:
    """Send real packets between all pairs of workloads and print who reaches whom."""
    lab = or_exit(lambda: find(name))
    questions = [
        Question(transport, family, 0 if transport is Transport.ICMP else port)
        for family in (4, 6)
        for transport in Transport
    ]
    try:
        if port not in PORTS:
            for member in lab.members():
                lab.prober.listen(member.name, port)
        found = or_exit(lambda: lab.matrix(questions))
    except OSError as error:
        complain(f"cannot listen in every workload: {error.strerror}; does a program of yours use port {port}?")
        raise typer.Exit(1) from error
    finally:
        lab.close()
    if output is Format.JSON:
        say(b"\n".join(matrix.json() for matrix in found).decode())
    else:
        say("\n\n".join(matrix.text() for matrix in found))


@app.command()
def move(
    workload: Annotated[str, typer.Argument(help="Which workload.")],
    host: Annotated[str, typer.Argument(help="Where to.")],
    name: NameOption = "lab",
) -> None:
    """Move a workload to another host; it keeps its addresses."""
    lab = or_exit(lambda: find(name))
    attachment = or_exit(lambda: lab.move(workload, host))
    say(f"{workload} is on {attachment.host} with {', '.join(attachment.addresses)}")


@app.command()
def down(name: NameOption = "lab") -> None:
    """Remove every trace of a lab."""
    try:
        lab = find(name)
    except NotFound:
        lab = or_exit(lambda: assemble(simple(name, 0, 0)))
    or_exit(lab.down)
    say(f"lab {name} is gone")


def _status(lab: Lab) -> str:
    found = or_exit(lab.status)
    hosts = [
        [
            host.name,
            *(lab.topology.host(host.name).address(family) or "-" for family in (4, 6)),
            *_agent(lab, host.name),
        ]
        for host in found.hosts
    ]
    workloads = [
        [one.namespace, one.name, *_where(found.attachments.get(one.name))] for one in found.topology.workloads
    ]
    tables = [aligned(["HOST", "IPV4", "IPV6", "AGENT", "ENDPOINTS", "BGP SESSIONS"], hosts)]
    if workloads:
        tables.append(aligned(["NAMESPACE", "WORKLOAD", "HOST", "ADDRESSES"], workloads))
    return "\n\n".join(tables)


def _agent(lab: Lab, host: str) -> list[str]:
    try:
        report = ask(lab.place(host).directory)
    except Unavailable:
        return ["absent", "-", "-"]
    established = sum(session.established for session in report.bgp)
    return [
        "ready" if report.ready else "not ready",
        str(report.endpoints),
        "BIRD does not answer" if report.bgp_problem else f"{established} of {len(report.bgp)} established",
    ]


def _where(attachment: Attachment | None) -> list[str]:
    if attachment is None:
        return ["-", "-"]
    return [attachment.host, ", ".join(attachment.addresses)]
