"""`tortie lab`: whole clusters on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click
import msgspec

from tortie.agent.client import ask
from tortie.base.errors import NotFound, Unavailable
from tortie.cli.connection import FAILED, or_exit
from tortie.cli.node import standing
from tortie.cli.options import structured_option
from tortie.cli.output import Format, aligned, complain, say, structured
from tortie.lab.assembly import assemble, find, has_bird
from tortie.lab.datastore import urls_inside
from tortie.lab.lab import PORTS, Lab
from tortie.lab.migration import migrate
from tortie.lab.probe.matrix import Question
from tortie.lab.probe.model import Transport
from tortie.lab.sessions import wait_established
from tortie.lab.state import Attachment
from tortie.lab.topology import Topology, simple
from tortie.netlink.namespace import enter


@click.group("lab")
def commands() -> None:
    """Whole clusters in network namespaces on this machine; needs root."""
    if os.geteuid() != 0:
        complain("labs are made of network namespaces: run this as root")
        sys.exit(FAILED)


DATASTORES = {"file": 0, "etcd": 1, "etcd3": 3}
"""What can hold a lab's resources, and how many members of etcd that takes."""

name_option = click.option("--name", default="lab", show_default=True, help="Name of the lab: letters and digits.")


@commands.command()
@name_option
@click.option("--hosts", type=click.IntRange(1, 100), default=3, show_default=True, help="How many hosts.")
@click.option(
    "--workloads", type=click.IntRange(0, 50), default=2, show_default=True, help="How many workloads on each host."
)
@click.option(
    "--datastore",
    type=click.Choice(list(DATASTORES)),
    default="file",
    show_default=True,
    help="What holds the resources: a file, an etcd, or an etcd of three members.",
)
def up(name: str, hosts: int, workloads: int, datastore: str) -> None:
    """Raise hosts with agents and BIRD, and workloads on them.

    \b
      tortie lab up --hosts 3 --workloads 2
      tortie lab up --datastore etcd3
    """
    lab = or_exit(lambda: assemble(simple(name, hosts, workloads, etcd=DATASTORES[datastore])))
    or_exit(lab.up)
    or_exit(lambda: wait_established(lab))
    say(_status(lab))
    say(f"\nResources are in {lab.topology.datastore}; use: export TORTIE_DATASTORE={lab.topology.datastore}")


@commands.command()
@name_option
@structured_option
def status(name: str, output: Format | None) -> None:
    """Show hosts, agents and workloads.

    \b
      tortie lab status
    """
    lab = or_exit(lambda: find(name))
    if output is not None:
        say(structured(msgspec.to_builtins(lab.status()), output))
    else:
        say(_status(lab))


@commands.command(name="exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.argument("where")
@click.argument("command", nargs=-1, required=True)
@name_option
def execute(where: str, command: tuple[str, ...], name: str) -> None:
    """Run a program at a host or workload, with this terminal; its exit status is ours.

    At a host `tortie` finds the agent of that host, and the datastore.

    \b
      tortie lab exec w1 ip route
      tortie lab exec h1 tortie policy hits
      tortie lab exec h2 -- birdc show protocols
    """
    lab = or_exit(lambda: find(name))
    os.environ.update(surroundings(lab.topology, where))
    arguments = command[1:] if command[0] == "--" else command
    or_exit(lambda: enter(lab.namespace(where)))
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        complain(f"{arguments[0]} cannot be run: {error.strerror}")
        sys.exit(127)


def surroundings(topology: Topology, where: str) -> dict[str, str]:
    """What tells `tortie` at a place of a lab where its agent and the datastore are; a workload has neither."""
    if all(host.name != where for host in topology.hosts):
        return {}
    return {"TORTIE_RUN_DIRECTORY": str(topology.host_directory(where)), "TORTIE_DATASTORE": urls_inside(topology)}


@commands.command()
@click.argument("host")
@name_option
def kill(host: str, name: str) -> None:
    """Crash the agent of a host (kill -9), while BIRD goes on, or a member of etcd. `start` brings it back.

    \b
      tortie lab kill h2
      tortie lab kill etcd1
    """
    lab = or_exit(lambda: find(name))
    or_exit(lambda: lab.kill_services(host))
    what = "member" if lab.topology.member(host) else "the agent of"
    say(f"{what} {host} is dead; tortie lab start --name {name} {host} brings it back")


@commands.command()
@click.argument("host")
@name_option
def start(host: str, name: str) -> None:
    """Start what does not run on a host: its agent, its BIRD; or a member of etcd.

    \b
      tortie lab start h2
      tortie lab start etcd1
    """
    lab = or_exit(lambda: find(name))
    or_exit(lambda: lab.start_services(host))
    if lab.topology.member(host):
        say(f"{host} is started")
        return
    or_exit(lab.wait_ready)
    say(f"{host} is ready")


@commands.command()
@name_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=80,
    show_default=True,
    help="Destination port of TCP, UDP and SCTP.",
)
@click.option("-o", "--output", type=click.Choice(["json"]), help="How to show it.")
def probe(name: str, port: int, output: str | None) -> None:
    """Send real packets between all pairs of workloads and print who reaches whom.

    \b
      tortie lab probe
    """
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
        sys.exit(FAILED)
    finally:
        lab.close()
    if output == "json":
        say(b"\n".join(matrix.json() for matrix in found).decode())
    else:
        say("\n\n".join(matrix.text() for matrix in found))


@commands.command()
@click.argument("workload")
@click.argument("host")
@click.option(
    "--abruptly", is_flag=True, help="As if its first host had lost it: it is there before it is here, and not both."
)
@name_option
def move(workload: str, host: str, abruptly: bool, name: str) -> None:
    """Move a workload to another host; it keeps its addresses, and no packet is lost: it is on both for a moment.

    Nothing is done while that host takes no workload. Labs without BIRD, and workloads that are nowhere, are moved
    abruptly.

    \b
      tortie lab move w1 h2
      tortie lab move --abruptly w1 h2
    """
    lab = or_exit(lambda: find(name))
    known = or_exit(lab.state).attachments
    is_planned = not abruptly and workload in known and has_bird(lab.topology)
    attachment = or_exit(lambda: migrate(lab, workload, host) if is_planned else lab.move(workload, host))
    say(f"{workload} is on {attachment.host} with {', '.join(attachment.addresses)}")


@commands.command()
@name_option
def down(name: str) -> None:
    """Remove every trace of a lab.

    \b
      tortie lab down
    """
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
    if found.members:
        members = [[each, url, _alive(found.members[each])] for each, url in _members(lab)]
        tables.append(aligned(["ETCD", "URL", "PROCESS"], members))
    return "\n\n".join(tables)


def _members(lab: Lab) -> Iterator[tuple[str, str]]:
    for member, url in zip(lab.topology.members, lab.topology.etcd_urls, strict=True):
        yield member.name, url


def _alive(is_alive: bool) -> str:
    return "alive" if is_alive else "dead"


def _agent(lab: Lab, host: str) -> list[str]:
    try:
        report = ask(lab.place(host).directory)
    except Unavailable:
        return ["absent", "-", "-"]
    established = sum(session.established for session in report.bgp)
    return [
        standing(report),
        str(report.endpoints),
        "BIRD does not answer" if report.bgp_problem else f"{established} of {len(report.bgp)} established",
    ]


def _where(attachment: Attachment | None) -> list[str]:
    if attachment is None:
        return ["-", "-"]
    return [attachment.host, ", ".join(attachment.addresses)]
