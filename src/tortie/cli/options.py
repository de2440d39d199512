"""Options that several commands share, spelt once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tortie.cli.output import Format

Function = TypeVar("Function", bound=Callable[..., Any])

namespace_option = click.option(
    "-n", "--namespace", default="default", show_default=True, help="Namespace of what names none."
)
structured_option = click.option(
    "-o",
    "--output",
    type=click.Choice([Format.YAML, Format.JSON], case_sensitive=False),
    help="How to show it.",
)


def input_options(function: Function) -> Function:
    """`-f`, `-n` and `-R`: which files hold the resources."""
    filename = click.option(
        "-f",
        "--filename",
        type=click.Path(path_type=Path),
        multiple=True,
        help="File, folder, or - for standard input; repeatable.",
    )
    recursive = click.option("-R", "--recursive", is_flag=True, help="Folders within folders too.")
    return filename(recursive(namespace_option(function)))
