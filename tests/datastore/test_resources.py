"""Typed access: what is stored, what is refused, and what a second writer sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tortie.api import codec
from tortie.api.builtin import ALLOW_PROFILE, TIERS
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.networkset import GlobalNetworkSet, NetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeBGP, NodeSpec, NodeStatus
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.clock import SystemClock
from tortie.base.errors import AlreadyExists, Conflict, InvalidResource, NotFound, StaleRevision
from tortie.datastore.contract import KeyValue
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key
from tortie.datastore.resources import ResourceStore

BUILT_IN = {tier.metadata.name for tier in TIERS}
OLD_KEY, NEW_KEY = "A" * 43 + "=", "B" * 42 + "A="
NOON = 1_787_486_400.0


class NoonClock(SystemClock):
    """It is always the same second."""

    def now(self) -> float:
        return NOON

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    datastore = EmbeddedDatastore.open_memory()
    yield datastore
    await datastore.close()


@pytest.fixture
def store(datastore: EmbeddedDatastore) -> ResourceStore:
    return ResourceStore(datastore, NoonClock(), no_problem, new_uid=lambda: "a-uid")


def no_problem(text: str) -> str | None:
    return "is nonsense" if text == "nonsense" else None


def network_set(name: str = "a", *nets: str) -> GlobalNetworkSet:
    return GlobalNetworkSet(metadata=Metadata(name=name), spec=NetworkSetSpec(nets=nets))


def policy(name: str = "p", tier: str = "", selector: str = "") -> NetworkPolicy:
    return NetworkPolicy(
        metadata=Metadata(name=name, namespace="shop"), spec=NetworkPolicySpec(tier=tier, selector=selector)
    )


def tier(name: str) -> Tier:
    return Tier(metadata=Metadata(name=name), spec=TierSpec(order=5.0), status=TierStatus())


def pool(name: str, cidr: str, block_size: int = 0) -> IPPool:
    return IPPool(metadata=Metadata(name=name), spec=IPPoolSpec(cidr=cidr, block_size=block_size))


def node(public_key: str = "", address: str = "10.0.0.1/24") -> Node:
    return Node(
        metadata=Metadata(name="n1"),
        spec=NodeSpec(bgp=NodeBGP(ipv4_address=address)),
        status=NodeStatus(wireguard_public_key=public_key),
    )


async def test_a_new_resource_gets_uid_creation_time_and_revision(store: ResourceStore) -> None:
    created = await store.create(network_set("a", "10.0.0.0/8"))
    assert created.metadata.uid == "a-uid"
    assert created.metadata.creation_timestamp == "2026-08-23T12:00:00Z"
    assert created.metadata.resource_version == "1"
    assert await store.get(created.key) == created


async def test_what_a_writer_sets_itself_is_kept(store: ResourceStore) -> None:
    metadata = Metadata(name="a", uid="theirs", creation_timestamp="2020-01-01T00:00:00Z")
    created = await store.create(GlobalNetworkSet(metadata=metadata, spec=NetworkSetSpec()))
    assert (created.metadata.uid, created.metadata.creation_timestamp) == ("theirs", "2020-01-01T00:00:00Z")


async def test_the_revision_is_never_stored(store: ResourceStore, datastore: EmbeddedDatastore) -> None:
    created = await store.create(network_set())
    await store.update(msgspec.structs.replace(created, spec=NetworkSetSpec(nets=("10.0.0.0/8",))))
    stored = await datastore.get(resource_key(created.key))
    assert stored is not None
    assert b"resourceVersion" not in stored.value


async def test_create_refuses_a_taken_name_and_a_given_revision(store: ResourceStore) -> None:
    created = await store.create(network_set())
    with pytest.raises(AlreadyExists, match="GlobalNetworkSet a"):
        await store.create(network_set())
    with pytest.raises(InvalidResource, match="resourceVersion"):
        await store.create(created)


async def test_update_is_a_compare_and_swap(store: ResourceStore) -> None:
    read = await store.create(network_set())
    wider = msgspec.structs.replace(read, spec=NetworkSetSpec(nets=("10.0.0.0/8",)))
    written = await store.update(wider)
    assert int(written.metadata.resource_version) > int(read.metadata.resource_version)
    with pytest.raises(StaleRevision, match="GlobalNetworkSet a"):
        await store.update(wider)
    await store.delete(read.key)
    with pytest.raises(NotFound, match="GlobalNetworkSet a"):
        await store.update(written)


async def test_update_needs_the_revision_that_was_read(store: ResourceStore) -> None:
    await store.create(network_set())
    with pytest.raises(InvalidResource, match="resourceVersion"):
        await store.update(network_set())


async def test_an_update_that_changes_nothing_writes_nothing(store: ResourceStore) -> None:
    created = await store.create(network_set())
    assert await store.update(created) == created


async def test_apply_creates_then_configures_then_leaves_alone(
    store: ResourceStore, datastore: EmbeddedDatastore
) -> None:
    outcomes = [(await store.apply(network_set("a", *nets))).outcome for nets in ((), ("10.0.0.0/8",), ("10.0.0.0/8",))]
    assert outcomes == ["created", "configured", "unchanged"]
    stored = await store.get(network_set().key)
    assert stored is not None
    raw = await datastore.get(resource_key(network_set().key))
    assert raw is not None
    assert stored.metadata.resource_version == str(raw.revision)


async def test_apply_keeps_uid_creation_time_and_status(store: ResourceStore) -> None:
    created = await store.create(node(public_key=OLD_KEY))
    applied = (await store.apply(node(address="10.0.0.2/24"))).resource
    assert isinstance(applied, Node)
    assert applied.metadata.uid == created.metadata.uid
    assert applied.metadata.creation_timestamp == created.metadata.creation_timestamp
    assert applied.status.wireguard_public_key == OLD_KEY
    assert (await store.apply(node(public_key=NEW_KEY, address="10.0.0.2/24"))).outcome == "configured"


async def test_apply_ignores_the_revision_it_is_given(store: ResourceStore) -> None:
    read = await store.create(network_set())
    await store.apply(network_set("a", "10.0.0.0/8"))
    stale = msgspec.structs.replace(read, spec=NetworkSetSpec(nets=("10.1.0.0/16",)))
    assert (await store.apply(stale)).outcome == "configured"


async def test_apply_replaces_what_cannot_be_read(store: ResourceStore, datastore: EmbeddedDatastore) -> None:
    await datastore.put(resource_key(network_set().key), b"not json")
    assert (await store.apply(network_set())).outcome == "configured"
    assert await store.get(network_set().key) is not None


async def test_appliers_of_one_resource_all_succeed(store: ResourceStore) -> None:
    applied = await asyncio.gather(*(store.apply(network_set("a", f"10.0.{n}.0/24")) for n in range(50)))
    assert [one.outcome for one in applied].count("created") == 1


class Contended(EmbeddedDatastore):
    """Somebody else always writes between a read and the write that follows."""

    async def get(self, key: str) -> KeyValue | None:
        found = await super().get(key)
        await self.put(key, b"not json")
        return found


async def test_apply_gives_up_on_a_resource_that_is_never_still() -> None:
    contended = Contended.open_memory()
    with pytest.raises(Conflict, match="all the time"):
        await ResourceStore(contended, NoonClock(), no_problem).apply(network_set())
    await contended.close()


async def test_lists_are_sorted_and_of_one_namespace_if_asked(store: ResourceStore) -> None:
    for namespace, name in (("b", "y"), ("a", "z"), ("b", "x"), ("ab", "w")):
        await store.create(NetworkSet(metadata=Metadata(namespace=namespace, name=name), spec=NetworkSetSpec()))
    assert names(await store.list("NetworkSet")) == ["a/z", "ab/w", "b/x", "b/y"]
    assert names(await store.list("NetworkSet", "b")) == ["b/x", "b/y"]
    assert names(await store.list("GlobalNetworkSet", "b")) == []


def names(resources: object) -> list[str]:
    assert isinstance(resources, list)
    return [f"{resource.metadata.namespace}/{resource.metadata.name}" for resource in resources]


async def test_a_list_leaves_out_what_cannot_be_read_and_get_says_why(
    store: ResourceStore, datastore: EmbeddedDatastore
) -> None:
    await store.create(network_set())
    broken = ResourceKey("GlobalNetworkSet", "", "broken")
    await datastore.put(resource_key(broken), b'{"spec":{"nets":1}}')
    assert len(await store.list("GlobalNetworkSet")) == 1
    with pytest.raises(InvalidResource, match="nets"):
        await store.get(broken)


async def test_delete_removes_if_the_revision_fits(store: ResourceStore) -> None:
    created = await store.create(network_set())
    with pytest.raises(StaleRevision):
        await store.delete(created.key, 99)
    await store.delete(created.key, 1)
    assert await store.get(created.key) is None
    with pytest.raises(NotFound, match="GlobalNetworkSet a"):
        await store.delete(created.key)


async def test_a_namespace_given_for_a_cluster_wide_kind_does_not_matter(store: ResourceStore) -> None:
    await store.create(network_set())
    key = ResourceKey("GlobalNetworkSet", "default", "a")
    assert await store.get(key) is not None
    await store.delete(key)


async def test_invalid_resources_are_refused_and_not_stored(store: ResourceStore) -> None:
    bad = policy(selector="nonsense")
    for write in (store.create, store.apply):
        with pytest.raises(InvalidResource, match="nonsense"):
            await write(bad)
    assert await store.get(bad.key) is None


async def test_a_policy_needs_its_tier(store: ResourceStore) -> None:
    await store.create(policy("in-default"))
    await store.create(policy("in-built-in", "kube-admin"))
    for write in (store.create, store.apply):
        with pytest.raises(InvalidResource, match="no tier 'later'"):
            await write(policy("p", "later"))
    await store.create(tier("later"))
    await store.create(policy("p", "later"))


async def test_a_tier_with_policies_stays(store: ResourceStore) -> None:
    await store.create(tier("mine"))
    spec = GlobalNetworkPolicySpec(tier="mine")
    await store.create(GlobalNetworkPolicy(metadata=Metadata(name="g"), spec=spec))
    await store.create(policy("p", "mine"))
    with pytest.raises(InvalidResource, match="holds 2 policies: NetworkPolicy shop/p, GlobalNetworkPolicy g"):
        await store.delete(ResourceKey("Tier", "", "mine"))
    await store.delete(policy("p").key)
    await store.delete(ResourceKey("GlobalNetworkPolicy", "", "g"))
    await store.delete(ResourceKey("Tier", "", "mine"))


async def test_initialisation_writes_the_built_in_tiers_once_and_they_stay(store: ResourceStore) -> None:
    await store.ensure_initialized()
    first = await store.list("Tier")
    await store.ensure_initialized()
    assert await store.list("Tier") == first
    assert {one.metadata.name for one in first} == BUILT_IN
    for name in BUILT_IN:
        with pytest.raises(InvalidResource, match="built in"):
            await store.delete(ResourceKey("Tier", "", name))


async def test_pools_may_not_overlap(store: ResourceStore) -> None:
    await store.create(pool("a", "10.0.0.0/16"))
    for cidr in ("10.0.1.0/24", "10.0.0.0/8", "10.0.0.0/16"):
        with pytest.raises(InvalidResource, match=r"overlaps IPPool a"):
            await store.create(pool("b", cidr))
    await store.create(pool("b", "10.1.0.0/16"))
    await store.create(pool("c", "fd00::/48"))
    assert (await store.apply(pool("a", "10.0.0.0/16"))).outcome == "unchanged"


async def test_a_pool_keeps_its_prefix_and_block_size(store: ResourceStore) -> None:
    await store.create(pool("a", "10.0.0.0/16", 26))
    with pytest.raises(InvalidResource, match=r"spec\.cidr"):
        await store.apply(pool("a", "10.1.0.0/16", 26))
    with pytest.raises(InvalidResource, match=r"spec\.blockSize"):
        await store.apply(pool("a", "10.0.0.0/16", 28))


async def test_the_name_of_an_endpoint_follows_from_its_fields(store: ResourceStore) -> None:
    spec = WorkloadEndpointSpec(
        orchestrator="k8s",
        node="n-1",
        pod="web-0",
        endpoint="eth0",
        ip_networks=("10.0.0.1/32",),
        interface_name="cali1",
    )
    created = await store.create(WorkloadEndpoint(metadata=Metadata(namespace="shop"), spec=spec))
    assert created.metadata.name == "n--1-k8s-web--0-eth0"
    with pytest.raises(InvalidResource, match="n--1-k8s-web--0-eth0"):
        await store.create(WorkloadEndpoint(metadata=Metadata(namespace="shop", name="other"), spec=spec))
    moved = msgspec.structs.replace(created, spec=msgspec.structs.replace(spec, node="n-2"))
    with pytest.raises(InvalidResource, match="does not follow"):
        await store.update(moved)
    nameless = WorkloadEndpointSpec(orchestrator="k8s", node="n-1", endpoint="eth0")
    with pytest.raises(InvalidResource):
        await store.create(WorkloadEndpoint(metadata=Metadata(namespace="shop"), spec=nameless))


async def test_the_profile_that_allows_everything_is_there_without_being_stored(
    store: ResourceStore, datastore: EmbeddedDatastore
) -> None:
    await store.create(Profile(metadata=Metadata(name="zz"), spec=ProfileSpec()))
    assert await store.get(ALLOW_PROFILE.key) == ALLOW_PROFILE
    assert [profile.metadata.name for profile in await store.list("Profile")] == [ALLOW_PROFILE.metadata.name, "zz"]
    without_revision = Profile(metadata=Metadata(name=ALLOW_PROFILE.metadata.name), spec=ALLOW_PROFILE.spec)
    for write in (store.create, store.apply):
        with pytest.raises(InvalidResource, match="built in"):
            await write(without_revision)
    with pytest.raises(InvalidResource, match="built in"):
        await store.delete(ALLOW_PROFILE.key)
    assert len((await datastore.list("/calico/")).items) == 1


async def test_policies_of_old_writers_keep_the_name_they_are_stored_under(
    store: ResourceStore, datastore: EmbeddedDatastore
) -> None:
    key = ResourceKey("NetworkPolicy", "shop", "default.old")
    old: Resource = NetworkPolicy(metadata=Metadata(name="default.old", namespace="shop"), spec=NetworkPolicySpec())
    without_annotation = codec.encode(old).replace(b'"annotations"', b'"ignored"')
    await datastore.put(resource_key(key), without_annotation)
    read = await store.get(key)
    assert read is not None
    assert read.key == key
    await store.delete(read.key)
