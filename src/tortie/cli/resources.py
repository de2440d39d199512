"""`tortie apply`, `get` and `delete`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tortie.api.codec import to_mapping
from tortie.api.kinds import find_kind
from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import NotFound, TortieError
from tortie.cli.columns import table
from tortie.cli.connection import DEFAULT_DATASTORE, or_exit, with_store
from tortie.cli.manifests import read_manifests
from tortie.cli.output import Format, aligned, complain, say, structured
from tortie.datastore.resources import ResourceStore

DatastoreOption = Annotated[
    Path, typer.Option("--datastore", envvar="TORTIE_DATASTORE", help="File of the embedded datastore.")
]
FileOption = Annotated[
    list[Path] | None, typer.Option("-f", "--filename", help="File, folder, or - for standard input; repeatable.")
]
NamespaceOption = Annotated[str, typer.Option("-n", "--namespace", help="Namespace of what names none.")]
RecursiveOption = Annotated[bool, typer.Option("-R", "--recursive", help="Folders within folders too.")]


def apply(
    filename: FileOption = None,
    namespace: NamespaceOption = "default",
    recursive: RecursiveOption = False,
    datastore: DatastoreOption = DEFAULT_DATASTORE,
) -> None:
    """Create resources, or change them to what a file says. Nothing is written unless everything is valid."""
    if not filename:
        complain("name what to apply: tortie apply -f FILE")
        raise typer.Exit(2)
    manifests = or_exit(lambda: read_manifests(filename, namespace, recursive))
    for warning in manifests.warnings:
        complain(f"warning: {warning}")
    if not manifests.resources:
        complain("there is nothing to apply in " + ", ".join(map(str, filename)))
        raise typer.Exit(1)

    async def work(store: ResourceStore) -> None:
        await store.ensure_initialized()
        for resource in manifests.resources:
            applied = await store.apply(resource)
            say(f"{_shown(applied.resource.key)} {applied.outcome}")

    with_store(datastore, work, create=True)


def get(
    kind: Annotated[str, typer.Argument(help="Kind, plural or short name, such as networkpolicy, nodes, wep.")],
    names: Annotated[list[str] | None, typer.Argument(help="Names; all when none is given.")] = None,
    output: Annotated[Format | None, typer.Option("-o", "--output", help="How to show it.")] = None,
    namespace: NamespaceOption = "default",
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="Of every namespace.")] = False,
    datastore: DatastoreOption = DEFAULT_DATASTORE,
) -> None:
    """Show resources."""
    resource_type = or_exit(lambda: find_kind(kind))
    scope = namespace if resource_type.namespaced and not all_namespaces else None
    found = with_store(datastore, lambda store: _find(store, resource_type, names or [], scope))
    if output in (Format.YAML, Format.JSON):
        say(structured(_document(found, single=bool(names) and len(names or ()) == 1), output))
    elif not found:
        complain(f"no {resource_type.plural} found" + (f" in namespace {scope}" if scope else ""))
    else:
        say(aligned(*table(resource_type, found, wide=output is Format.WIDE)))


def delete(
    kind: Annotated[str | None, typer.Argument(help="Kind, plural or short name.")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Names.")] = None,
    filename: FileOption = None,
    namespace: NamespaceOption = "default",
    recursive: RecursiveOption = False,
    skip_not_exists: Annotated[bool, typer.Option("-s", "--skip-not-exists", help="Absence is no error.")] = False,
    datastore: DatastoreOption = DEFAULT_DATASTORE,
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
        raise typer.Exit(2)
    if not with_store(datastore, lambda store: _delete(store, keys, skip_not_exists)):
        raise typer.Exit(1)


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
