"""Stored resources that do not parse: replaced as a whole or deleted, and only what was looked at."""

from __future__ import annotations

import pytest

from tortie.api.clusterinformation import ClusterInformation
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.tier import Tier, TierSpec
from tortie.base.clock import SystemClock
from tortie.base.errors import StaleRevision
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.migration import INFORMATION_KEY
from tortie.datastore.reading import INFORMATION, UnreadableResource
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

KEY = ResourceKey("Tier", "", "spoilt")
TIER = Tier(metadata=Metadata(name="spoilt"), spec=TierSpec(order=7.0))
GUID = "9c1f0a3be5d74e0f8a6c2d1b4e7f9012"
GARBAGE = b"\xff no resource"


@pytest.fixture
def store(datastore: Datastore) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


async def unreadable(store: ResourceStore, key: ResourceKey) -> UnreadableResource:
    with pytest.raises(UnreadableResource) as caught:
        await store.get(key)
    return caught.value


async def test_a_whole_resource_takes_the_place_of_what_cannot_be_read(
    store: ResourceStore, datastore: Datastore
) -> None:
    await datastore.put(resource_key(KEY), GARBAGE)
    healed = await store.heal(TIER, (await unreadable(store, KEY)).stored)
    stored = await store.get(KEY)
    assert stored == healed
    assert isinstance(stored, Tier)
    assert stored.spec.order == 7.0
    assert stored.metadata.uid
    assert stored.metadata.creation_timestamp


async def test_what_somebody_else_healed_meanwhile_is_not_overwritten(
    store: ResourceStore, datastore: Datastore
) -> None:
    await datastore.put(resource_key(KEY), GARBAGE)
    seen = await unreadable(store, KEY)
    await store.apply(Tier(metadata=Metadata(name="spoilt"), spec=TierSpec(order=9.0)))
    with pytest.raises(StaleRevision):
        await store.heal(TIER, seen.stored)
    stored = await store.get(KEY)
    assert isinstance(stored, Tier)
    assert stored.spec.order == 9.0


@pytest.mark.parametrize(
    "spoilt", [b'{"spec":{"clusterGUID":"%s","datastoreReady":"maybe"}}', b'"clusterGUID": "%s", {']
)
async def test_a_cluster_keeps_the_identity_that_can_still_be_made_out(
    store: ResourceStore, datastore: Datastore, spoilt: bytes
) -> None:
    await datastore.put(INFORMATION_KEY, spoilt % GUID.encode())
    seen = await unreadable(store, INFORMATION)
    assert "with the clusterGUID that it had" in str(seen)
    await store.heal(ClusterInformation(metadata=Metadata(name="default")), seen.stored)
    stored = await store.get(INFORMATION)
    assert isinstance(stored, ClusterInformation)
    assert stored.spec.cluster_guid == GUID


async def test_what_cannot_be_read_is_not_initialized_over(store: ResourceStore, datastore: Datastore) -> None:
    tier = resource_key(ResourceKey("Tier", "", "default"))
    for key in (INFORMATION_KEY, tier):
        await datastore.put(key, GARBAGE)
    await store.ensure_initialized()
    for key in (INFORMATION_KEY, tier):
        stored = await datastore.get(key)
        assert stored is not None
        assert stored.value == GARBAGE
    assert await store.get(ResourceKey("Tier", "", "kube-admin")) is not None
