"""`tortie apply`, `get` and `delete`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tortie.api.codec import to_mapping
from tortie.api.kinds import find_kind
from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import NotFound, TortieError
from tortie.cli.columns import table
from tortie.cli.connection import FAILED, USAGE, or_exit, with_location, with_store
from tortie.cli.manifests import read_manifests
from tortie.cli.options import input_options, namespace_option
from tortie.cli.output import Format, aligned, complain, say, structured
from tortie.datastore.location import Location
from tortie.datastore.resources import ResourceStore


@click.command()
@input_options
@with_location
def apply(filename: tuple[Path, ...], namespace: str, recursive: bool, location: Location) -> None:
    """Create resources, or change them to what a file says. Nothing is written unless everything is valid."""
    if not filename:
        complain("name what to apply: tortie apply -f FILE")
        sys.exit(USAGE)
    manifests = or_exit(lambda: read_manifests(filename, namespace, recursive))
    for warning in manifests.warnings:
        complain(f"warning: {warning}")
    if not manifests.resources:
        complain("there is nothing to apply in " + ", ".join(map(str, filename)))
        sys.exit(FAILED)

    async def work(store: ResourceStore) -> None:
        await store.ensure_initialized()
        for resource in manifests.resources:
            applied = await store.apply(resource)
            say(f"{_shown(applied.resource.key)} {applied.outcome}")

    with_store(location, work, create=True)


@click.command()
@click.argument("kind")
@click.argument("names", nargs=-1)
@click.option("-o", "--output", type=click.Choice(Format, case_sensitive=False), help="How to show it.")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@with_location
def get(
    kind: str, names: tuple[str, ...], output: Format | None, namespace: str, all_namespaces: bool, location: Location
) -> None:
    """Show resources."""
    resource_type = or_exit(lambda: find_kind(kind))
    scope = namespace if resource_type.namespaced and not all_namespaces else None
    found = with_store(location, lambda store: _find(store, resource_type, names, scope))
    if output in (Format.YAML, Format.JSON):
        say(structured(_document(found, single=len(names) == 1), output))
    elif not found:
        complain(f"no {resource_type.plural} found" + (f" in namespace {scope}" if scope else ""))
    else:
        say(aligned(*table(resource_type, found, wide=output is Format.WIDE)))


@click.command()
@click.argument("kind", required=False)
@click.argument("names", nargs=-1)
@input_options
@click.option("-s", "--skip-not-exists", is_flag=True, help="Absence is no error.")
@with_location
def delete(
    kind: str | None,
    names: tuple[str, ...],
    filename: tuple[Path, ...],
    namespace: str,
    recursive: bool,
    skip_not_exists: bool,
    location: Location,
) -> None:
    """Delete resources by kind and name, or those that a file names."""
    if filename:
        manifests = or_exit(lambda: read_manifests(filename, namespace, recursive))
        keys = [resource.key for resource in reversed(manifests.resources)]
    elif kind and names:
        resource_type = or_exit(lambda: find_kind(kind))
        scope = namespace if resource_type.namespaced else ""
        keys = [ResourceKey(resource_type.kind, scope, name) for name in names]
    else:
        complain("name what to delete: tortie delete KIND NAME, or tortie delete -f FILE")
        sys.exit(USAGE)
    if not with_store(location, lambda store: _delete(store, keys, skip_not_exists)):
        sys.exit(FAILED)


async def _find(
    store: ResourceStore, kind: type[Resource], names: Sequence[str], namespace: str | None
) -> list[Resource]:
    if not names:
        return list(await store.list(kind.kind, namespace))
    found = []
    for name in names:
        key = ResourceKey(kind.kind, namespace or "", name)
        resource = await store.get(key)
        if resource is None:
            raise NotFound(str(key))
        found.append(resource)
    return found


async def _delete(store: ResourceStore, keys: Sequence[ResourceKey], skip_not_exists: bool) -> bool:
    """Delete all that can be; false when one could not."""
    done = True
    for key in keys:
        try:
            await store.delete(key)
            say(f"{_shown(key)} deleted")
        except NotFound as error:
            done = done and skip_not_exists
            if not skip_not_exists:
                complain(str(error))
        except TortieError as error:
            done = False
            complain(str(error))
    return done


def _document(found: Sequence[Resource], *, single: bool) -> dict[str, Any]:
    if single and len(found) == 1:
        return to_mapping(found[0])
    return {"apiVersion": "projectcalico.org/v3", "kind": "List", "items": [to_mapping(one) for one in found]}


def _shown(key: ResourceKey) -> str:
    name = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return f"{key.kind.lower()} {name}"
