"""The roles that deploy/etcd/roles.sh makes let everybody do their work and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.networkset import NetworkSet
from tortie.api.node import Node
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.selector.check import selector_problem

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "etcd" / "roles.sh"
ROLES = {"eve": "reader", "n1": "agent", "pat": "policy", "sam": "policy-shop", "ada": "admin"}

ENDPOINT = WorkloadEndpoint(
    metadata=Metadata(namespace="shop"),
    spec=WorkloadEndpointSpec(
        orchestrator="k8s", node="n1", pod="web", endpoint="eth0", interface_name="cali1", ip_networks=("10.0.0.1/32",)
    ),
)
ENDPOINT_KEY = ResourceKey("WorkloadEndpoint", "shop", "n1-k8s-web-eth0")
WORK: dict[str, Resource] = {
    "endpoint": ENDPOINT,
    "pool": IPPool(metadata=Metadata(name="other"), spec=IPPoolSpec(cidr="10.1.0.0/16")),
    "tier": Tier(metadata=Metadata(name="mine")),
    "cluster policy": GlobalNetworkPolicy(metadata=Metadata(name="p")),
    "policy of shop": NetworkPolicy(metadata=Metadata(name="p", namespace="shop")),
    "set of shop": NetworkSet(metadata=Metadata(name="s", namespace="shop")),
    "policy of bank": NetworkPolicy(metadata=Metadata(name="p", namespace="bank")),
    "policy of shop-2": NetworkPolicy(metadata=Metadata(name="p", namespace="shop-2")),
    "profile": Profile(metadata=Metadata(name="kns.shop")),
}
WRITTEN_NAMES = {"n1-k8s-web-eth0", *(resource.metadata.name for resource in WORK.values())}
POLICIES = set(WORK) - {"endpoint", "pool"}
ALLOWED = {
    "eve": set[str](),
    "n1": {"endpoint"},
    "pat": POLICIES,
    "sam": {"policy of shop", "set of shop"},
    "ada": set(WORK),
}


def store_of(datastore: EtcdDatastore) -> ResourceStore:
    return ResourceStore(datastore, SystemClock(), selector_problem)


@pytest.fixture
def guarded(make_etcd: Callable[..., Any]) -> str:
    """URL of an etcd that asks who one is; the script has run twice, as it may."""
    etcd = make_etcd(options=["--bcrypt-cost=4"])
    environment = {**os.environ, "ETCDCTL_ENDPOINTS": etcd.url}
    for _ in range(2):
        subprocess.run([SCRIPT, "shop"], env=environment, check=True, capture_output=True)
    etcd.control("user", "add", "root:hush")
    etcd.control("user", "grant-role", "root", "root")
    for user, role in ROLES.items():
        etcd.control("user", "add", f"{user}:hush")
        etcd.control("user", "grant-role", user, f"tortie-{role}")
    etcd.control("auth", "enable")
    return str(etcd.url)


@pytest.fixture
async def open_as(guarded: str) -> AsyncIterator[Callable[[str], Any]]:
    """A cluster with the roles, and connections of its users."""
    opened: list[EtcdDatastore] = []

    async def connect(user: str) -> EtcdDatastore:
        settings = EtcdSettings(endpoints=[guarded], username=user, password="hush", timeout=5.0)
        opened.append(await EtcdDatastore.open(settings))
        return opened[-1]

    admin = store_of(await connect("ada"))
    await admin.ensure_initialized()
    await admin.apply(Node(metadata=Metadata(name="n1")))
    await admin.apply(IPPool(metadata=Metadata(name="pool"), spec=IPPoolSpec(cidr="10.0.0.0/16")))
    yield connect
    for each in opened:
        await each.close()


async def may_write(store: ResourceStore, resource: Resource) -> bool:
    try:
        await store.ensure_initialized()
        await store.apply(resource)
    except Unavailable as error:
        assert "permission denied" in str(error)
        return False
    return True


async def test_everybody_may_do_their_work_and_nothing_else(open_as: Callable[[str], Any]) -> None:
    admin = store_of(await open_as("ada"))
    for user in ROLES:
        store = store_of(await open_as(user))
        written = {name for name, resource in WORK.items() if await may_write(store, resource)}
        assert written == ALLOWED[user], user
        assert await store.list("Node"), "everybody may read"
        for kind in {resource.kind for resource in WORK.values()}:
            for resource in await store.list(kind):
                if resource.metadata.name in WRITTEN_NAMES:
                    await admin.delete(resource.key)


async def test_what_a_user_may_not_write_is_known_before_anything_is_written(open_as: Callable[[str], Any]) -> None:
    for user, allowed in ALLOWED.items():
        store = store_of(await open_as(user))
        before = (await store.datastore.list("/calico/")).revision
        names = {one.key if one.metadata.name else ENDPOINT_KEY: name for name, one in WORK.items()}
        refused = await store.rehearse(dict.fromkeys(names))
        assert {names[key] for key in refused} == set(WORK) - allowed, user
        assert all("permission denied" in str(error) for error in refused.values())
        assert (await store.datastore.list("/calico/")).revision == before


@pytest.mark.thorough
async def test_an_agent_may_take_and_give_back_addresses_and_watch(open_as: Callable[[str], Any]) -> None:
    datastore = await open_as("n1")
    allocator = Allocator(datastore, SystemClock(), Random(1))
    assert (await allocator.auto_assign(AssignRequest(node="n1", num4=1, handle="net.c1"))).v4
    assert await allocator.release_by_handle("net.c1")
    start = (await datastore.list("/calico/resources/")).revision
    await store_of(datastore).apply(ENDPOINT)
    watch = datastore.watch("/calico/resources/", start)
    assert (await anext(watch)).events[0].key.endswith("workloadendpoints/shop/n1-k8s-web-eth0")
    await watch.aclose()


@pytest.mark.thorough
async def test_an_agent_may_say_that_it_lives(open_as: Callable[[str], Any]) -> None:
    datastore = await open_as("n1")
    key = "/calico/felix/v2/no-region/host/n1/status"
    written = [await datastore.put(key, b"{}", lifetime=600) for _ in range(2)]
    stored = await datastore.get(key)
    assert (stored.created, stored.revision) == tuple(written)
