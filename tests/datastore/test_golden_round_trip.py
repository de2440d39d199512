"""Every resource, with every field set, survives: file, datastore, file again, and again.

The manifests are those of `golden/`, whole and with any part left out. Objects of Kubernetes that are
kept have hardly any rules: theirs are made from their structs.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import settings
from msgspec import inspect

from tortie.api import codec
from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource
from tortie.api.validation import problems
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource
from tortie.cli.yaml_text import to_yaml
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.keys import resource_key
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

FOLDER = Path(__file__).parent / "golden"
STORED_KINDS = sorted(kind for kind, resource in KINDS.items() if resource.api_version == API_VERSION)
KEPT_KINDS = sorted(KINDS.keys() - STORED_KINDS)
Field = tuple[type, str]

ANY = {inspect.StrType: "x", inspect.IntType: 7, inspect.BoolType: True}
RULED = {
    "addresses": ["10.0.0.1"],
    "addressType": "IPv4",
    "externalIPs": ["192.0.2.1"],
    "labels": {"a": "b"},
    "lastTransitionTime": "2026-08-23T09:00:00Z",
    "protocol": "SCTP",
    "selector": {"a": "b"},
    "type": "NodePort",
}
"""Fields of Kubernetes objects that hold no more than some values."""


def made(node: inspect.Type) -> Any:
    """A plain value of a type, with every field set."""
    match node:
        case inspect.StructType():
            return {
                field.encode_name: RULED.get(field.encode_name) or made(field.type)
                for field in node.fields
                if field.name != "metadata"
            }
        case inspect.UnionType():
            return made(next(part for part in node.types if not isinstance(part, inspect.NoneType)))
        case inspect.VarTupleType():
            return [made(node.item_type)]
        case inspect.DictType():
            return {"k": "v"}
    return ANY[type(node)]


def manifests(kind: str) -> list[dict[str, Any]]:
    if kind in KEPT_KINDS:
        metadata = {"name": "x", "namespace": "a", "labels": {"a": "b"}, "annotations": {"a": "b"}}
        envelope = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata}
        return [envelope | made(inspect.type_info(KINDS[kind]))]
    sections = (FOLDER / f"{kind}.txt").read_bytes().decode().removeprefix("## ").split("\n## ")
    return [yaml.load(section.partition("\n")[2].partition("\n-- etcd\n")[0], yaml.CSafeLoader) for section in sections]


EVERY_MANIFEST = [one for kind in (*STORED_KINDS, *KEPT_KINDS) for one in manifests(kind)]
EACH = pytest.mark.parametrize("manifest", EVERY_MANIFEST, ids=lambda one: one["kind"])
SPELLINGS: dict[str, Callable[[Any], str]] = {
    "yaml": to_yaml,
    "json": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    "ascii": json.dumps,
}


def read(text: str) -> Resource:
    (document,) = read_documents(text)
    return load_resource(document)


async def opened(datastore: Datastore) -> ResourceStore:
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    await store.ensure_initialized()
    for neighbour in (
        "{kind: Tier, apiVersion: projectcalico.org/v3, metadata: {name: ops}}",
        "{kind: BGPFilter, apiVersion: projectcalico.org/v3, metadata: {name: no-default}}",
        "{kind: BGPFilter, apiVersion: projectcalico.org/v3, metadata: {name: tag}}",
    ):
        await store.create(read(neighbour))
    return store


@EACH
async def test_what_is_shown_can_be_applied_again_and_changes_nothing(manifest: dict[str, Any]) -> None:
    datastore = EmbeddedDatastore.open_memory()
    await comes_back(await opened(datastore), datastore, manifest)
    await datastore.close()


async def test_what_is_shown_of_an_etcd_can_be_applied_again_and_changes_nothing(etcd: Any) -> None:
    datastore = await EtcdDatastore.open(EtcdSettings(endpoints=[etcd.url]))
    store = await opened(datastore)
    for manifest in EVERY_MANIFEST:
        key = await comes_back(store, datastore, manifest)
        if manifest["kind"] not in ("Tier", "BGPFilter"):
            await datastore.delete(key)
    await datastore.close()


async def comes_back(store: ResourceStore, datastore: Datastore, manifest: dict[str, Any]) -> str:
    """Apply a manifest, and what is shown of it, in every spelling: nothing changes. Gives its key."""
    applied = await store.apply(read(json.dumps(manifest)))
    key = resource_key(applied.resource.key)
    before = await datastore.get(key)
    for spelling in SPELLINGS.values():
        shown = await store.get(applied.resource.key)
        assert shown == applied.resource
        again = await store.apply(read(spelling(codec.to_mapping(shown))))
        assert (again.outcome, again.resource) == ("unchanged", applied.resource)
    assert await datastore.get(key) == before
    return key


@EACH
def test_any_part_of_it_survives_too(manifest: dict[str, Any]) -> None:
    for seed in range(max(1, settings.default.max_examples // 5)):
        part = thinned(copy.deepcopy(manifest), random.Random(seed))
        with contextlib.suppress(InvalidResource):
            resource = with_defaults(read(json.dumps(part)))
            if not problems(resource, selector_problem):
                survives(resource)


def survives(resource: Resource) -> None:
    assert with_defaults(resource) == resource
    stored = codec.encode(resource)
    assert codec.encode(codec.decode(resource.kind, stored)) == stored
    for spelling in SPELLINGS.values():
        assert codec.encode(with_defaults(read(spelling(codec.to_mapping(resource))))) == stored


def thinned(value: Any, chance: random.Random) -> Any:
    """Plain data without some of its parts, the names that make it an object aside."""
    if isinstance(value, list):
        return [thinned(inner, chance) for inner in value if chance.random() > 0.15]
    if isinstance(value, dict):
        kept = ("kind", "apiVersion", "metadata", "name", "namespace", "spec")
        return {
            name: inner if name in kept[:2] else thinned(inner, chance)
            for name, inner in value.items()
            if name in kept or chance.random() > 0.15
        }
    return value


def fields_of(node: inspect.Type) -> Iterator[Field]:
    """Every field of every struct inside a type."""
    match node:
        case inspect.StructType():
            for field in node.fields:
                yield node.cls, field.name
                yield from fields_of(field.type)
        case inspect.UnionType():
            for part in node.types:
                yield from fields_of(part)
        case inspect.VarTupleType():
            yield from fields_of(node.item_type)


def set_fields(value: Any) -> Iterator[Field]:
    """Every field inside a value that holds anything but its own absence."""
    if isinstance(value, tuple):
        for item in value:
            yield from set_fields(item)
    elif isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            inner = getattr(value, field.name)
            if inner not in (None, "", (), {}) and inner != field.default:
                yield type(value), field.name
            yield from set_fields(inner)


@pytest.mark.parametrize("kind", [*STORED_KINDS, *KEPT_KINDS])
def test_every_field_of_every_struct_is_set_somewhere(kind: str) -> None:
    known = {
        found
        for field in msgspec.structs.fields(KINDS[kind])
        if field.name != "metadata"
        for found in fields_of(inspect.type_info(field.type))
    }
    given = {found for one in manifests(kind) for found in set_fields(read(json.dumps(one)))}
    assert known - given == set()
