"""A look at the datastore before an agent works, as some of what FelixConfigurations say counts only at the start."""

from __future__ import annotations

from contextlib import aclosing

from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.clock import Clock
from tortie.base.errors import InvalidResource
from tortie.calculation.configurations import Configurations
from tortie.calculation.problems import Problems
from tortie.datastore.contract import Datastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import ResourceStream
from tortie.selector.check import selector_problem


class FirstLook:
    """One look, for one node. What cannot be read counts as absent."""

    def __init__(self, datastore: Datastore, node: str, clock: Clock) -> None:
        self._datastore = datastore
        self._node = node
        self._clock = clock
        self._stream: ResourceStream | None = None

    @property
    def outage(self) -> str:
        """Why the datastore does not answer; empty while it does."""
        return self._stream.outage if self._stream else ""

    async def layers(self) -> tuple[FelixConfiguration, ...]:
        """Those that concern the node, the weakest first. Waits while the datastore is away, or raises Unavailable."""
        found = Configurations(self._node, None, Problems())
        selects = False
        self._stream = ResourceStream(self._datastore, (FelixConfiguration.kind,), self._clock)
        async with aclosing(self._stream.batches()) as batches:
            async for batch in batches:
                for change in batch.changes:
                    value = change.value if isinstance(change.value, FelixConfiguration) else None
                    found.put(change.key, value)
                    selects |= value is not None and value.spec.node_selector is not None
                if batch.in_sync:
                    break
        if selects:
            found.put_node(self._node, await self._own_node())
        return found.layers()

    async def _own_node(self) -> Node | None:
        store = ResourceStore(self._datastore, self._clock, selector_problem)
        try:
            found = await store.get(ResourceKey(Node.kind, "", self._node))
        except InvalidResource:
            return None
        return found if isinstance(found, Node) else None
