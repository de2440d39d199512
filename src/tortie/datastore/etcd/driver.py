"""The etcd datastore: the contract in etcd's transactions, listings in pages, and watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    NotPermitted,
    RevisionTooOld,
    StaleRevision,
    Unavailable,
)
from tortie.datastore.contract import Batch, KeyValue, Listing, Write
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster, Compacted, TooLargeForServer
from tortie.datastore.etcd.leases import Lease, Leases
from tortie.datastore.etcd.messages import MOD_REVISION, VERSION, RangePage, TxnReply, encode_key
from tortie.datastore.etcd.paging import Paging
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.watching import Followed, Watch
from tortie.datastore.limits import (
    TooLarge,
    group_size,
    oversized,
    refuse_oversized,
    refuse_oversized_group,
    request_size,
)

_LIST_ATTEMPTS = 3
_OPERATIONS = 100
"""In one transaction; etcd takes 128 unless told otherwise."""


class EtcdDatastore:
    """A `Datastore` in an etcd cluster; belongs to one event loop. Made by `open`."""

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._cluster = Cluster(settings)
        self._leases = Leases(self._cluster)
        self._listed_in: dict[str, int] = {}

    @classmethod
    async def open(cls, settings: EtcdSettings, clock: Clock | None = None) -> EtcdDatastore:
        """Make ready; the servers are first asked by the first call, so that they may be away until then.

        Raises:
            InvalidResource: the settings, or the files that they name, must be corrected.
        """
        return cls(settings, clock or SystemClock())

    async def get(self, key: str) -> KeyValue | None:
        answer = await self._cluster.call(messages.RANGE, messages.range_request(encode_key(key)), repeatable=True)
        found = messages.key_values(messages.range_page(answer))
        return found[0] if found else None

    async def list(self, prefix: str) -> Listing:
        for _ in range(_LIST_ATTEMPTS):
            # History may be compacted between two pages.
            with contextlib.suppress(RevisionTooOld):
                return await self._list(prefix)
        raise Unavailable(f"etcd: history was lost {_LIST_ATTEMPTS} times while {prefix} was being listed")

    async def read(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> Mapping[str, KeyValue]:
        ranges = [(encode_key(key), b"") for key in keys]
        ranges += [messages.prefix_range(encode_key(prefix)) for prefix in prefixes]
        answer = await self._cluster.call(messages.TXN, messages.read_transaction(ranges), repeatable=True)
        return {item.key: item for item in messages.read_reply(answer)}

    async def pages(self, prefix: str) -> AsyncGenerator[Listing, None]:
        """One page is on its way while the one before is decoded and taken; no third is asked for."""
        begin, end = messages.prefix_range(encode_key(prefix))
        listing = Paging(prefix, await self._page(begin, end, 0))
        self._listed_in[prefix] = listing.cluster
        following: asyncio.Future[RangePage] | None = None
        try:
            while True:
                following = (
                    asyncio.ensure_future(self._page(listing.next, end, listing.revision)) if listing.more else None
                )
                yield Listing(await listing.decoded(), listing.revision)
                if following is None:
                    return
                listing.turn(await following)
        finally:
            if following is not None:
                following.cancel()

    async def create(self, key: str, value: bytes) -> int:
        name = encode_key(key)
        condition = absent(name)
        reply = await self._transact(messages.put_transaction(name, value, condition), key, value)
        if not reply.succeeded:
            raise AlreadyExists(key)
        return reply.revision

    async def update(self, key: str, value: bytes, revision: int) -> int:
        name = encode_key(key)
        condition = messages.compare_equal(name, MOD_REVISION, revision)
        reply = await self._transact(messages.put_transaction(name, value, condition), key, value)
        return _written(key, revision, reply)

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        lease = await self._leases.grant(lifetime) if lifetime else 0
        request = messages.put_request(encode_key(key), value, lease)
        revision = messages.reply_revision(await self._write(messages.PUT, request, key, value))
        if lease:
            await self._leases.replace(key, Lease(revision, lease))
        return revision

    async def delete(self, key: str, revision: int | None = None) -> int:
        name = encode_key(key)
        condition = b"" if revision is None else messages.compare_equal(name, MOD_REVISION, revision)
        reply = await self._transact(messages.delete_transaction(name, condition), key)
        if reply.succeeded and not reply.deleted:
            raise NotFound(key)
        return _written(key, revision or 0, reply)

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        refuse_oversized_group(writes, self._settings.max_request_bytes)
        request = messages.joint_transaction(
            [_condition(write) for write in writes if write.expected is not None],
            [_operation(write) for write in writes],
            [encode_key(write.key) for write in writes],
        )
        try:
            reply = messages.joint_reply(await self._cluster.call(messages.TXN, request))
        except TooLargeForServer as error:
            raise TooLarge(writes[0].key, group_size(writes), 0) from error
        if not reply.succeeded:
            found = {item.key: item.revision for item in reply.found}
            raise next(filter(None, (_conflict(write, found.get(write.key)) for write in writes)))
        return [reply.revision] * len(writes)

    async def rehearse(self, writes: Mapping[str, bytes]) -> Mapping[str, TooLarge | NotPermitted]:
        """The server says of many keys at once that one of them is forbidden; which one, only when asked for each."""
        refused: dict[str, TooLarge | NotPermitted] = {**oversized(writes, self._settings.max_request_bytes)}
        for keys in batched(writes, _OPERATIONS):
            if await self._refusal(keys) is not None:
                refused |= {key: error for key in keys if (error := await self._refusal([key])) is not None}
        return refused

    async def _refusal(self, keys: Sequence[str]) -> NotPermitted | None:
        try:
            request = messages.rehearsal([encode_key(key) for key in keys])
            await self._cluster.call(messages.TXN, request, repeatable=True)
        except NotPermitted as error:
            return error
        return None

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        if self._cluster.is_closed:
            raise Unavailable("etcd: closed")
        followed = Followed(prefix, revision, self._listed_in.get(prefix, 0))
        watch = Watch(self._cluster, followed, self._clock, self._settings.timeout)
        async with contextlib.aclosing(watch.batches()) as batches:
            async for batch in batches:
                yield batch

    async def compact(self, revision: int) -> None:
        # What is compacted already needs no more.
        with contextlib.suppress(Compacted):
            await self._cluster.call(messages.COMPACT, messages.compact_request(revision), repeatable=True)

    async def close(self) -> None:
        await self._cluster.close()

    async def _transact(self, request: bytes, key: str, value: bytes = b"") -> TxnReply:
        return messages.txn_reply(await self._write(messages.TXN, request, key, value))

    async def _write(self, path: str, request: bytes, key: str, value: bytes) -> bytes:
        refuse_oversized(key, value, self._settings.max_request_bytes)
        try:
            return await self._cluster.call(path, request)
        except TooLargeForServer as error:
            raise TooLarge(key, request_size(key, value), 0) from error

    async def _list(self, prefix: str) -> Listing:
        items: list[KeyValue] = []
        async with contextlib.aclosing(self.pages(prefix)) as pages:
            async for page in pages:
                items += page.items
        return Listing(items, page.revision)

    async def _page(self, begin: bytes, end: bytes, revision: int) -> RangePage:
        request = messages.range_request(begin, end, self._settings.page_keys, revision)
        return messages.range_page(
            await self._cluster.call(messages.RANGE, request, repeatable=True, revision=revision)
        )


def batched(items: Iterable[str], count: int) -> Iterator[list[str]]:
    """So many at a time."""
    rest = iter(items)
    while some := list(islice(rest, count)):
        yield some


def _condition(write: Write) -> bytes:
    name = encode_key(write.key)
    return messages.compare_equal(name, MOD_REVISION, write.expected) if write.expected else absent(name)


def absent(name: bytes) -> bytes:
    """The condition that there is no such key."""
    return messages.compare_equal(name, VERSION, 0)


def _operation(write: Write) -> bytes:
    name = encode_key(write.key)
    return messages.delete_operation(name) if write.value is None else messages.put_operation(name, write.value)


def _conflict(write: Write, found: int | None) -> Conflict | None:
    """Why a write was refused that met a key at a revision, or none."""
    if write.expected is None or write.expected == (found or 0):
        return None
    if found is None:
        return NotFound(write.key)
    return StaleRevision(write.key, write.expected, found) if write.expected else AlreadyExists(write.key)


def _written(key: str, expected: int, reply: TxnReply) -> int:
    if reply.succeeded:
        return reply.revision
    if reply.found is None:
        raise NotFound(key)
    raise StaleRevision(key, expected, reply.found.revision)
