"""One stream from many prefixes: complete, in order, and honest about what it cannot read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api import codec
from tortie.api.builtin import ALLOW_PROFILE
from tortie.api.ipam import BlockAffinity, IPAMBlock
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.errors import NotFound, Unavailable
from tortie.datastore import stream as stream_module
from tortie.datastore.contract import Batch, Datastore, KeyValue, Listing
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import affinity_key, block_key, resource_key
from tortie.datastore.stream import Change, ResourceStream, StreamBatch

DEADLINE = 30.0


class HastyClock:
    """Waits for nothing but a turn of the loop."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Moody:
    """A datastore whose lists and watches fail as often as it is told to."""

    def __init__(self, inner: Datastore) -> None:
        self.inner = inner
        self.failures = 0
        self.lists = 0
        self.cut = asyncio.Event()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("in a mood")

    async def list(self, prefix: str) -> Listing:
        self._fail()
        self.lists += 1
        return await self.inner.list(prefix)

    async def pages(self, prefix: str) -> AsyncIterator[Listing]:
        yield await self.list(prefix)

    async def get(self, key: str) -> KeyValue | None:
        self._fail()
        return await self.inner.get(key)

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[Batch]:
        self._fail()
        async for batch in self.inner.watch(prefix, revision):
            yield batch
            if self.cut.is_set():
                self.cut.clear()
                raise Unavailable("cut off")


class Follower:
    """Reads a stream, and keeps what a reader of it would believe."""

    def __init__(self, stream: ResourceStream) -> None:
        self.batches = stream.batches()
        self.seen: list[Change] = []
        self.state: dict[ResourceKey, object] = {}
        self.in_sync = False

    async def take(self) -> StreamBatch:
        async with asyncio.timeout(DEADLINE):
            batch = await anext(self.batches)
        assert batch.in_sync or not self.in_sync
        self.in_sync = batch.in_sync
        self.seen += batch.changes
        for change in batch.changes:
            self.state[change.key] = change.value
            if change.value is None:
                del self.state[change.key]
        return batch

    async def until_sync(self) -> None:
        while not self.in_sync:
            await self.take()

    async def until_gone(self, key: ResourceKey) -> None:
        while key in self.state:
            await self.take()

    async def until_there(self, key: ResourceKey) -> None:
        while key not in self.state:
            await self.take()

    async def close(self) -> None:
        await self.batches.aclose()  # type: ignore[attr-defined] # it is a generator


@pytest.fixture
async def store() -> AsyncIterator[EmbeddedDatastore]:
    datastore = EmbeddedDatastore.open_memory()
    yield datastore
    await datastore.close()


def key_of(name: str) -> ResourceKey:
    return ResourceKey("GlobalNetworkSet", "", name)


def path_of(name: str) -> str:
    return resource_key(key_of(name))


def bytes_of(name: str, *nets: str) -> bytes:
    return codec.encode(GlobalNetworkSet(metadata=Metadata(name=name), spec=NetworkSetSpec(nets=nets)))


def stream_of(datastore: Datastore | Moody, *kinds: str) -> ResourceStream:
    return ResourceStream(datastore, kinds or ("GlobalNetworkSet",), HastyClock())  # type: ignore[arg-type]


async def test_an_empty_datastore_is_in_sync_at_once(store: EmbeddedDatastore) -> None:
    follower = Follower(stream_of(store))
    assert await follower.take() == StreamBatch((), in_sync=True)
    await follower.close()


async def test_everything_stored_comes_before_the_mark_and_changes_after_it(store: EmbeddedDatastore) -> None:
    await store.put(path_of("a"), bytes_of("a", "10.0.0.0/8"))
    follower = Follower(stream_of(store))
    await follower.until_sync()
    assert set(follower.state) == {key_of("a")}
    await store.put(path_of("b"), bytes_of("b"))
    await follower.take()
    await store.delete(path_of("a"))
    await follower.take()
    assert set(follower.state) == {key_of("b")}
    assert follower.seen[-1] == Change(key_of("a"), None)
    await follower.close()


async def test_resources_carry_the_revision_they_were_read_at(store: EmbeddedDatastore) -> None:
    await store.put("/elsewhere", b"")
    revision = await store.put(path_of("a"), bytes_of("a"))
    follower = Follower(stream_of(store))
    await follower.until_sync()
    value = follower.state[key_of("a")]
    assert isinstance(value, GlobalNetworkSet)
    assert value.metadata.resource_version == str(revision)
    await follower.close()


