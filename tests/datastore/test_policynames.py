"""Old names of policies."""

from __future__ import annotations

import pytest

from tortie.api import codec
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.datastore.contract import Datastore
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.policynames import rename_policies

ROOT = "/calico/resources/v3/projectcalico.org/"
OLD = (
    b'{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"default.web",'
    b'"namespace":"shop","uid":"u"},"spec":{"tier":"default","selector":"all()","types":["Ingress"]}}'
)


async def names(datastore: Datastore) -> list[str]:
    return [item.key.removeprefix(ROOT) for item in (await datastore.list(ROOT)).items]


def written(name: str) -> bytes:
    """A policy as it is stored today, whose name begins as it likes."""
    spec = NetworkPolicySpec(selector="has(a)")
    return codec.encode(NetworkPolicy(metadata=Metadata(name=name, namespace="shop"), spec=spec))


@pytest.fixture
async def datastore() -> Datastore:
    return EmbeddedDatastore.open_memory()


async def test_an_old_name_loses_its_prefix_and_keeps_its_identity(datastore: Datastore) -> None:
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", OLD)
    (renamed,) = await rename_policies(datastore)
    assert renamed.new == ResourceKey("NetworkPolicy", "shop", "web")
    assert await names(datastore) == ["networkpolicies/shop/web"]
    stored = await datastore.get(f"{ROOT}networkpolicies/shop/web")
    assert stored is not None
    policy = codec.decode("NetworkPolicy", stored.value)
    assert (policy.metadata.name, policy.metadata.uid) == ("web", "u")
    assert await rename_policies(datastore) == []


async def test_a_name_that_is_meant_to_begin_so_stays(datastore: Datastore) -> None:
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", written("default.web"))
    assert await rename_policies(datastore) == []


async def test_a_policy_that_has_the_new_name_already_is_not_written_over(datastore: Datastore) -> None:
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", OLD)
    await datastore.put(f"{ROOT}networkpolicies/shop/web", written("web"))
    (renaming,) = await rename_policies(datastore)
    assert renaming.taken
    assert await names(datastore) == ["networkpolicies/shop/default.web", "networkpolicies/shop/web"]


async def test_an_interrupted_renaming_is_ended_by_the_next(datastore: Datastore) -> None:
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", OLD)
    await rename_policies(datastore)
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", OLD)
    assert [one.taken for one in await rename_policies(datastore)] == [False]
    assert await names(datastore) == ["networkpolicies/shop/web"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shop/web", written("other")),
        ("shop/default.web", OLD.replace(b"default.web", b"default.other")),
        ("shop/default.web", OLD.replace(b'"default.web"', b'"web"')),
        ("bank/default.web", OLD),
    ],
)
async def test_a_policy_that_calls_itself_something_else_is_told_and_stays(
    datastore: Datastore, key: str, value: bytes
) -> None:
    await datastore.put(f"{ROOT}networkpolicies/{key}", value)
    (renaming,) = await rename_policies(datastore)
    assert (renaming.disagrees, renaming.stayed) == (True, True)
    assert await names(datastore) == [f"networkpolicies/{key}"]


async def test_what_cannot_be_read_stays(datastore: Datastore) -> None:
    await datastore.put(f"{ROOT}networkpolicies/shop/default.web", b"no policy")
    assert await rename_policies(datastore) == []
