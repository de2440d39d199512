"""`tortie label` and `annotate`: labels and annotations of stored resources set and removed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import msgspec

from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.completing import complete_words
from tortie.cli.connection import or_exit, with_location, with_store
from tortie.cli.fulfil import fulfil_in
from tortie.cli.labels import label_selector
from tortie.cli.manifests import complete
from tortie.cli.options import DryRunCommand, dry_run_option, namespace_option, selector_option, written_option
from tortie.cli.origin import force_option, why_option
from tortie.cli.plan import Wish
from tortie.cli.report import Showing, reporter, tell_unmatched
from tortie.cli.selection import Selection, selection
from tortie.cli.writing import Outcomes
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore
from tortie.selector.selector import Selector

FIELDS = {"label": "labels", "annotate": "annotations"}
"""Verb to the field of metadata that it changes."""


class Change(msgspec.Struct, frozen=True):
    """What to do to labels or annotations.

    Args:
        field: `labels` or `annotations`.
        values: by key; None removes.
        overwrite: another value may be there already.
        strict: a key to remove must be there.
    """

    field: str
    values: dict[str, str | None]
    overwrite: bool = False
    strict: bool = False

    def of(self, stored: Resource) -> Resource:
        """The resource with the change.

        Raises:
            InvalidResource: a key is there that may not be overwritten, or not there; or a value is not valid.
        """
        before: dict[str, str] = getattr(stored.metadata, self.field)
        problems = list(self._problems(stored.key, before))
        if problems:
            raise InvalidResource(*problems)
        merged = {**before, **self.values}
        kept = {key: value for key, value in merged.items() if value is not None}
        metadata = msgspec.structs.replace(stored.metadata, **{self.field: kept})
        return complete(msgspec.structs.replace(stored, metadata=metadata))

    def _problems(self, object: ResourceKey, before: Mapping[str, str]) -> Sequence[Problem]:
        found = []
        for key, value in self.values.items():
            path = f"metadata.{self.field}[{key}]"
            if value is None and key not in before and self.strict:
                found.append(Problem(str(object), path, "cannot be removed, since it does not exist"))
            elif value is not None and before.get(key, value) != value and not self.overwrite:
                problem = f"is already present, as {before[key]!r}"
                found.append(Problem(str(object), path, problem, "set a new value with --overwrite"))
        return found


def _marking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    decorators = (
        click.argument(
            "words", nargs=-1, required=True, metavar="KIND NAME... KEY=VALUE... KEY-...", shell_complete=complete_words
        ),
        click.option("--overwrite", is_flag=True, help="Change values that are there already."),
        click.option("--remove", is_flag=True, help="Remove the keys, which stand without a value."),
        selector_option,
        click.option("--all", "everything", is_flag=True, help="All of the kind, in the namespace."),
        click.option("-A", "--all-namespaces", is_flag=True, help="With --all or -l: of every namespace."),
        namespace_option,
        dry_run_option,
        written_option,
        why_option,
        force_option,
        with_location,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.command(cls=DryRunCommand)
@_marking_options
def label(**options: Any) -> None:
    """Set labels (KEY=VALUE), or remove them (KEY-, or KEY --remove).

    \b
      tortie label nodes node1 rack=a1
      tortie label node/node1 node/node2 rack-
      tortie label networksets -l team=web tier=front --overwrite
    """
    _mark("label", **options)


@click.command(cls=DryRunCommand)
@_marking_options
def annotate(**options: Any) -> None:
    """Set annotations (KEY=VALUE), or remove them (KEY-, or KEY --remove).

    \b
      tortie annotate node node1 owner=alice
      tortie annotate networkpolicy db -n shop reviewed-
    """
    _mark("annotate", **options)


def _mark(
    verb: str,
    *,
    words: tuple[str, ...],
    overwrite: bool,
    remove: bool,
    selector: str | None,
    everything: bool,
    all_namespaces: bool,
    namespace: str,
    dry_run: str,
    output: str | None,
    location: Location,
) -> None:
    if dry_run == "client":
        raise click.UsageError("what this gives depends on what is stored: use --dry-run=server")
    objects, marks = split(words, remove=remove, unnamed=bool(selector or everything))
    values = _values(marks, remove)
    if not values:
        raise click.UsageError(f"name the {FIELDS[verb]}: KEY=VALUE to set, KEY- to remove")
    wanted = or_exit(lambda: selection(objects, namespace, all_namespaces))
    if wanted.keys is None and not (selector or everything):
        raise click.UsageError(f"name which {objects[0]}, or choose them with -l SELECTOR or --all")
    change = Change(FIELDS[verb], values, overwrite, strict=remove)
    showing = Showing(verb, output or "", dry_run, asked=" ".join(objects).replace("/", " "), values=values)
    labels = label_selector(selector) if selector else None
    outcomes = with_store(location, lambda store: _carry_out(store, showing, wanted, labels, change))
    if wanted.keys is None:
        tell_unmatched(outcomes)
    if code := reporter().finish(showing, outcomes):
        sys.exit(code)


def split(words: Sequence[str], *, remove: bool, unnamed: bool) -> tuple[list[str], list[str]]:
    """The words that name objects, and those that name labels.

    Args:
        remove: labels are named without a value, so that only their place tells them.
        unnamed: only a kind is given.
    """
    if remove:
        count = 1 if unnamed or "/" in words[0] else 2
    else:
        marks = (index for index, word in enumerate(words) if "=" in word or word.endswith("-"))
        count = next(marks, len(words))
    if count == 0:
        raise click.UsageError("name a kind and an object first")
    return list(words[:count]), list(words[count:])


def _values(marks: Sequence[str], remove: bool) -> dict[str, str | None]:
    """What is to become of each key; None removes it."""
    values: dict[str, str | None] = {}
    for mark in marks:
        key, value = _value(mark, remove)
        if values.setdefault(key, value) != value:
            raise click.UsageError(f"{key!r} cannot be {_wished(values[key])} and {_wished(value)}: say one of them")
    return values


def _wished(value: str | None) -> str:
    return "removed" if value is None else f"{value!r}"


def _value(mark: str, remove: bool) -> tuple[str, str | None]:
    key, equals, value = mark.partition("=")
    if equals:
        return key, value
    if remove or mark.endswith("-"):
        return mark.removesuffix("-"), None
    raise click.UsageError(f"{mark!r} says neither KEY=VALUE nor KEY-")


async def _carry_out(
    store: ResourceStore, showing: Showing, wanted: Selection, labels: Selector | None, change: Change
) -> Outcomes:
    keys = wanted.keys
    if keys is None:
        found = [one for kind in wanted.kinds for one in await store.list(kind, wanted.namespace)]
        keys = tuple(one.key for one in found if labels is None or labels.matches(one.metadata.labels))
    return await fulfil_in(store, showing, [_wish(key, change) for key in keys])


def _wish(key: ResourceKey, change: Change) -> Wish:
    def make(stored: Resource | None) -> Resource:
        assert stored is not None, "a wish that may not create is given what is stored"
        return change.of(stored)

    return Wish(key, make, may_create=False)