async def test_where_an_object_is_stored_decides_its_name(store: EmbeddedDatastore) -> None:
    await store.put(path_of("a"), bytes_of("another"))
    follower = Follower(stream_of(store))
    await follower.until_sync()
    value = follower.state[key_of("a")]
    assert isinstance(value, GlobalNetworkSet)
    assert value.key == key_of("a")
    await follower.close()


async def test_blocks_and_affinities_are_named_by_owner_and_prefix(store: EmbeddedDatastore) -> None:
    block = IPAMBlock(cidr="10.0.0.0/30", affinity="host:n1", allocations=(None,) * 4, unallocated=(0, 1, 2, 3))
    await store.put(block_key("10.0.0.0/30"), codec.encode_value(block))
    for owner in ("n1", "virtual:lb"):
        await store.put(affinity_key(owner, "10.0.0.0/30"), codec.encode_value(BlockAffinity("confirmed")))
    follower = Follower(stream_of(store, "IPAMBlock", "BlockAffinity"))
    await follower.until_sync()
    assert follower.state == {
        ResourceKey("IPAMBlock", "", "10.0.0.0/30"): block,
        ResourceKey("BlockAffinity", "n1", "10.0.0.0/30"): BlockAffinity("confirmed"),
        ResourceKey("BlockAffinity", "virtual:lb", "10.0.0.0/30"): BlockAffinity("confirmed"),
    }
    await follower.close()


async def test_kinds_not_asked_for_are_not_told(store: EmbeddedDatastore) -> None:
    await store.put(resource_key(ResourceKey("Tier", "", "t")), b"{}")
    await store.put(path_of("a"), bytes_of("a"))
    follower = Follower(stream_of(store))
    await follower.until_sync()
    assert set(follower.state) == {key_of("a")}
    await follower.close()


async def test_what_cannot_be_read_is_absent_and_reported_until_it_is_mended(store: EmbeddedDatastore) -> None:
    stream = stream_of(store)
    follower = Follower(stream)
    await store.put(path_of("a"), bytes_of("a"))
    await follower.until_sync()
    await store.put(path_of("a"), b'{"spec":{"nets":7}}')
    await follower.until_gone(key_of("a"))
    assert "nets" in stream.rejected[key_of("a")]
    await store.put(path_of("a"), bytes_of("a"))
    await follower.until_there(key_of("a"))
    assert not stream.rejected
    await follower.close()


async def test_an_unreadable_object_that_is_deleted_is_no_longer_reported(store: EmbeddedDatastore) -> None:
    await store.put(path_of("a"), b"not json")
    stream = stream_of(store)
    follower = Follower(stream)
    await follower.until_sync()
    assert set(stream.rejected) == {key_of("a")}
    await store.delete(path_of("a"))
    await follower.take()
    assert not stream.rejected
    await follower.close()


async def test_a_relist_after_a_gap_tells_the_differences_and_nothing_else(store: EmbeddedDatastore) -> None:
    for name in ("kept", "changed", "vanished", "gone before"):
        await store.put(path_of(name), bytes_of(name))
    moody = Moody(store)
    follower = Follower(stream_of(moody))
    await follower.until_sync()
    await store.delete(path_of("gone before"))
    await follower.until_gone(key_of("gone before"))
    moody.cut.set()
    await store.put(path_of("signal"), bytes_of("signal"))
    await follower.until_there(key_of("signal"))
    follower.seen.clear()
    moody.failures = 3
    await store.put(path_of("changed"), bytes_of("changed", "10.0.0.0/8"))
    await store.delete(path_of("vanished"))
    await store.put(path_of("new"), bytes_of("new"))
    await store.compact((await store.list("")).revision)
    await follower.until_there(key_of("new"))
    assert {change.key.name for change in follower.seen} == {"changed", "vanished", "new"}
    assert set(follower.state) == {key_of(name) for name in ("kept", "changed", "signal", "new")}
    assert moody.lists == 2
    await follower.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("put", "delete")), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(("cut", "fail", "compact", "rest", "break")), st.just("a")),
    ),
    max_size=40,
)


