"""`tortie verify` and `tortie policy test`: whether what files state of policy holds."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from xml.sax.saxutils import quoteattr

import click
import msgspec

from tortie.analysis.checkfile import CheckFile, fixtures, read_checks, statements
from tortie.analysis.checks import Outcome, check
from tortie.analysis.idle import idle
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.connection import FAILED, or_exit, with_location
from tortie.cli.inputs import Input
from tortie.cli.options import namespace_option
from tortie.cli.output import Format, say, structured
from tortie.cli.snapshot import compiled, filed_resources, merged, stored_resources
from tortie.datastore.location import Location

Function = TypeVar("Function", bound=Callable[..., Any])


class Shape(enum.StrEnum):
    """Values of `-o`; none is for people."""

    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"
    GITHUB = "github"


def _files_option(*, required: bool) -> Callable[[Function], Function]:
    return click.option(
        "-f",
        "--filename",
        "files",
        type=click.Path(path_type=Path),
        multiple=True,
        required=required,
        help="File of statements; repeatable.",
    )


_files, _optional_files = _files_option(required=True), _files_option(required=False)
_manifests = click.option(
    "-m",
    "--manifest",
    "manifests",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File or folder of resources, besides those that the files name; repeatable.",
)
_shape = click.option(
    "-o", "--output", type=click.Choice(list(Shape), case_sensitive=False), help="How to tell the outcome."
)


@click.command()
@_optional_files
@_manifests
@_shape
@click.option(
    "--idle", "only_idle", is_flag=True, help="List policies that govern nobody and rules that decide nothing."
)
@namespace_option
@with_location
def verify(files: Sequence[Path], manifests: Sequence[Path], location: Location, **options: Any) -> None:
    """Prove that what files state of the cluster's policy holds, or show a packet against it.

    The exit code is 0 when all of it holds, 1 when something does not. With -m, as it would be with these applied.

    \b
      tortie verify -f invariants.yaml
      tortie verify -f invariants.yaml -m new-policies/ -o junit
      tortie verify --idle
    """
    output: Shape | None = options["output"]
    namespace: str = options["namespace"]
    if bool(files) == options["only_idle"]:
        raise click.UsageError("give statements with -f FILE, or ask for --idle")
    found = _all_read(files)
    stored = stored_resources(location)
    if options["only_idle"]:
        _tell_idle(merged(stored, filed_resources(Input(tuple(manifests), namespace))), output)
        return
    _run([(file, checks, stored) for file, checks in found], Input(tuple(manifests), namespace), output)


@click.command("test")
@_files
@_manifests
@click.option("--live", is_flag=True, help="By packets in a lab that is up, under what is in force there.")
@click.option("--lab", default="lab", show_default=True, help="Which lab, with --live.")
@_shape
@namespace_option
def test(files: Sequence[Path], manifests: Sequence[Path], output: Shape | None, namespace: str, **live: Any) -> None:
    """Test policies without a cluster: what files expect of manifests, with endpoints of their own.

    \b
      tortie policy test -f policies.test.yaml
      tortie test -f policies.test.yaml -m policies/ -o github
      tortie test -f policies.test.yaml --live
    """
    found = _all_read(files)
    if live["live"]:
        if manifests:
            raise click.UsageError("--live is about what is in force: apply the manifests instead of -m")
        _run_live(found, live["lab"], output, namespace)
    _run([(file, checks, []) for file, checks in found], Input(tuple(manifests), namespace), output)


def _run_live(found: Sequence[tuple[Path, CheckFile]], name: str, output: Shape | None, namespace: str) -> NoReturn:
    # Labs and probes are for those who ask for them.
    from tortie.cli.live import lab_of
    from tortie.cli.live_checks import check_live
    from tortie.lab.cluster import location

    lab = lab_of(name)
    cluster = compiled(stored_resources(location(lab.topology)))
    try:
        outcomes = [
            (file, check_live(lab, cluster, one, namespace)) for file, checks in found for one in statements(checks)
        ]
    finally:
        lab.close()
    _finish(outcomes, output)


def _tell_idle(resources: list[Resource], output: Shape | None) -> None:
    found = idle(Reachability(Space(), compiled(resources)))
    if output in (Shape.JSON, Shape.YAML):
        say(structured([{"what": str(one).partition(": ")[0], "why": one.why} for one in found], Format(output.value)))
    else:
        say("\n".join(map(str, found)) or "Every policy governs somebody, and every rule decides something.")


def _all_read(files: Sequence[Path]) -> list[tuple[Path, CheckFile]]:
    return or_exit(lambda: [(file, _read(file)) for file in files])


def _read(file: Path) -> CheckFile:
    try:
        text = file.read_text()
    except OSError as error:
        raise InvalidResource(Problem(str(file), "", f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        problem = f"is not text: {error.reason} at byte {error.start}"
        raise InvalidResource(Problem(str(file), "", problem, "store it as UTF-8")) from error
    return read_checks(text, str(file))


def _run(found: Sequence[tuple[Path, CheckFile, list[Resource]]], given: Input, output: Shape | None) -> None:
    outcomes: list[tuple[Path, Outcome]] = []
    for file, checks, stored in found:
        beside = tuple(file.parent / name for name in checks.manifests)
        filed = filed_resources(msgspec.structs.replace(given, paths=(*beside, *given.paths)))
        reach = Reachability(Space(), compiled(merged([*stored, *_made(checks)], filed)))
        outcomes += [(file, check(reach, one, given.namespace)) for one in statements(checks)]
    _finish(outcomes, output)


def _finish(outcomes: Sequence[tuple[Path, Outcome]], output: Shape | None) -> NoReturn:
    say(_told(outcomes, output))
    failed = any(not one.holds for _, one in outcomes)
    sys.exit(FAILED if failed or not outcomes else 0)


def _made(checks: CheckFile) -> list[Resource]:
    return or_exit(lambda: fixtures(checks))


def _told(outcomes: Sequence[tuple[Path, Outcome]], output: Shape | None) -> str:
    if output in (Shape.JSON, Shape.YAML):
        return structured([_plain(file, one) for file, one in outcomes], Format(output.value))
    if output is Shape.JUNIT:
        return _junit(outcomes)
    if output is Shape.GITHUB:
        return "\n".join(_github(file, one) for file, one in outcomes if not one.holds)
    failed = sum(not one.holds for _, one in outcomes)
    lines = [f"{'holds ' if one.holds else 'FAILED'}  {one.statement.name}{_why(one)}" for _, one in outcomes]
    summary = (
        f"{len(outcomes) - failed} of {len(outcomes)} hold"
        if outcomes
        else "nothing is stated: files need a list under expect or invariants"
    )
    return "\n".join([*lines, summary])


def _why(one: Outcome) -> str:
    return "" if one.holds else f"\n        {one.against}"


def _plain(file: Path, one: Outcome) -> dict[str, Any]:
    traffic = one.statement.traffic
    return {
        "file": str(file),
        "name": one.statement.name,
        "demand": one.statement.demand.value,
        "from": traffic.source,
        "to": traffic.to,
        "port": str(traffic.port),
        "holds": one.holds,
        "against": one.against,
    }


def _junit(outcomes: Sequence[tuple[Path, Outcome]]) -> str:
    failed = sum(not one.holds for _, one in outcomes)
    lines = [f'<testsuite name="tortie" tests="{len(outcomes)}" failures="{failed}">']
    for file, one in outcomes:
        head = f"  <testcase classname={quoteattr(str(file))} name={quoteattr(one.statement.name)}"
        lines.append(f"{head}/>" if one.holds else f"{head}><failure message={quoteattr(one.against)}/></testcase>")
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', *lines, "</testsuite>"])


def _github(file: Path, one: Outcome) -> str:
    """An annotation of a workflow; a line break would end it."""
    text = f"{one.statement.name}: {one.against}".replace("%", "%25").replace("\n", "%0A")
    return f"::error file={file}::{text}"
