"""What a cluster is called by."""

from __future__ import annotations

import msgspec

from tortie.api.clusterinformation import ClusterInformation, ClusterInformationSpec
from tortie.api.resource import Metadata
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.identity import with_identity
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

UUID = "9c1f0a3b-e5d7-4e0f-8a6c-2d1b4e7f9012"


def information(**fields: object) -> ClusterInformation:
    spec = msgspec.structs.replace(ClusterInformationSpec(), **fields)
    return ClusterInformation(metadata=Metadata(name="default"), spec=spec)


def test_a_new_cluster_is_ready_and_has_an_identity_of_32_digits() -> None:
    made = with_identity(None, "bgp,etcd", UUID).spec
    assert (made.cluster_guid, made.cluster_type, made.datastore_ready) == (UUID.replace("-", ""), "bgp,etcd", True)


def test_what_is_there_stays_and_words_are_added_once() -> None:
    old = information(cluster_guid="abc", cluster_type="k8s,bgp", calico_version="v3.32.1", datastore_ready=False)
    assert with_identity(old, "bgp", UUID) == old
    assert with_identity(old, "", UUID) == old
    more = with_identity(old, "bgp,tortie,tortie", UUID).spec
    assert more == msgspec.structs.replace(old.spec, cluster_type="k8s,bgp,tortie")


def test_an_identity_that_is_missing_is_given() -> None:
    assert with_identity(information(), "", UUID).spec.cluster_guid == UUID.replace("-", "")


async def test_initialisation_gives_one_identity_for_good() -> None:
    datastore = EmbeddedDatastore.open_memory()
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    await store.ensure_initialized("tortie")
    first = await store.list("ClusterInformation")
    await store.ensure_initialized("tortie")
    assert await store.list("ClusterInformation") == first
    assert len(first) == 1
    await datastore.close()
