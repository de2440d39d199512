"""Changes and their records: both or neither, by every driver, and not for ever."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise
from random import Random

import msgspec
import pytest

from tortie.api import codec
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeSpec
from tortie.api.resource import Metadata, Resource
from tortie.base.clock import SystemClock
from tortie.base.errors import NotFound, StaleRevision
from tortie.datastore import journal
from tortie.datastore.changelog import HISTORY_ROOT, Content, Entry, Origin, Record
from tortie.datastore.contract import Datastore
from tortie.datastore.journal import Journal, Replacement, change_id, read_history
from tortie.datastore.keys import resource_key
from tortie.datastore.limits import MAX_REQUEST_BYTES
from tortie.datastore.resources import ResourceStore

ALICE = Origin("alice@bastion", "tortie apply", "because", "20260721-140502-x7q2")


def network_set(name: str = "a", *nets: str) -> GlobalNetworkSet:
    return GlobalNetworkSet(metadata=Metadata(name=name), spec=NetworkSetSpec(nets=nets))


def store_of(datastore: Datastore, origin: Origin = ALICE) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), lambda _: None, origin=origin)


async def records(datastore: Datastore) -> list[Record]:
    return [one.record for one in await read_history(datastore)]


async def bytes_of(datastore: Datastore, resource: Resource) -> bytes | None:
    stored = await datastore.get(resource_key(resource.key))
    return stored.value if stored else None


async def test_every_way_to_change_a_resource_is_recorded_to_the_byte(datastore: Datastore) -> None:
    store = store_of(datastore)
    states: list[bytes | None] = [None]
    created = await store.create(network_set("a"))
    states.append(await bytes_of(datastore, created))
    await store.apply(network_set("a", "10.0.0.0/8"))
    states.append(await bytes_of(datastore, created))
    await store.apply(network_set("a", "10.0.0.0/8"))
    read = await store.get(created.key)
    assert isinstance(read, GlobalNetworkSet)
    await store.update(msgspec.structs.replace(read, spec=NetworkSetSpec(nets=("10.1.0.0/16",))))
    states.append(await bytes_of(datastore, created))
    await store.delete(created.key)
    states.append(None)
    found = await records(datastore)
    assert [(one.before and one.before.data, one.after and one.after.data) for one in found] == [*pairwise(states)]
    assert {(one.who, one.program, one.why, one.change, one.key) for one in found} == {
        ("alice@bastion", "tortie apply", "because", ALICE.change, created.key)
    }


async def test_a_change_that_is_refused_leaves_no_record(datastore: Datastore) -> None:
    store = store_of(datastore)
    created = await store.create(network_set("a"))
    await store.apply(network_set("a", "10.0.0.0/8"))
    with pytest.raises(StaleRevision):
        await store.update(created)
    with pytest.raises(StaleRevision):
        await store.delete(created.key, int(created.metadata.resource_version))
    with pytest.raises(NotFound):
        await store.delete(network_set("b").key)
    assert len(await records(datastore)) == 2


async def test_nodes_and_built_in_tiers_are_not_recorded(datastore: Datastore) -> None:
    store = store_of(datastore)
    await store.ensure_initialized()
    await store.create(Node(metadata=Metadata(name="n1"), spec=NodeSpec()))
    assert await records(datastore) == []


async def test_writers_without_a_name_give_every_write_a_change_of_its_own(datastore: Datastore) -> None:
    store = store_of(datastore, Origin())
    for name in ("a", "b"):
        await store.create(network_set(name))
    assert len({one.change for one in await records(datastore)}) == 2


async def test_what_is_too_large_to_be_kept_beside_itself_is_recorded_by_its_hash(datastore: Datastore) -> None:
    noise = Random(1).randbytes(MAX_REQUEST_BYTES * 3 // 4)
    keeper = Journal(datastore, SystemClock(), ALICE, rarely=lambda: False)
    await keeper.write(Replacement(network_set("big").key, None, noise))
    (record,) = await records(datastore)
    assert await bytes_of(datastore, network_set("big")) == noise
    assert record.after == Content(hashlib.sha256(noise).hexdigest())
    assert record.after.data is None


async def test_records_beyond_the_number_and_the_age_are_forgotten(
    datastore: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEEP_RECORDS", 5)
    for number in range(8):
        await store_of(datastore, Origin(change=f"{change_id(time.time())}{number}")).create(network_set(f"s{number}"))
    await store_of(datastore, Origin(change=change_id(0))).create(network_set("old"))
    keeper = Journal(datastore, SystemClock(), Origin(), rarely=lambda: True)
    await keeper.write(Replacement(network_set("last").key, None, codec.encode(network_set("last"))))
    assert [one.key.name for one in await records(datastore)] == ["s5", "s6", "s7", "last"]


async def test_what_is_no_record_is_passed_over(datastore: Datastore) -> None:
    await store_of(datastore).create(network_set("a"))
    await datastore.put(f"{HISTORY_ROOT}x/000001", b"\xff not json")
    entries = await read_history(datastore)
    assert [isinstance(one, Entry) for one in entries] == [True]


async def test_changes_sort_by_time() -> None:
    names = [change_id(seconds, lambda letters: letters[-1]) for seconds in (0, 1_000_000_000, 1_790_000_000)]
    assert names == sorted(names)
    assert names[0] == "19700101-000000-zzzz"
