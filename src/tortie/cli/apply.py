"""`tortie apply`, `create` and `replace`: the datastore made like the files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tortie.cli.connection import with_location
from tortie.cli.fulfil import fulfil
from tortie.cli.inputs import Input
from tortie.cli.manifests import Manifests, scan_manifests
from tortie.cli.options import DryRunCommand, dry_run_option, input_options, written_option
from tortie.cli.origin import force_option, why_option
from tortie.cli.plan import wish_for
from tortie.cli.report import Showing, reporter
from tortie.datastore.location import Location


def _writing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    return input_options(dry_run_option(written_option(why_option(force_option(with_location(function))))))


@click.command(cls=DryRunCommand)
@_writing_options
@click.option("--confirm", metavar="TIME", help="Take it back unless `tortie confirm` says so in this time, as 60s.")
@click.option(
    "--check", "checks", metavar="COMMAND", multiple=True, help="With --confirm: what must succeed; repeatable."
)
@click.option("--nodes", metavar="SELECTOR", default="", help="With --confirm: only on these nodes, until then.")
@click.option("--without", "absent", metavar="NODE", multiple=True, help="With --confirm: do not wait for this node.")
def apply(given: Input, dry_run: str, output: str | None, location: Location, **terms: Any) -> None:
    """Create resources, or change them to what files say.

    Nothing is written unless everything is valid. A file that names a resourceVersion overwrites that version only.

    \b
      tortie apply -f policies.yaml
      tortie apply -f manifests/ -R --dry-run
      tortie get networkpolicies -A -o yaml --export | tortie apply -f - --datastore other.db
      tortie apply -f host-policy.yaml --confirm 60s --check "curl -sf http://10.0.0.9/"
    """
    if terms["confirm"] and not dry_run:
        # Most who apply want no trial.
        from tortie.cli.trying import terms_of, try_files

        try_files(Showing("apply", output or ""), given, location, terms_of(**terms))
        return
    if terms["checks"] or terms["nodes"] or terms["absent"]:
        raise click.UsageError("--check, --nodes and --without go with --confirm TIME")
    write_files(Showing("apply", output or "", dry_run), given, location)


@click.command(cls=DryRunCommand)
@_writing_options
@click.option("--skip-exists", is_flag=True, help="What exists already is left alone, and no error.")
def create(given: Input, dry_run: str, output: str | None, location: Location, skip_exists: bool) -> None:
    """Create resources that do not exist yet.

    \b
      tortie create -f policy.yaml
      tortie create -f policies/ -R --skip-exists
    """
    write_files(Showing("create", output or "", dry_run), given, location, skip=skip_exists)


@click.command(cls=DryRunCommand)
@_writing_options
def replace(given: Input, dry_run: str, output: str | None, location: Location) -> None:
    """Change resources that exist to what files say.

    \b
      tortie replace -f policy.yaml
    """
    write_files(Showing("replace", output or "", dry_run), given, location)


def write_files(showing: Showing, given: Input, location: Location, *, skip: bool = False) -> None:
    """Read files, work out what to write, tell everything that is wrong, and write if nothing is."""
    manifests = read_or_exit(showing, given)
    may_create, may_change = showing.verb != "replace", showing.verb != "create" or skip
    wishes = [wish_for(item, may_create=may_create, may_change=may_change, skip=skip) for item in manifests.items]
    fulfil(showing, wishes, location, manifests)


def read_or_exit(
    showing: Showing, given: Input, scan: Callable[[Input], Manifests] = scan_manifests, *, quiet: bool = False
) -> Manifests:
    """What the files hold, its warnings and problems told; ends the command when they hold nothing at all.

    Args:
        scan: reads them.
        quiet: problems are not told here.
    """
    if not given.paths:
        raise click.UsageError(f"name what to {showing.verb}: -f FILE, -f FOLDER or -f -")
    manifests = scan(given)
    voice = reporter()
    voice.warn(map(str, manifests.warnings))
    if manifests.problems and not quiet:
        voice.invalid(showing, manifests.problems)
    elif not manifests.items and not manifests.problems:
        voice.empty(showing, ", ".join(map(str, given.paths)), allowed=given.skip_empty)
    return manifests
