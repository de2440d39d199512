"""The values of `-o`: which there are, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from tortie.base.errors import TortieError
from tortie.cli.output import Format
from tortie.cli.printers import (
    CustomColumns,
    NamePrinter,
    Printer,
    StructuredPrinter,
    TableOptions,
    TablePrinter,
    TemplatePrinter,
)

Function = TypeVar("Function", bound=Callable[..., Any])
PrinterMaker = Callable[[TableOptions], Printer]
Maker = Callable[[TableOptions, str], Printer]


def _table(wide: bool) -> Maker:
    return lambda options, _: TablePrinter(msgspec.structs.replace(options, wide=wide))


def _jsonpath(options: TableOptions, template: str) -> Printer:
    # Templates are seldom asked for, and not loaded otherwise.
    from tortie.cli.jsonpath import render
    from tortie.cli.jsonpath_syntax import parse_path, parse_template

    parts = parse_template(template) if "{" in template else (parse_path(template),)
    return TemplatePrinter(options, lambda data: render(parts, data))


def _go_template(options: TableOptions, template: str) -> Printer:
    from tortie.cli.gotemplate import parse_go_template

    return TemplatePrinter(options, parse_go_template(template))


PLAIN: dict[str, Maker] = {
    "ps": _table(wide=False),
    "wide": _table(wide=True),
    "yaml": lambda options, _: StructuredPrinter(options, Format.YAML),
    "json": lambda options, _: StructuredPrinter(options, Format.JSON),
    "name": lambda options, _: NamePrinter(),
}
"""Values that stand alone."""

WITH_ARGUMENT: dict[str, Maker] = {
    "jsonpath": _jsonpath,
    "custom-columns": CustomColumns,
    "go-template": _go_template,
}
"""Values that take a text after `=`, or a file's content after `-file=`."""

WORDS = (*PLAIN, *(f"{name}{file}=" for name in WITH_ARGUMENT for file in ("", "-file")))


def output_option(function: Function) -> Function:
    """`-o`; the command gets `output`, which makes the printer, or None for the table."""
    return click.option(
        "-o",
        "--output",
        metavar="FORMAT",
        callback=_maker,
        shell_complete=_complete,
        help=f"How to show it: {', '.join(WORDS)}.",
    )(function)


def _maker(context: click.Context, parameter: click.Parameter, value: str | None) -> PrinterMaker | None:
    """What makes the printer of a value; its argument is read and checked at once."""
    if value is None:
        return None
    word, given, argument = value.partition("=")
    if word.lower() in PLAIN and not given:
        return lambda options: PLAIN[word.lower()](options, "")
    name = word.removesuffix("-file")
    if name not in WITH_ARGUMENT:
        raise click.BadParameter(_unknown(word))
    if not argument:
        raise click.BadParameter(f"{word} needs an argument, as in {EXAMPLES[name]}")
    try:
        text = argument if word == name else Path(argument).read_text()
        WITH_ARGUMENT[name](TableOptions(), text)
    except OSError as error:
        raise click.BadParameter(f"{argument}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{argument}: is not text: {error.reason} at byte {error.start}") from error
    except TortieError as error:
        raise click.BadParameter(str(error)) from error
    return lambda options: WITH_ARGUMENT[name](options, text)


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [word for word in WORDS if word.startswith(incomplete)]


EXAMPLES = {
    "jsonpath": "jsonpath='{.items[*].metadata.name}'",
    "custom-columns": "custom-columns=NAME:.metadata.name,TIER:.spec.tier",
    "go-template": "go-template='{{range .items}}{{.metadata.name}}{{\"\\n\"}}{{end}}'",
}


MEANINGS = {
    "ps": "the table, as without `-o`",
    "wide": "the table with all columns, nothing cut",
    "yaml": "the object, or a list of objects, as `tortie apply` takes it again",
    "json": "the same in JSON",
    "name": "`kind/name`, a line each",
    "jsonpath=TEMPLATE": "what a template of kubectl's JSONPath gives: `{range .items[*]}{.metadata.name}{end}`",
    "jsonpath-file=FILE": "the same, the template in a file",
    "custom-columns=COLUMNS": "a table of `HEADING:PATH,…`; a heading alone is that column of the kind's own table",
    "custom-columns-file=FILE": "the same from a file: headings in one line, paths below them",
    "go-template=TEMPLATE": "what a Go template gives: fields, range, if, with, variables, printf, join and the like",
    "go-template-file=FILE": "the same, the template in a file",
}
"""Every value of `-o`, and what it shows."""


def _unknown(word: str) -> str:
    near = get_close_matches(word.lower(), [known.rstrip("=") for known in WORDS], n=1)
    hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(PLAIN)}, {', '.join(WITH_ARGUMENT)}"
    return f"{word!r} is not a format; {hint}"