async def live_through(steps: list[tuple[str, str]]) -> tuple[set[ResourceKey], set[ResourceKey]]:
    """What a reader believes after a history of writes and faults, and what is true."""
    store = EmbeddedDatastore.open_memory()
    moody = Moody(store)
    follower = Follower(stream_of(moody))
    readable: set[ResourceKey] = set()
    await follower.until_sync()
    for number, (step, name) in enumerate(steps):
        match step:
            case "put":
                await store.put(path_of(name), bytes_of(name, f"10.0.0.{number}/32"))
                readable.add(key_of(name))
            case "break":
                await store.put(path_of(name), b"not json")
                readable.discard(key_of(name))
            case "delete":
                with contextlib.suppress(NotFound):
                    await store.delete(path_of(name))
                readable.discard(key_of(name))
            case "cut":
                moody.cut.set()
            case "fail":
                moody.failures = 2
            case "compact":
                await store.compact((await store.list("")).revision)
            case _:
                await asyncio.sleep(0.001)
    await store.put(path_of("end"), bytes_of("end"))
    await follower.until_there(key_of("end"))
    await follower.close()
    await store.close()
    return set(follower.state), {*readable, key_of("end")}


@given(STEPS)
def test_whatever_happens_the_reader_ends_up_with_what_is_stored(steps: list[tuple[str, str]]) -> None:
    believed, true = asyncio.run(live_through(steps))
    assert believed == true


async def test_a_datastore_that_is_away_for_a_while_costs_neither_changes_nor_a_relist(
    store: EmbeddedDatastore,
) -> None:
    moody = Moody(store)
    moody.failures = 5
    follower = Follower(stream_of(moody))
    await follower.until_sync()
    moody.cut.set()
    moody.failures = 5
    for name in ("a", "b", "c"):
        await store.put(path_of(name), bytes_of(name))
    await follower.until_there(key_of("c"))
    assert set(follower.state) == {key_of(name) for name in "abc"}
    assert moody.lists == 1
    await follower.close()


async def test_a_burst_is_told_as_its_outcome(store: EmbeddedDatastore) -> None:
    follower = Follower(stream_of(store))
    await follower.until_sync()
    for number in range(1000):
        await store.put(path_of("a"), bytes_of("a", f"10.0.{number // 256}.{number % 256}/32"))
    await store.put(path_of("end"), bytes_of("end"))
    await follower.until_there(key_of("end"))
    value = follower.state[key_of("a")]
    assert isinstance(value, GlobalNetworkSet)
    assert value.spec.nets == ("10.0.3.231/32",)
    assert len(follower.seen) < 200
    await follower.close()


async def test_large_listings_come_in_batches_and_only_the_last_has_the_mark(
    store: EmbeddedDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "BATCH_CHANGES", 10)
    for number in range(95):
        await store.put(path_of(f"set-{number}"), bytes_of("set"))
    follower = Follower(stream_of(store))
    sizes = []
    while not follower.in_sync:
        sizes.append(len((await follower.take()).changes))
    assert sizes == [10] * 9 + [5]
    await follower.close()


async def test_changes_of_one_batch_are_ordered_by_revision_across_kinds(store: EmbeddedDatastore) -> None:
    block = IPAMBlock(cidr="10.0.0.0/31", affinity=None, allocations=(None,) * 2, unallocated=(0, 1))
    await store.put(path_of("first"), bytes_of("first"))
    await store.put(block_key(block.cidr), codec.encode_value(block))
    await store.put(path_of("third"), bytes_of("third"))
    follower = Follower(stream_of(store, "IPAMBlock", "GlobalNetworkSet"))
    await follower.until_sync()
    assert [change.key.name for change in follower.seen] == ["first", "10.0.0.0/31", "third"]
    await follower.close()


async def test_the_profile_that_allows_everything_is_always_there(store: EmbeddedDatastore) -> None:
    await store.put(resource_key(ALLOW_PROFILE.key), b'{"spec":{}}')
    follower = Follower(stream_of(store, "Profile"))
    await follower.until_sync()
    assert follower.state == {ALLOW_PROFILE.key: ALLOW_PROFILE}
    await follower.close()


async def test_a_bug_in_a_driver_is_not_silence(store: EmbeddedDatastore) -> None:
    class Broken(Moody):
        async def list(self, prefix: str) -> Listing:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Follower(stream_of(Broken(store))).take()


async def test_closing_the_stream_leaves_no_task_behind(store: EmbeddedDatastore) -> None:
    follower = Follower(stream_of(store, "Tier", "Node", "Profile"))
    await follower.until_sync()
    await follower.close()
    await asyncio.sleep(0)
    await store.put("/wake", b"")
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
