"""A group of commands, each loaded when it is used: a short command starts without what the others need."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""


class Group(click.Group):
    """A click group with commands that stand in other modules.

    Args:
        commands_by_name: name of a command to `module:attribute`.
        summaries: name to the first sentence of its help; where given, lists of commands load none of them.
    """

    def __init__(
        self,
        *args: Any,
        commands_by_name: Mapping[str, str] | None = None,
        summaries: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self._summaries = dict(summaries or {})
        self._by_name = dict(commands_by_name or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the table, then those defined in place."""
        return [*self._by_name, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, loaded now; None when there is none."""
        place = self._by_name.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, attribute = place.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does."""
        if not self._summaries:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click does."""
        from click.shell_completion import CompletionItem  # for those who press a key only

        if not self._summaries:
            return super().shell_complete(ctx, incomplete)
        words = [(name, text) for name, text in self._summaries.items() if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=text) for name, text in words),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; an option that is none of the group may be one of the command behind it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            where = f"options of a command stand behind it: {ctx.command_path} COMMAND {error.option_name} …"
            raise click.UsageError(f"{error.format_message()} ({where})", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; what is interrupted ends as a shell expects it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest names for a word that is no command."""
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.list_commands(ctx), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; see {ctx.command_path} --help"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)
