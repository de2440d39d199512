"""Tells the cluster which addresses this node's kernel still has, so that nobody gives them to somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import structlog

from tortie.agent.settings import Settings
from tortie.base.addresses import BITS
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import TortieError
from tortie.datastore.contract import Datastore
from tortie.datastore.testimony import INTERVAL, write_testimony
from tortie.netlink.addresses import list_addresses
from tortie.netlink.links import list_links
from tortie.netlink.route import list_routes
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket


def addresses_in_kernel(prefix: str) -> frozenset[str]:
    """Addresses of this namespace's devices, and those routed to devices whose name begins so. Raises KernelError.

    Whoever set the route counts: a workload that another program attached uses its address too.
    """
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        workloads = {link.index for link in list_links(socket) if link.name.startswith(prefix)}
        own = {one.address.text for one in list_addresses(socket)}
        routed = {
            one.destination.text
            for family in (4, 6)
            for one in list_routes(socket, family)
            if one.index in workloads and one.destination.length == BITS[family]
        }
    return frozenset(own | routed)


class Witness:
    """One node's statements.

    Args:
        settings: name it, and how names of workload interfaces begin.
        executor: a thread in the node's network namespace.
        refusal: why nothing may be written now; empty when it may.
    """

    def __init__(
        self, settings: Settings, datastore: Datastore, executor: Executor, clock: Clock, refusal: Callable[[], str]
    ) -> None:
        self._node = settings.node
        self._prefix = settings.interface_prefix
        self._datastore = datastore
        self._executor = executor
        self._clock = clock
        self._refusal = refusal
        self._log = structlog.get_logger("tortie.witness")

    async def run(self) -> None:
        """Work until cancelled."""
        # Hosts that were started together shall not all write at once.
        pace = Backoff(INTERVAL, INTERVAL)
        while True:
            try:
                await self.testify()
            except TortieError as error:
                self._log.warning("testimony_not_given", reason=str(error))
            await self._clock.sleep(pace.next())

    async def testify(self) -> None:
        """Say now what the kernel has. Raises TortieError."""
        if self._refusal():
            return
        look = partial(addresses_in_kernel, self._prefix)
        addresses = await asyncio.get_running_loop().run_in_executor(self._executor, look)
        await write_testimony(self._datastore, self._node, addresses)
