"""A listing that comes in pages: what is asked for next, and whether the pages are of one piece."""

from __future__ import annotations

import asyncio

from tortie.base.errors import HistoryBroken
from tortie.datastore.contract import KeyValue
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.messages import RangePage, encode_key
from tortie.datastore.etcd.wire import MalformedMessage

_DECODE_SLICE = 1_000


class Paging:
    """Where the listing of a prefix stands.

    What is missing in a listing is taken for deleted, so a server is not believed when its pages do not add up.

    Args:
        page: the first page, whose revision is that of the listing.

    Attributes:
        cluster: the number of the cluster that answers.
    """

    def __init__(self, prefix: str, page: RangePage) -> None:
        self._prefix = prefix
        self._page = page
        self._told = 0
        self._count = page.count
        self._last = b""
        self.revision = page.revision
        self.cluster = messages.reply_header(page.data).cluster

    @property
    def more(self) -> bool:
        """Whether another page follows this one. Raises MalformedMessage when it cannot."""
        if self._page.more and not self._page.places:
            raise self._malformed("a page is empty, and more are to follow")
        return self._page.more

    @property
    def next(self) -> bytes:
        """The first key that may be on the page after this one."""
        return encode_key(messages.key_values(self._page, -1)[0].key) + b"\0"

    def turn(self, page: RangePage) -> None:
        """Go on with the next page. Raises HistoryBroken when it comes from another cluster, or from before."""
        if messages.reply_header(page.data).cluster != self.cluster:
            raise HistoryBroken(self.revision, page.revision, "another etcd cluster answers than before")
        if page.revision < self.revision:
            raise HistoryBroken(self.revision, page.revision, f"etcd went back to revision {page.revision}")
        self._page = page

    async def decoded(self) -> list[KeyValue]:
        """The keys and values of this page, decoded in slices so that the loop can do other things in between.

        Raises:
            MalformedMessage: keys are not in order, are newer than the listing, or are missing at its end.
        """
        items: list[KeyValue] = []
        for first in range(0, len(self._page.places), _DECODE_SLICE):
            items += messages.key_values(self._page, first, first + _DECODE_SLICE)
            await asyncio.sleep(0)
        self._check(items)
        return items

    def _check(self, items: list[KeyValue]) -> None:
        for item in items:
            # Text that stands for other bytes sorts otherwise than they do.
            name = encode_key(item.key)
            if not name > self._last or not item.key.startswith(self._prefix):
                raise self._malformed(f"{item.key} comes after {self._last!r}")
            if item.revision > self.revision:
                raise self._malformed(f"{item.key} is of revision {item.revision}, later than {self.revision}")
            self._last = name
        self._told += len(items)
        if not self._page.more and self._told != self._count:
            raise self._malformed(f"{self._told} keys came of {self._count}")

    def _malformed(self, problem: str) -> MalformedMessage:
        return MalformedMessage(f"etcd: the listing of {self._prefix} cannot be right: {problem}")
