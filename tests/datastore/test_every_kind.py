"""Every kind is created, found, applied and deleted; what is stored is what another writer would read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.defaults import with_defaults
from tortie.api.ipam import BlockAffinity as Claim
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource
from tortie.datastore import keys
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.values import decode_stored
from tortie.selector.check import selector_problem

CIDR = "10.65.0.0/26"

SPECS: dict[str, dict[str, Any]] = {
    "BGPConfiguration": {"asNumber": 64512},
    "BGPFilter": {"exportV4": [{"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In"}]},
    "BGPPeer": {"peerIP": "10.0.0.1", "asNumber": 64512},
    "BlockAffinity": {"state": "confirmed", "node": "n1", "type": "host", "cidr": CIDR},
    "CalicoNodeStatus": {"node": "n1", "classes": ["BGP"], "updatePeriodSeconds": 10},
    "ClusterInformation": {"datastoreReady": True},
    "FelixConfiguration": {"bpfEnabled": False, "routeRefreshInterval": "90s"},
    "GlobalNetworkPolicy": {"order": 5.5},
    "GlobalNetworkSet": {"nets": ["10.0.0.0/8"]},
    "HostEndpoint": {"node": "n1", "interfaceName": "eth0"},
    "IPAMConfiguration": {"strictAffinity": True},
    "IPPool": {"cidr": "10.65.0.0/16"},
    "IPReservation": {"reservedCIDRs": [CIDR]},
    "KubeControllersConfiguration": {"controllers": {"node": {}}},
    "LiveMigration": {"target": {"selector": "app == 'vm'"}},
    "NetworkPolicy": {"selector": "app == 'web'"},
    "NetworkSet": {"nets": ["10.0.0.0/8"]},
    "Node": {"bgp": {"ipv4Address": "10.0.0.5/24"}},
    "Pod": {"serviceAccountName": "web"},
    "Profile": {"labelsToApply": {"a": "b"}},
    "Service": {"ports": [{"port": 80}]},
    "StagedGlobalNetworkPolicy": {"selector": "app == 'web'"},
    "StagedKubernetesNetworkPolicy": {"egress": [{}]},
    "StagedNetworkPolicy": {"stagedAction": "Delete"},
    "Tier": {"order": 7},
    "WorkloadEndpoint": {"node": "n1", "orchestrator": "k8s", "pod": "web", "endpoint": "eth0"},
}
BODIES = {"EndpointSlice": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.65.0.1"]}]}}
"""Everything but the metadata of kinds without a specification."""

NAMES = {"WorkloadEndpoint": "n1-k8s-web-eth0", "Tier": "ops"}
"""Names other than `default`."""


def made(kind: str, **metadata: Any) -> Resource:
    """A valid resource of the kind, not yet filled in."""
    where = {"namespace": "a"} if KINDS[kind].namespaced else {}
    metadata = {"name": NAMES.get(kind, "default"), **where, **metadata}
    body = BODIES.get(kind) or {"spec": SPECS[kind]}
    return codec.decode(kind, msgspec.json.encode({"metadata": metadata, **body}))


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    datastore = EmbeddedDatastore.open_memory()
    yield datastore
    await datastore.close()


def opened(datastore: EmbeddedDatastore) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


def test_every_kind_is_tried() -> None:
    assert {*SPECS, *BODIES} == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_resource_goes_in_and_comes_out(kind: str, datastore: EmbeddedDatastore) -> None:
    store, resource = opened(datastore), made(kind)
    created = await store.create(resource)
    assert msgspec.structs.replace(created, metadata=resource.metadata) == msgspec.structs.replace(
        with_defaults(resource), metadata=resource.metadata
    )
    assert await store.get(resource.key) == created
    assert created in await store.list(kind)
    assert (await store.apply(resource)).outcome == "unchanged"
    labelled = await store.apply(made(kind, labels={"a": "b"}))
    assert labelled.outcome == "configured"
    assert labelled.resource.metadata.labels["a"] == "b"
    await store.delete(resource.key)
    assert await store.get(resource.key) is None


@pytest.mark.parametrize("kind", ["StagedNetworkPolicy", "StagedGlobalNetworkPolicy"])
async def test_a_staged_policy_needs_its_tier(kind: str, datastore: EmbeddedDatastore) -> None:
    store = opened(datastore)
    staged: Any = made(kind)
    staged = msgspec.structs.replace(staged, spec=msgspec.structs.replace(staged.spec, tier="ops"))
    with pytest.raises(InvalidResource, match="there is no tier"):
        await store.create(staged)
    await store.create(made("Tier"))
    await store.create(staged)
    with pytest.raises(InvalidResource, match="still holds 1 policy"):
        await store.delete(ResourceKey("Tier", "", "ops"))


async def test_a_claim_and_its_copy_do_not_meet(datastore: EmbeddedDatastore) -> None:
    """Address management's own claim and the resource of the same kind have keys and values of their own."""
    claim = ResourceKey("BlockAffinity", "n1", CIDR)
    await datastore.create(keys.stored_key(claim), codec.encode_value(Claim("confirmed")))
    copy = await opened(datastore).create(made("BlockAffinity"))
    assert await opened(datastore).list("BlockAffinity") == [copy]
    (prefix, _) = keys.stream_prefixes("BlockAffinity")
    (item,) = (await datastore.list(prefix)).items
    assert keys.parse_key(item.key) == claim
    assert decode_stored(claim, item.value, item.revision) == Claim("confirmed")
