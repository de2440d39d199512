"""Assignments that got no answer and may still arrive: what is released must not be taken by one of them after all."""

from __future__ import annotations

from collections import defaultdict

from tortie.api.ipam import IPAMBlock
from tortie.base.addresses import Cidr
from tortie.base.errors import Conflict
from tortie.datastore.keys import block_key
from tortie.ipam.block import written
from tortie.ipam.errors import Contention
from tortie.ipam.store import ATTEMPTS, Store


class Unsettled:
    """The blocks that such assignments were made in, by handle.

    An assignment is carried out only on the block as it was read. Rewriting the block settles it: it has
    arrived by then, and is released with the rest of its handle, or it never will.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: dict[str, set[Cidr]] = defaultdict(set)

    def note(self, handle: str, block: Cidr) -> None:
        """Remember an assignment whose outcome is unknown."""
        self._blocks[handle].add(block)

    async def settle(self, handle: str) -> None:
        """Make sure that nothing of a handle's assignments arrives from now on.

        Raises:
            Contention: others changed a block every time.
        """
        for block in sorted(self._blocks.get(handle, ())):
            await self._rewrite(block)
            self._blocks[handle].discard(block)
        self._blocks.pop(handle, None)

    async def _rewrite(self, block: Cidr) -> None:
        key = block_key(str(block))
        for attempt in range(ATTEMPTS):
            await self._store.pause(attempt)
            stored = await self._store.read(key, IPAMBlock)
            if stored is None:
                return
            try:
                await self._store.write(key, stored, written(stored.value))
            except Conflict:
                continue
            return
        raise Contention(f"rewriting block {block}", ATTEMPTS)
