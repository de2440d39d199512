"""`tortie reach`: who reaches somebody, whom somebody reaches, what is open to the outside, and the matrix of all."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from tortie.base.errors import InvalidResource, Problem
from tortie.cli.connection import or_exit, with_location
from tortie.cli.inputs import Input
from tortie.cli.options import input_options
from tortie.cli.output import say
from tortie.cli.snapshot import compiled, offline_option, snapshot
from tortie.datastore.location import Location

if TYPE_CHECKING:
    from tortie.analysis.matrix import Grouping
    from tortie.analysis.reachability import Reachability

MOST_GROUPS = 1000
"""More are no matrix that anybody can use."""


class Shape(enum.StrEnum):
    """Values of `-o`; none is for people."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"


@click.command()
@click.argument("words", nargs=-1, metavar="[WHOM] [PORT/PROTOCOL]")
@click.option("--exposed", is_flag=True, help="Whom the outside reaches, and who reaches the outside.")
@click.option(
    "--by",
    default="namespace",
    show_default=True,
    metavar="WHAT",
    help="Of the matrix: namespace, workload, class (those whom no policy tells apart), or a label's name.",
)
@click.option("--port", default="any", metavar="PORT/PROTOCOL", help="Only this traffic, such as 80/tcp, icmp.")
@click.option("-o", "--output", type=click.Choice(list(Shape), case_sensitive=False), help="How to show it.")
@offline_option
@input_options
@with_location
def reach(words: tuple[str, ...], given: Input, location: Location, *, offline: bool, **options: str | bool) -> None:
    """Show who reaches WHOM and whom WHOM reaches; or, of nobody in particular, the matrix of all.

    WHOM is a workload or pod (NAMESPACE/NAME), all of a namespace (NAMESPACE/), a host (host/NAME), an address, or a
    selector. What is shown is what policy allows, for all packets, with ports, in both directions. With -f the files
    stand in the place of what is stored.

    \b
      tortie reach shop/web
      tortie reach "app == 'db'" 5432/tcp
      tortie reach --exposed
      tortie reach --by namespace --port 22/tcp
      tortie reach --by app -o html > matrix.html
    """
    if len(words) > 2 or (words and options["exposed"]):
        raise click.UsageError("give whom it is about, and perhaps PORT/PROTOCOL; or --exposed; or nobody")
    service = words[1] if len(words) > 1 else str(options["port"])
    resources = snapshot(location, given, offline=offline)
    asked = or_exit(lambda: _asked(compiled(resources), service))
    output = Shape(str(options["output"])) if options["output"] else None
    if words or options["exposed"]:
        say(or_exit(lambda: _lists(asked, words[0] if words else "", given.namespace, output)))
    else:
        say(or_exit(lambda: _matrix(asked, str(options["by"]), output)))


def _asked(cluster: object, service: str) -> Reachability:
    # The analysis is loaded when the words are known to be right.
    from tortie.analysis.cluster import Cluster
    from tortie.analysis.packets import Space
    from tortie.analysis.reachability import Reachability
    from tortie.analysis.who import read_service

    assert isinstance(cluster, Cluster)
    space = Space()
    return Reachability(space, cluster, read_service(service).packets(space))


def _lists(asked: Reachability, whom: str, namespace: str, output: Shape | None) -> str:
    from tortie.analysis.exposure import exposure, reach_of
    from tortie.analysis.who import find_party
    from tortie.cli.reach_lists import told

    if output is Shape.HTML:
        raise InvalidResource(Problem("-o html", "", "is a form of the matrix", "use csv, json, or none"))
    found = reach_of(asked, find_party(asked.cluster, whom, namespace)) if whom else exposure(asked)
    return told(found, "" if output is None else output.value, everybody=bool(whom))


def _matrix(asked: Reachability, by: str, output: Shape | None) -> str:
    from tortie.analysis.matrix import matrix
    from tortie.cli.reach_matrix import told

    grouping = _grouping(by)
    groups = set(grouping(asked))
    if not groups:
        raise InvalidResource(Problem("the cluster", "", "has no endpoints", "name files with -f, or --datastore"))
    if len(groups) > MOST_GROUPS:
        remedy = "group by namespace or by a label, or ask about somebody"
        raise InvalidResource(Problem(f"--by {by}", "", f"makes a matrix of {len(groups)} groups", remedy))
    return told(matrix(asked, grouping), "" if output is None else output.value)


def _grouping(by: str) -> Grouping:
    from tortie.analysis.matrix import by_class, by_label, by_namespace, by_workload

    known: dict[str, Callable[[Reachability], Sequence[str]]] = {}
    known |= {"namespace": by_namespace, "workload": by_workload, "class": by_class}
    found = known.get(by)
    return by_label(by) if found is None else lambda asked: list(found(asked))
