"""`tortie explain`: kinds and fields, and the traffic between two ends."""

from __future__ import annotations

import sys

import click

from tortie.cli.completing import complete_kinds
from tortie.cli.connection import FAILED, is_missing, or_exit, with_location
from tortie.cli.inputs import Input
from tortie.cli.options import input_options, structured_option
from tortie.cli.output import Format, say, structured
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
@structured_option
@input_options
@with_location
def explain(words: tuple[str, ...], deep: bool, given: Input, location: Location, **options: object) -> None:
    """Tell what a kind or a field of it is; or why traffic from A to B gets through, or does not.

    A and B are workloads or pods (NAMESPACE/NAME), all of a namespace (NAMESPACE/), hosts (host/NAME), addresses, or
    selectors. With -f the files stand in the place of what is stored. The exit code for traffic is 0 when all of it
    gets through, and 4 when some of it is denied.

    \b
      tortie explain networkpolicy
      tortie explain globalnetworkpolicy.spec.ingress -r
      tortie explain shop/client-1 shop/web-1 80/tcp
      tortie explain "app == 'web'" 10.0.0.7 --protocol udp --port 53 -o json
      tortie explain shop/client shop/web 80 -f new-policy.yaml
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


DENIED = 4
"""Exit code: what was asked about does not get through."""


def _traffic(words: list[str], given: Input, location: Location, options: dict[str, object]) -> None:
    from tortie.analysis.nodes import KINDS, Nodes
    from tortie.analysis.who import read_service
    from tortie.cli.felix import configured
    from tortie.cli.snapshot import compiled, snapshot, stored_blocks
    from tortie.cli.why import explanations, parties, plain, text
    from tortie.desired.policy import Action

    said = "/".join(str(one) for one in (options["port"], options["protocol"]) if one)
    service = or_exit(lambda: read_service(words[2] if len(words) > 2 else said or "any"))
    is_offline = bool(options["offline"])
    resources = snapshot(location, given, offline=is_offline, besides=KINDS)
    cluster = compiled(resources)
    meant = or_exit(lambda: parties(cluster, (words[0], words[1]), given.namespace))
    found = explanations(
        cluster,
        meant,
        service,
        Nodes(resources, configured, [] if is_offline or is_missing(location) else stored_blocks(location)),
    )
    if options["output"]:
        say(structured([plain(one) for one in found], Format(str(options["output"]))))
    else:
        say("\n\n".join(text(one, everything=bool(options["everything"])) for one in found) or "nobody is paired here")
    if not found:
        sys.exit(FAILED)
    sys.exit(DENIED if any(one.verdict is Action.DENY for one in found) else 0)
