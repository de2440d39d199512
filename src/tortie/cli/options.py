"""Options that several commands share, spelt once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from tortie.cli.completing import complete_namespaces
from tortie.cli.inputs import Input
from tortie.cli.output import Format
from tortie.cli.personality import NAMESPACE, before

Function = TypeVar("Function", bound=Callable[..., Any])


def _or_before(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The namespace that was named before the command, where none is named behind it."""
    is_named = context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
    return value if is_named else before(NAMESPACE) or value


namespace_option = click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    callback=_or_before,
    shell_complete=complete_namespaces,
    help="Namespace of what names none.",
)
structured_option = click.option(
    "-o",
    "--output",
    type=click.Choice([Format.YAML, Format.JSON], case_sensitive=False),
    help="How to show it.",
)
written_option = click.option(
    "-o",
    "--output",
    type=click.Choice([Format.YAML.value, Format.JSON.value, Format.NAME.value]),
    help="Show what was written, or its name, instead of a sentence.",
)
name_option = click.option(
    "-o", "--output", type=click.Choice([Format.NAME.value]), help="Show names instead of sentences."
)
selector_option = click.option(
    "-l", "--selector", metavar="SELECTOR", help="Those whose labels match, such as \"app == 'web'\"."
)


class FilePath(click.Path):
    """A file, a folder or `-`; files that are elsewhere are not fetched."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does. Raises click.BadParameter for a URL."""
        if "://" in str(value):
            verb = ctx.command_path if ctx else "tortie"
            self.fail(f"{value} is not fetched; do that first: curl -L {value} | {verb} -f -", param, ctx)
        return super().convert(value, param, ctx)


def input_options(function: Function) -> Callable[..., Any]:
    """`-f`, `-R`, `-n` and `--skip-empty`: which files hold the resources; the command gets `given`."""

    @click.option(
        "-f",
        "--filename",
        type=FilePath(),
        multiple=True,
        help="File, folder, or - for standard input; repeatable.",
    )
    @click.option("-R", "--recursive", is_flag=True, help="Folders within folders too.")
    @click.option("--skip-empty", is_flag=True, help="Files and folders without objects are no error.")
    @namespace_option
    @functools.wraps(function)
    def command(
        *args: Any, filename: tuple[Path, ...], recursive: bool, skip_empty: bool, namespace: str, **options: Any
    ) -> Any:
        return function(*args, given=Input(filename, namespace, recursive, skip_empty), **options)

    return command


def dry_run_option(function: Function) -> Function:
    """`--dry-run`, alone or with `=client` or `=server`; the command gets `dry_run`, empty when it is meant."""
    return click.option(
        "--dry-run",
        type=click.Choice(["none", "client", "server"]),
        default="none",
        callback=lambda context, parameter, value: "" if value == "none" else value,
        metavar="[=client|server]",
        help="Say what would be done: as the input alone tells (client), or as the datastore would take it (server).",
    )(function)


class DryRunCommand(click.Command):
    """A command whose `--dry-run` may stand without a value, and then is that of the server."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does."""
        return super().parse_args(ctx, ["--dry-run=server" if word == "--dry-run" else word for word in args])
