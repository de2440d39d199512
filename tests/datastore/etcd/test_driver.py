"""What etcd holds, read and written by this driver: keys, pages, limits, and those who share them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tortie.api.codec import encode
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeSpec
from tortie.api.resource import Metadata
from tortie.base.clock import SystemClock
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.limits import TooLarge
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest

Opened = Callable[..., Awaitable[EtcdDatastore]]
MEGABYTE = 1 << 20


async def test_keys_and_bytes_are_as_other_clients_see_them(etcd: Any, store: EtcdDatastore) -> None:
    await store.create("/calico/é", b"value")
    assert etcd.control("get", "/calico/", "--prefix") == "/calico/é\nvalue\n"
    etcd.control("put", "/calico/b", "theirs")
    stored = await store.get("/calico/b")
    assert stored is not None
    assert stored.value == b"theirs"


async def test_keys_of_others_that_are_no_text_are_listed_and_can_be_deleted(etcd: Any, store: EtcdDatastore) -> None:
    etcd.control("put", b"/p/\xff\xfe", "x")
    (item,) = (await store.list("/p/")).items
    await store.delete(item.key, item.revision)
    assert (await store.list("/p/")).items == []


@pytest.mark.parametrize("count", [9, 10, 11, 35])
async def test_a_listing_of_several_pages_is_complete_and_sorted(store: EtcdDatastore, count: int) -> None:
    await asyncio.gather(*(store.put(f"/p/{number:03}", b"%d" % number) for number in range(count)))
    listing = await store.list("/p/")
    assert [item.key for item in listing.items] == [f"/p/{number:03}" for number in range(count)]


async def test_all_pages_of_a_listing_are_of_one_revision(store: EtcdDatastore) -> None:
    keys = [f"/p/{number:03}" for number in range(50)]
    for key in keys:
        await store.put(key, b"0")
    stopped = asyncio.Event()

    async def rewrite() -> None:
        generation = 0
        while not stopped.is_set():
            generation += 1
            for key in keys:
                await store.put(key, b"%d" % generation)

    writer = asyncio.create_task(rewrite())
    for _ in range(10):
        values = [int(item.value) for item in (await store.list("/p/")).items]
        # One writer goes through the keys in order: at any moment at most two generations stand, the newer first.
        assert sorted(values, reverse=True) == values
        assert values[0] - values[-1] <= 1
    stopped.set()
    await writer


async def test_a_listing_whose_history_is_compacted_between_pages_begins_again(
    store: EtcdDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        await store.put(f"/p/{number:03}", b"")
    page, compactions = store._page, 0

    async def compacting(begin: bytes, end: bytes, revision: int) -> Any:
        nonlocal compactions
        if revision and not compactions:
            compactions += 1
            await store.compact(await store.put("/q", b""))
        return await page(begin, end, revision)

    monkeypatch.setattr(store, "_page", compacting)
    assert len((await store.list("/p/")).items) == 25
    assert compactions == 1


async def test_what_is_compacted_already_may_be_compacted_again(store: EtcdDatastore) -> None:
    revision = await store.put("/p/a", b"")
    await store.compact(revision)
    await store.compact(revision)


async def test_what_only_the_server_finds_too_large_is_no_outage(make_etcd: Callable[..., Any], opened: Opened) -> None:
    etcd = make_etcd(options=["--max-request-bytes=10000"])
    store = await opened(etcd.url)
    for size in (20_000, MEGABYTE):
        with pytest.raises(TooLarge, match=r"^/p/a: takes [0-9,]+ bytes, and that is more than this etcd takes"):
            await store.put("/p/a", bytes(size))
    await store.close()
    etcd = make_etcd(options=["--max-request-bytes=4000000"])
    store = await opened(etcd.url, max_request_bytes=4_000_000)
    await store.put("/p/a", bytes(3 * MEGABYTE))


async def test_addresses_are_given_once_by_allocators_that_share_an_etcd(etcd: Any, store: EtcdDatastore) -> None:
    pool = IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/24", block_size=29))
    resources = [pool, *(Node(metadata=Metadata(name=f"n{number}"), spec=NodeSpec()) for number in range(4))]
    for resource in resources:
        await store.put(resource_key(resource.key), encode(resource))

    async def assign(number: int) -> list[str]:
        allocator = Allocator(store, SystemClock(), random.Random(number))
        given = []
        for turn in range(5):
            request = AssignRequest(node=f"n{number}", num4=1, handle=f"h{number}.{turn}")
            given += [str(address) for address in (await allocator.auto_assign(request)).v4]
        return given

    each = await asyncio.gather(*(assign(number) for number in range(4)))
    given = [address for addresses in each for address in addresses]
    assert len(set(given)) == len(given) == 20
