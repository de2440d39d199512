"""`tortie wait`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import click
import msgspec

from tortie.api.codec import to_mapping
from tortie.api.durations import SECOND, nanoseconds
from tortie.api.resource import Resource, ResourceKey
from tortie.cli.completing import complete_words
from tortie.cli.connection import FAILED, or_exit, with_datastore, with_location
from tortie.cli.following import prefixes_of, stream_of
from tortie.cli.jsonpath import find, shown
from tortie.cli.jsonpath_syntax import InvalidTemplate, parse_path
from tortie.cli.options import namespace_option
from tortie.cli.output import complain, say
from tortie.cli.personality import program
from tortie.cli.selection import Selection, selection
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location

Holds = Callable[[Resource | None], bool]
"""Whether what is waited for is the case, given an object, or None when there is none."""


class Condition(msgspec.Struct, frozen=True):
    """What is waited for.

    Args:
        words: how things are when it is so.
        holds: whether it is so.
        otherwise: how things are, when it is not so.
    """

    words: str
    holds: Holds
    otherwise: Callable[[Resource | None], str]


def _condition(context: click.Context, parameter: click.Parameter, text: str) -> Condition:
    """What `--for` says."""
    if text == "delete":
        return Condition("deleted", lambda resource: resource is None, lambda _: "is still there")
    if text == "create":
        return Condition("created", lambda resource: resource is not None, lambda _: "does not exist")
    word, _, rest = text.partition("=")
    if word == "condition" and rest:
        return _status_condition(*rest.partition("=")[::2])
    if word != "jsonpath" or not rest:
        example = "jsonpath='{.spec.order}'=100, condition=Ready"
        raise click.BadParameter(f"{text!r} is none of delete, create, {example}")
    # What a field is compared with comes after the braces, which may hold signs of equality themselves.
    end = rest.rfind("}=") + 1 if rest.startswith("{") else rest.find("=")
    if end <= 0:
        return _field_condition(rest, None)
    return _field_condition(rest[:end], rest[end + 1 :].strip("'\""))


def _status_condition(type: str, wanted: str) -> Condition:
    """That one of the conditions in the status has a value, True when none is given."""
    wanted = wanted or "True"

    def value(resource: Resource | None) -> str:
        conditions = getattr(getattr(resource, "status", None), "conditions", ())
        return next((one.status for one in conditions if one.type.lower() == type.lower()), "")

    def otherwise(resource: Resource | None) -> str:
        if resource is None:
            return "does not exist"
        found = value(resource)
        return f"condition {type} is {found}, not {wanted}" if found else f"has no condition {type}"

    return Condition(
        f"condition {type} is {wanted}", lambda resource: value(resource).lower() == wanted.lower(), otherwise
    )


def _field_condition(text: str, wanted: str | None) -> Condition:
    """That a field is there, or has a value."""
    try:
        path = parse_path(text)
    except InvalidTemplate as error:
        raise click.BadParameter(str(error)) from error
    name = text.removeprefix("{").removesuffix("}")

    def values(resource: Resource | None) -> list[str]:
        return [] if resource is None else [shown(value) for value in find(path, to_mapping(resource))]

    def otherwise(resource: Resource | None) -> str:
        if resource is None:
            return "does not exist"
        found = ", ".join(values(resource))
        return f"{name} is {found}, not {wanted}" if found else f"{name} has no value"

    if wanted is None:
        return Condition(f"{name} is there", lambda resource: bool(values(resource)), otherwise)
    return Condition(f"{name} is {wanted}", lambda resource: wanted in values(resource), otherwise)


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float | None:
    """How long to wait; None for ever."""
    if text.startswith("-"):
        return None
    duration = nanoseconds(text if not text.isdigit() else f"{text}s")
    if duration is None:
        raise click.BadParameter(f"{text!r} is not a duration, such as 30s or 1m30s")
    return duration / SECOND


@click.command()
@click.argument("words", metavar="KIND NAME... | KIND/NAME...", nargs=-1, required=True, shell_complete=complete_words)
@click.option(
    "--for",
    "condition",
    metavar="CONDITION",
    required=True,
    callback=_condition,
    help="delete, create, jsonpath=PATH[=VALUE]: a field that is there, or has a value; or condition=TYPE[=STATUS].",
)
@click.option(
    "--timeout",
    metavar="DURATION",
    default="30s",
    show_default=True,
    callback=_seconds,
    help="How long; 0 looks once, a negative one waits for ever.",
)
@namespace_option
@with_location
def wait(
    words: tuple[str, ...], condition: Condition, timeout: float | None, namespace: str, location: Location
) -> None:
    """Wait until resources are as they should be; status 1 when the time is up before.

    \b
      tortie wait np/allow-web -n shop --for=create
      tortie wait node h3 --for=delete --timeout=2m
      tortie wait ippool/pool1 --for=jsonpath='{.spec.disabled}'=true
    """
    wanted = or_exit(lambda: selection(words, namespace))
    if wanted.keys is None:
        raise click.UsageError(f"name what to wait for, as in: {program()} wait tier/security --for=create")
    left = with_datastore(location, lambda datastore: _wait(datastore, wanted, condition, timeout))
    for key, resource in left.items():
        complain(f"{key}: {condition.otherwise(resource)}" + (f", after {timeout:g} s" if timeout else ""))
    if left:
        sys.exit(FAILED)


async def _wait(
    datastore: Datastore, wanted: Selection, condition: Condition, timeout: float | None
) -> dict[ResourceKey, Resource | None]:
    """Wait for all objects; returns those for which it was in vain, as they are."""
    await datastore.get(prefixes_of(wanted)[0])  # who asks for the first time is told at once that nobody answers
    waiting: dict[ResourceKey, Resource | None] = dict.fromkeys(wanted.keys or ())
    following = asyncio.create_task(_follow(datastore, wanted, condition, waiting, once=timeout == 0))
    await asyncio.wait([following], timeout=timeout or None)
    if following.done():
        following.result()
    else:
        following.cancel()
        await asyncio.wait([following])
    return waiting


async def _follow(
    datastore: Datastore,
    wanted: Selection,
    condition: Condition,
    waiting: dict[ResourceKey, Resource | None],
    *,
    once: bool,
) -> None:
    """Take each object that is as it should be out of `waiting`, until none is left; the others are kept up to date."""
    stream = stream_of(datastore, wanted)
    present: dict[ResourceKey, Resource] = {}
    async for batch in stream.batches():
        for change in batch.changes:
            present.pop(change.key, None)
            if isinstance(change.value, Resource):
                present[change.key] = change.value
        if not batch.in_sync:
            continue
        for key in list(waiting):
            waiting[key] = present.get(key)
            if key not in stream.rejected and condition.holds(present.get(key)):
                del waiting[key]
                say(f"{key}: {condition.words}")
        if once or not waiting:
            return
