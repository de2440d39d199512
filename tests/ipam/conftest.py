"""A small cluster to give addresses in: a datastore in memory, a clock that is set, and resources by one line."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest

from tortie.api.codec import encode
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.ipreservation import IPReservation, IPReservationSpec
from tortie.api.node import Node, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.ipam.allocator import Allocator
from tortie.ipam.audit import Snapshot
from tortie.ipam.snapshot import read_snapshot

START = 1_787_475_731.0


class SetClock:
    """A clock that moves when told to; sleeping only lets others run."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Cluster:
    """One datastore with the resources that address management reads."""

    def __init__(self, datastore: Datastore, seed: int = 1) -> None:
        self.datastore = datastore
        self.clock = SetClock()
        self.random = random.Random(seed)
        self.allocator = self.another()

    def another(self, datastore: Datastore | None = None) -> Allocator:
        """One more allocator, as on another node."""
        return Allocator(datastore or self.datastore, self.clock, random.Random(self.random.random()))

    async def apply(self, resource: Resource) -> None:
        """Write a resource, whatever was there."""
        await self.datastore.put(resource_key(resource.key), encode(resource))

    async def pool(self, name: str, cidr: str, **spec: Any) -> None:
        """Write a pool; the fields of the spec by their stored names."""
        given = msgspec.convert({"cidr": cidr, **spec}, IPPoolSpec)
        await self.apply(IPPool(metadata=Metadata(name=name), spec=given))

    async def node(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Write a node."""
        metadata = Metadata(name=name, labels=dict(labels or {}))
        await self.apply(Node(metadata=metadata, spec=NodeSpec(), status=NodeStatus()))

    async def reserve(self, cidrs: Iterable[str]) -> None:
        """Write one reservation."""
        await self.apply(
            IPReservation(metadata=Metadata(name="kept"), spec=IPReservationSpec(reserved_cidrs=tuple(cidrs)))
        )

    async def snapshot(self) -> Snapshot:
        """Everything stored about addresses."""
        return await read_snapshot(self.datastore, self.clock, self.random)


@contextlib.asynccontextmanager
async def open_cluster() -> AsyncIterator[Cluster]:
    """An empty cluster in memory."""
    datastore = EmbeddedDatastore.open_memory()
    yield Cluster(datastore)
    await datastore.close()


@pytest.fixture
def make_cluster() -> Callable[[], contextlib.AbstractAsyncContextManager[Cluster]]:
    """For tests that need one for every example."""
    return open_cluster


@pytest.fixture
def cluster_on() -> Callable[[Datastore], Cluster]:
    """For tests that open the datastore themselves."""
    return Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """An empty cluster."""
    async with open_cluster() as cluster:
        yield cluster


@pytest.fixture
async def small(cluster: Cluster) -> Cluster:
    """Two nodes, a and b, and an IPv4 pool with four blocks of four addresses."""
    for name in "ab":
        await cluster.node(name)
    await cluster.pool("small", "10.0.0.0/28", blockSize=30)
    return cluster
