"""An assignment that got no answer does not arrive after its handle was released."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tortie.base.errors import Conflict, OutcomeUnknown
from tortie.datastore.contract import Write
from tortie.ipam.requests import AssignRequest


class Delaying:
    """A way to a datastore that keeps the first group of writes for later, and says that it got no answer."""

    def __init__(self, datastore: Any) -> None:
        self._datastore = datastore
        self.delayed: Sequence[Write] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datastore, name)

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        if not self.delayed and any("/handle/" in write.key for write in writes):
            self.delayed = writes
            raise OutcomeUnknown("no answer")
        revisions: Sequence[int] = await self._datastore.write_together(writes)
        return revisions


@pytest.mark.parametrize("arrives_early", [True, False])
async def test_what_is_released_is_not_assigned_by_a_write_that_arrives_late(small: Any, arrives_early: bool) -> None:
    await small.allocator.auto_assign(AssignRequest(node="a", num4=1, handle="other"))
    way = Delaying(small.datastore)
    allocator = small.another(way)
    with pytest.raises(OutcomeUnknown):
        await allocator.auto_assign(AssignRequest(node="a", num4=1, handle="h"))
    if arrives_early:
        await small.datastore.write_together(way.delayed)
    assert len(await allocator.release_by_handle("h")) == arrives_early
    with pytest.raises(Conflict):
        await small.datastore.write_together(way.delayed)
    assert (await small.snapshot()).handles.keys() == {"other"}
