"""`tortie explain`: kinds and fields, and the traffic between two ends."""

from __future__ import annotations

import sys

import click

from tortie.cli.completing import complete_kinds
from tortie.cli.connection import or_exit, with_location
from tortie.cli.inputs import Input
from tortie.cli.options import input_options, structured_option
from tortie.cli.output import say
from tortie.datastore.location import Location

ARROWS = frozenset({"→", "->", "to"})
"""What may stand between the two ends."""


@click.command()
@click.argument(
    "words", nargs=-1, required=True, metavar="KIND[.FIELD...] | A B [PORT/PROTOCOL]", shell_complete=complete_kinds
)
@click.option("-r", "deep", is_flag=True, help="Of a kind or field: all fields below it too, as -R.")
@click.option("--protocol", default="", metavar="PROTOCOL", help="Of the traffic: tcp, udp, icmp, a number.")
@click.option("--port", default="", metavar="PORT", help="Of the traffic: its destination.")
@click.option("--all", "everything", is_flag=True, help="Every policy that does not apply, too.")
@click.option("--offline", is_flag=True, help="The files are all there is; no datastore is asked.")
@click.option("--live", is_flag=True, help="In a lab: send the packet, watch it, and compare.")
@click.option("--lab", default="lab", show_default=True, help="Which lab, with --live; its datastore is asked.")
@structured_option
@input_options
@with_location
def explain(words: tuple[str, ...], deep: bool, given: Input, location: Location, **options: object) -> None:
    """Tell what a kind or a field of it is; or why traffic from A to B gets through, or does not.

    A and B are workloads or pods (NAMESPACE/NAME), all of a namespace (NAMESPACE/), hosts (host/NAME), addresses, or
    selectors. With -f the files stand in the place of what is stored. The exit code for traffic is 0 when all of it
    gets through, 4 when some of it is denied, and 5 when --live finds that a kernel does otherwise.

    \b
      tortie explain networkpolicy
      tortie explain globalnetworkpolicy.spec.ingress -r
      tortie explain shop/client-1 shop/web-1 80/tcp
      tortie explain "app == 'web'" 10.0.0.7 --protocol udp --port 53 -o json
      tortie explain shop/client shop/web 80 -f new-policy.yaml
      tortie explain default/w1 default/w2 80 --live
    """
    rest = [word for word in words if word not in ARROWS]
    if len(rest) == 1:
        _field(rest[0], deep or given.recursive)
        return
    if len(rest) > 3:
        raise click.UsageError("give a kind, or two ends and perhaps PORT/PROTOCOL")
    _traffic(rest, given, location, options)


def _field(what: str, recursive: bool) -> None:
    # The tables of fields and of kinds are not needed by those who ask of traffic.
    from tortie.cli.explain import explain_text
    from tortie.cli.selection import kinds_of

    kind, _, path = what.partition(".")
    name = or_exit(lambda: kinds_of(kind))[0]
    say(or_exit(lambda: explain_text(name, path, recursive)).rstrip())


def _traffic(words: list[str], given: Input, location: Location, options: dict[str, object]) -> None:
    from tortie.analysis.who import read_service
    from tortie.cli.telling import Telling, tell

    if options["live"] and (given.paths or options["offline"]):
        raise click.UsageError("--live is about what is in force: without files, and not --offline")
    said = "/".join(str(one) for one in (options["port"], options["protocol"]) if one)
    service = or_exit(lambda: read_service(words[2] if len(words) > 2 else said or "any"))
    telling = Telling(
        everything=bool(options["everything"]),
        offline=bool(options["offline"]),
        lab=str(options["lab"]) if options["live"] else "",
        output=str(options["output"] or ""),
    )
    sys.exit(tell((words[0], words[1]), service, given, location, telling))
