"""`tortie completion`: the scripts by which shells complete its words."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from tortie.cli.connection import USAGE
from tortie.cli.output import complain, say

SHELLS = ("bash", "zsh", "fish")

VARIABLE = "_TORTIE_COMPLETE"
"""The environment variable by which a shell asks for completions."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options, kinds, names, namespaces and files.

    \b
      source <(tortie completion bash)
      tortie completion zsh > "${fpath[1]}/_tortie"
      tortie completion fish > ~/.config/fish/completions/tortie.fish
    """
    script = get_completion_class(shell)
    root = context.find_root()
    if script is None:
        complain(f"there is no completion for {shell}")
        sys.exit(USAGE)
    say(script(root.command, {}, root.info_name or "tortie", VARIABLE).source())
