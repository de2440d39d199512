"""The etcd datastore: the contract in etcd's transactions, listings in pages, and watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tortie.base.clock import Clock, SystemClock
from tortie.base.errors import AlreadyExists, NotFound, StaleRevision, Unavailable
from tortie.datastore.contract import Batch, KeyValue, Listing
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster, Compacted
from tortie.datastore.etcd.messages import MOD_REVISION, VERSION, RangePage, TxnReply, encode_key
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.watching import Watch

_LIST_ATTEMPTS = 3
_DECODE_SLICE = 1_000


class EtcdDatastore:
    """A `Datastore` in an etcd cluster; belongs to one event loop. Made by `open`.

    A write that raises Unavailable may have been carried out all the same: read again.
    """

    def __init__(self, settings: EtcdSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._cluster = Cluster(settings)

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
            with contextlib.suppress(Compacted):
                return await self._list(prefix)
        raise Unavailable(f"etcd: history was compacted {_LIST_ATTEMPTS} times while {prefix} was being listed")

    async def create(self, key: str, value: bytes) -> int:
        name = encode_key(key)
        condition = messages.compare_equal(name, VERSION, 0)
        reply = await self._transact(messages.put_transaction(name, value, condition))
        if not reply.succeeded:
            raise AlreadyExists(key)
        return reply.revision

    async def update(self, key: str, value: bytes, revision: int) -> int:
        name = encode_key(key)
        condition = messages.compare_equal(name, MOD_REVISION, revision)
        reply = await self._transact(messages.put_transaction(name, value, condition))
        return _written(key, revision, reply)

    async def put(self, key: str, value: bytes) -> int:
        answer = await self._cluster.call(messages.PUT, messages.put_request(encode_key(key), value))
        return messages.reply_revision(answer)

    async def delete(self, key: str, revision: int | None = None) -> int:
        name = encode_key(key)
        condition = b"" if revision is None else messages.compare_equal(name, MOD_REVISION, revision)
        reply = await self._transact(messages.delete_transaction(name, condition))
        if reply.succeeded and not reply.deleted:
            raise NotFound(key)
        return _written(key, revision or 0, reply)

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[Batch]:
        if self._cluster.is_closed:
            raise Unavailable("etcd: closed")
        watch = Watch(self._cluster, prefix, revision, self._clock, self._settings.timeout)
        async with contextlib.aclosing(watch.batches()) as batches:
            async for batch in batches:
                yield batch

    async def compact(self, revision: int) -> None:
        # What is compacted already needs no more.
        with contextlib.suppress(Compacted):
            await self._cluster.call(messages.COMPACT, messages.compact_request(revision), repeatable=True)

    async def close(self) -> None:
        await self._cluster.close()

    async def _transact(self, request: bytes) -> TxnReply:
        return messages.txn_reply(await self._cluster.call(messages.TXN, request))

    async def _list(self, prefix: str) -> Listing:
        """All pages at the revision of the first; one is decoded while the next is under way."""
        begin, end = messages.prefix_range(encode_key(prefix))
        page = await self._page(begin, end, 0)
        revision = page.revision
        items: list[KeyValue] = []
        while page.more and page.places:
            last = messages.key_values(page, -1)[0]
            following = asyncio.ensure_future(self._page(encode_key(last.key) + b"\0", end, revision))
            try:
                await _decode_into(items, page)
                page = await following
            finally:
                following.cancel()
        await _decode_into(items, page)
        return Listing(items, revision)

    async def _page(self, begin: bytes, end: bytes, revision: int) -> RangePage:
        request = messages.range_request(begin, end, self._settings.page_keys, revision)
        return messages.range_page(
            await self._cluster.call(messages.RANGE, request, repeatable=True, revision=revision)
        )


async def _decode_into(items: list[KeyValue], page: RangePage) -> None:
    """Decode a page in slices, so that the loop can do other things in between."""
    for first in range(0, len(page.places), _DECODE_SLICE):
        items += messages.key_values(page, first, first + _DECODE_SLICE)
        await asyncio.sleep(0)


def _written(key: str, expected: int, reply: TxnReply) -> int:
    if reply.succeeded:
        return reply.revision
    if reply.found is None:
        raise NotFound(key)
    raise StaleRevision(key, expected, reply.found.revision)
