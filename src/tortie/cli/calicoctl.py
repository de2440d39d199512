"""`calicoctl`: the same commands in the words, options and exit codes that calicoctl's users and scripts know."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from tortie import __version__
from tortie.cli.everywhere import location_options, show_logs
from tortie.cli.lazy import Group
from tortie.cli.personality import PERSONALITY, PROGRAM

COMMANDS = {
    "create": "tortie.cli.apply:create",
    "apply": "tortie.cli.apply:apply",
    "replace": "tortie.cli.apply:replace",
    "delete": "tortie.cli.delete:delete",
    "get": "tortie.cli.get:get",
    "patch": "tortie.cli.patch:patch",
    "label": "tortie.cli.label:label",
    "validate": "tortie.cli.validate:validate",
    "convert": "tortie.cli.validate:convert",
    "ipam": "tortie.cli.ipam:commands",
    "node": "tortie.cli.node:commands",
    "datastore": "tortie.cli.datastore:commands",
    "cluster": "tortie.cli.cluster:commands",
    "version": "tortie.cli.version:version",
}
"""Word to module and function."""

LOG_LEVELS = {
    **dict.fromkeys(("panic", "fatal", "error"), "error"),
    "warn": "warning",
    "info": "info",
    "debug": "debug",
}
"""calicoctl's levels, and ours."""

SPELLINGS = {("get", "all_namespaces"): ("-a",)}
"""Command and parameter to further spellings of the option."""

FAILURE = 1
"""The one exit code for everything that is not right."""

REPORTER = "tortie.cli.calicoctl_report:CalicoctlReporter"
"""Who speaks for the commands that write; loaded by them."""


class Personality(Group):
    """Commands with the options that all of calicoctl's have, and its exit codes."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, as calicoctl's users call it."""
        command = super().get_command(ctx, cmd_name)
        return None if command is None else spelt(command, ctx.command_path)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """As click does; a call that is wrong ends as every failure does."""
        with _one_code():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, in calicoctl's words."""
        ctx.meta[PERSONALITY], ctx.meta[PROGRAM] = REPORTER, ctx.command_path
        with _one_code():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_code() -> Iterator[None]:
    """Every failure ends with the same code."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(FAILURE)
    except SystemExit as error:
        sys.exit(FAILURE if error.code else 0)


def global_options() -> Iterator[click.Option]:
    """Options that stand before or after any word; all but the first mean nothing here."""
    yield click.Option(
        ["-l", "--log-level"],
        type=click.Choice(list(LOG_LEVELS)),
        callback=lambda context, parameter, value: show_logs(LOG_LEVELS[value]) if value else None,
        help="Logs on standard error too, of this level and above.",
        expose_value=False,
        metavar="LEVEL",
    )
    yield click.Option(
        ["--context"], help="Accepted: there is one cluster, the one of the datastore.", expose_value=False
    )
    yield click.Option(
        ["--allow-version-mismatch"], is_flag=True, help="Accepted: no version is refused.", expose_value=False
    )


def spelt(command: click.Command, program: str = "calicoctl") -> click.Command:
    """A command, and those under it, with calicoctl's options in place of ours of the same letter.

    Args:
        program: how people call it, for examples.
    """
    command = copy.copy(command)
    command.help = (command.help or "").replace(" tortie ", f" {program} ").replace("`tortie ", f"`{program} ")
    added = list(global_options())
    taken = {spelling for option in added for spelling in option.opts}
    command.params = [
        _freed(param, taken, SPELLINGS.get((command.name or "", param.name or ""), ())) for param in command.params
    ]
    command.params = [*(param for param in command.params if param.opts), *added]
    if isinstance(command, click.Group):
        command.commands = {name: spelt(inner, program) for name, inner in command.commands.items()}
    return command


def _freed(param: click.Parameter, taken: set[str], more: Sequence[str]) -> click.Parameter:
    if not isinstance(param, click.Option):
        return param
    param = copy.copy(param)
    param.opts = [spelling for spelling in param.opts if spelling not in taken] + list(more)
    if param.callback is not None and param.name == "output":
        param.callback = _with_tables(param.callback)
    return param


def _with_tables(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The callback of `get -o`, for which calicoctl has tables of its own."""

    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        # Tables are for get alone.
        from tortie.cli.calicoctl_tables import table_option

        return table_option(value, lambda: callback(context, parameter, value))

    return read


@click.group(
    cls=Personality,
    commands_by_name=COMMANDS,
    params=[*global_options(), *location_options()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s", help="Show the version, and end.")
def calicoctl() -> None:
    """Manage network and security policy, endpoints, addresses and nodes, as calicoctl does."""
