"""What is stored is byte for byte what other writers of the datastore store.

The files in `golden/` were written by hand from the published layout, not by this code. Each section
is a manifest as a person writes it, then the key and the value that etcd must hold for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import inspect

from tortie.api import codec
from tortie.api.documents import load_resource, read_documents
from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource
from tortie.base.clock import SystemClock
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.keys import parse_key, parse_resource_key, resource_key, stored_key
from tortie.datastore.resources import ResourceStore
from tortie.datastore.values import decode_resource, decode_stored
from tortie.selector.check import selector_problem

FOLDER = Path(__file__).parent / "golden"
NOW = 1787475600.0
"""2026-08-23T09:00:00Z, when everything in the files was made."""
UID = "5f0c2b52-5b53-4c0a-9f7e-0b6a3f6f2d11"
ROOT = "/calico/resources/v3/projectcalico.org/"
STORED_KINDS = sorted(kind for kind, resource in KINDS.items() if resource.api_version == API_VERSION)
NEIGHBOURS = {
    f"{ROOT}tiers/ops": b'{"metadata":{"name":"ops"},"spec":{"order":5}}',
    f"{ROOT}bgpfilters/no-default": b'{"metadata":{"name":"no-default"}}',
    f"{ROOT}bgpfilters/tag": b'{"metadata":{"name":"tag"}}',
}
"""What the manifests refer to."""


class Golden(NamedTuple):
    """A manifest, and where and how it is stored."""

    kind: str
    name: str
    manifest: str
    key: str
    value: bytes


def golden(kind: str) -> Iterator[Golden]:
    text = (FOLDER / f"{kind}.txt").read_bytes().decode()
    for section in text.removeprefix("## ").split("\n## "):
        name, _, rest = section.partition("\n")
        manifest, stored = rest.split("\n-- etcd\n")
        key, value = stored.strip("\n").split("\n")
        yield Golden(kind, name, manifest, key, value.encode())


CASES = [case for kind in STORED_KINDS for case in golden(kind)]
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")


class StoppedClock(SystemClock):
    """The moment at which the files were made."""

    def now(self) -> float:
        return NOW


def opened(datastore: Datastore) -> ResourceStore:
    return ResourceStore(datastore, StoppedClock(), selector_problem, new_uid=lambda: UID)


def written(manifest: str) -> Resource:
    (document,) = read_documents(manifest)
    return load_resource(document)


async def with_neighbours(datastore: Datastore) -> Datastore:
    for key, value in NEIGHBOURS.items():
        await datastore.put(key, value)
    return datastore


def test_every_stored_kind_has_its_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.txt")}
    assert files == {*STORED_KINDS, "ipam", "legacy", "status"}


async def test_etcd_holds_exactly_these_bytes(etcd: Any) -> None:
    datastore = await with_neighbours(await EtcdDatastore.open(EtcdSettings(endpoints=[etcd.url])))
    store = opened(datastore)
    for case in CASES:
        applied = await store.apply(written(case.manifest))
        stored = await datastore.get(case.key)
        assert stored is not None, (case.kind, case.name, resource_key(applied.resource.key))
        assert stored.value.decode() == case.value.decode(), (case.kind, case.name)
        if case.key not in NEIGHBOURS and not case.key.startswith(f"{ROOT}tiers/"):
            await datastore.delete(case.key)
    await datastore.close()


@EACH_CASE
def test_what_another_writer_stored_is_written_back_unchanged(case: Golden) -> None:
    key = parse_resource_key(case.key)
    assert key is not None
    assert resource_key(key) == case.key
    assert (parse_key(case.key), stored_key(key)) == (key, case.key)
    read = decode_resource(key, case.value, revision=7)
    assert decode_stored(key, case.value, revision=7) == read
    assert (read.kind, read.metadata.resource_version, read.metadata.name) == (case.kind, "7", key.name)
    assert codec.encode(read).decode() == case.value.decode()


@EACH_CASE
async def test_applying_what_another_writer_stored_changes_nothing(case: Golden) -> None:
    datastore = await with_neighbours(EmbeddedDatastore.open_memory())
    await datastore.put(case.key, case.value)
    assert (await opened(datastore).apply(written(case.manifest))).outcome == "unchanged"
    await datastore.close()


def mentioned(value: Any) -> Set[str]:
    """Every name of a field in plain data."""
    if isinstance(value, dict):
        return {*value, *(name for inner in value.values() for name in mentioned(inner))}
    return {name for inner in value for name in mentioned(inner)} if isinstance(value, list) else set()


def stored_names(node: inspect.Type) -> Set[str]:
    """Every name of a field that a type can store."""
    match node:
        case inspect.StructType():
            inner = {name for field in node.fields for name in stored_names(field.type)}
            return inner | {field.encode_name for field in node.fields}
        case inspect.UnionType():
            return {name for part in node.types for name in stored_names(part)}
        case inspect.VarTupleType():
            return stored_names(node.item_type)
    return set()


@pytest.mark.parametrize("kind", STORED_KINDS)
def test_no_field_is_missing_from_the_files(kind: str) -> None:
    (specification,) = (field.type for field in msgspec.structs.fields(KINDS[kind]) if field.name == "spec")
    names = stored_names(inspect.type_info(specification))
    for field in msgspec.structs.fields(KINDS[kind]):
        if field.name == "status":
            names |= stored_names(inspect.type_info(field.type))
    held = {name for case in golden(kind) for name in mentioned(msgspec.json.decode(case.value))}
    assert names - held == set()


def test_no_field_of_metadata_is_missing_from_the_files() -> None:
    names = stored_names(inspect.type_info(KINDS["GlobalNetworkSet"]))
    held = {name for case in CASES for name in mentioned(msgspec.json.decode(case.value))}
    assert names - held == {"selfLink", "resourceVersion"}
