"""Moving a whole datastore between drivers."""

from __future__ import annotations

from random import Random

import pytest

from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node
from tortie.api.resource import Metadata
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, Unavailable
from tortie.datastore.archive import IMPORT_KEY, ROOTS, read_archive, write_archive
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.migration import (
    INFORMATION_KEY,
    UnfinishedImport,
    bring,
    give_up_import,
    is_locked,
    locked,
    refuse_while_importing,
    set_ready,
    take,
)
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.selector.check import selector_problem

TAKEN = "2026-11-23T00:00:00Z"


class Failing:
    """A datastore that goes away after so many creations."""

    def __init__(self, store: Datastore, creations: int) -> None:
        self._store, self._left = store, creations
        self.list = store.list

    async def create(self, key: str, value: bytes) -> int:
        self._left -= 1
        if self._left < 0:
            raise Unavailable("gone")
        return await self._store.create(key, value)


def resources(datastore: Datastore) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


def ignore(done: int, total: int) -> None:
    assert done <= total


async def filled() -> EmbeddedDatastore:
    """A cluster with a node, a pool, addresses in use, and a value that nobody can read."""
    datastore = EmbeddedDatastore.open_memory()
    store = resources(datastore)
    await store.ensure_initialized()
    await store.apply(Node(metadata=Metadata(name="n1")))
    await store.apply(IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/16")))
    await Allocator(datastore, SystemClock(), Random(1)).auto_assign(AssignRequest(node="n1", num4=3, handle="net.c1"))
    await datastore.put("/calico/resources/v3/projectcalico.org/nodes/broken", b"\xff no resource")
    await datastore.put("/calico/felix/v2/no-region/host/n1/status", b"alive")
    return datastore


async def contents(datastore: Datastore) -> dict[str, bytes]:
    return {item.key: item.value for root in ROOTS for item in (await datastore.list(root)).items}


async def test_a_whole_cluster_moves_to_any_driver_and_back(datastore: Datastore) -> None:
    source = await filled()
    await set_ready(resources(source), False)
    archive = read_archive(write_archive(await take(source, TAKEN)), "file")

    plan = await bring(datastore, archive, ignore)

    assert len(plan.missing) == archive.header.keys
    assert await contents(datastore) == dict(archive.values)
    assert archive.values.keys() == (await contents(source)).keys() - {"/calico/felix/v2/no-region/host/n1/status"}
    assert (await take(datastore, TAKEN)).values == archive.values
    await source.close()


async def test_an_interrupted_import_goes_on_where_it_ended(datastore: Datastore) -> None:
    source = await filled()
    archive = await take(source, TAKEN)
    with pytest.raises(Unavailable):
        await bring(Failing(datastore, 4), archive, ignore)  # type: ignore[arg-type] # what bring uses

    assert INFORMATION_KEY in await contents(datastore), "locked before anything else is there"
    plan = await bring(datastore, archive, ignore)

    assert 1 <= plan.present <= 4
    assert plan.present + len(plan.missing) == archive.header.keys
    await source.close()


async def test_a_half_imported_datastore_says_so_until_the_import_is_finished(datastore: Datastore) -> None:
    source = await filled()
    archive = await take(source, TAKEN)
    with pytest.raises(Unavailable):
        await bring(Failing(datastore, 4), archive, ignore)  # type: ignore[arg-type] # what bring uses
    with pytest.raises(UnfinishedImport, match="run `tortie datastore migrate import` with the same file again"):
        await refuse_while_importing(datastore)
    assert IMPORT_KEY not in (await take(datastore, TAKEN)).values
    await bring(datastore, archive, ignore)
    await refuse_while_importing(datastore)
    assert (await take(datastore, TAKEN)).values == locked(archive.values)
    await source.close()


async def test_an_import_that_is_given_up_is_over(datastore: Datastore) -> None:
    await datastore.put(IMPORT_KEY, b"{}")
    for _ in range(2):
        await give_up_import(datastore)
        await refuse_while_importing(datastore)


async def test_what_is_brought_in_is_locked_until_somebody_unlocks_it() -> None:
    source, target = await filled(), EmbeddedDatastore.open_memory()
    await bring(target, await take(source, TAKEN), ignore)
    assert not await is_locked(resources(source))
    assert await is_locked(resources(target))
    assert await set_ready(resources(target), True)
    assert not await set_ready(resources(target), True)
    assert not await is_locked(resources(target))
    await source.close()
    await target.close()


@pytest.mark.parametrize("key", ["/calico/ipam/v2/handle/other", INFORMATION_KEY])
async def test_nothing_is_written_over_another_cluster(key: str) -> None:
    source, target = await filled(), EmbeddedDatastore.open_memory()
    await target.put(key, b"{}")
    with pytest.raises(InvalidResource, match=key):
        await bring(target, await take(source, TAKEN), ignore)
    assert await contents(target) == {key: b"{}"}
    await source.close()
    await target.close()


async def test_locking_a_new_datastore_initializes_it() -> None:
    datastore = EmbeddedDatastore.open_memory()
    assert await set_ready(resources(datastore), False)
    assert await is_locked(resources(datastore))
    await datastore.close()
