"""What a newer writer stored, and nobody here can read, is not lost without a word."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tortie.api import codec
from tortie.api.foreign import carry_over
from tortie.api.ipam import IPAMBlock
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node
from tortie.api.policy import NetworkPolicy
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.rules import EntityRule, Rule
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import block_key, resource_key
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest
from tortie.selector.check import selector_problem

KEY = ResourceKey("NetworkPolicy", "shop", "web")
NEWER = b"""{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","future":1,
"metadata":{"name":"web","namespace":"shop","uid":"u","newerMeta":"<&>","labels":{"projectcalico.org/tier":"default"},
  "finalizers":["example.com/guard"]},
"spec":{"tier":"default","newerSpec":{"deep":[1,2,{"x":null}]},
  "ingress":[
    {"action":"Allow","protocol":"tcp","source":{"fqdns":["a.example"]},"destination":{"ports":["80"]}},
    {"action":"Deny"},
    {"action":"Allow","newerRule":true,"http":{"methods":["GET"],"newerHttp":1}}],
  "types":["Ingress"]}}"""
CLOSED = {"source": {"fqdns": ["a.example"]}}
ALLOW = Rule(action="Allow", protocol="TCP", destination=EntityRule(ports=(80,)))


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    datastore = EmbeddedDatastore.open_memory()
    yield datastore
    await datastore.close()


@pytest.fixture
async def store(datastore: EmbeddedDatastore) -> ResourceStore:
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    await store.ensure_initialized()
    await datastore.put(resource_key(KEY), NEWER)
    return store


async def policy(store: ResourceStore) -> NetworkPolicy:
    found = await store.get(KEY)
    assert isinstance(found, NetworkPolicy)
    return found


async def stored(datastore: EmbeddedDatastore) -> Any:
    found = await datastore.get(resource_key(KEY))
    assert found is not None
    return msgspec.json.decode(found.value)


def labelled(resource: NetworkPolicy) -> NetworkPolicy:
    metadata = msgspec.structs.replace(resource.metadata, labels={"a": "b"})
    return msgspec.structs.replace(resource, metadata=metadata)


def with_ingress(resource: NetworkPolicy, *rules: Rule) -> NetworkPolicy:
    return msgspec.structs.replace(resource, spec=msgspec.structs.replace(resource.spec, ingress=rules))


@pytest.mark.parametrize("write", ["apply", "update"])
async def test_a_change_of_a_label_keeps_them_all(write: str, store: ResourceStore, datastore: Any) -> None:
    await getattr(store, write)(labelled(await policy(store)))
    after = await stored(datastore)
    assert after["future"] == 1
    assert after["metadata"]["newerMeta"] == "<&>"
    assert after["metadata"]["labels"]["a"] == "b"
    assert after["spec"]["newerSpec"] == {"deep": [1, 2, {"x": None}]}
    first, _, third = after["spec"]["ingress"]
    assert first == {"action": "Allow", "protocol": "TCP", "destination": {"ports": [80]}, **CLOSED}
    assert (third["newerRule"], third["http"]) == (True, {"methods": ["GET"], "newerHttp": 1})


async def test_bytes_with_them_are_spelt_as_all_stored_bytes(store: ResourceStore, datastore: Any) -> None:
    await store.apply(labelled(await policy(store)))
    assert b'"newerMeta":"\\u003c\\u0026\\u003e"' in (await datastore.get(resource_key(KEY))).value


async def test_applying_the_same_again_changes_nothing(store: ResourceStore) -> None:
    first = await store.apply(labelled(await policy(store)))
    assert first.outcome == "configured"
    assert (await store.apply(first.resource)).outcome == "unchanged"


async def test_rules_take_them_along_to_another_place(store: ResourceStore, datastore: Any) -> None:
    first, second, third = (await policy(store)).spec.ingress
    await store.apply(with_ingress(await policy(store), Rule(action="Log"), third, first))
    ingress = (await stored(datastore))["spec"]["ingress"]
    assert ["newerRule" in rule for rule in ingress] == [False, True, False]
    assert [rule.get("source") for rule in ingress] == [None, None, CLOSED["source"]]
    assert second == Rule(action="Deny")


async def test_a_file_that_would_lose_one_is_refused_by_its_path(store: ResourceStore, datastore: Any) -> None:
    broader = with_ingress(await policy(store), msgspec.structs.replace(ALLOW, protocol="UDP"), Rule(action="Deny"))
    with pytest.raises(InvalidResource) as refused:
        await store.apply(broader)
    assert [problem.path for problem in refused.value.problems] == [
        "spec.ingress[0].source.fqdns",
        "spec.ingress[2].newerRule",
        "spec.ingress[2].http.newerHttp",
    ]
    assert "not known here" in str(refused.value)
    assert (await stored(datastore))["spec"]["ingress"][0]["source"] == CLOSED["source"]


async def test_a_program_that_replaces_the_part_says_so_in_its_log(store: ResourceStore, datastore: Any) -> None:
    with capture_logs() as logged:
        await store.update(with_ingress(await policy(store)))
    after = await stored(datastore)
    assert "ingress" not in after["spec"]
    assert after["spec"]["newerSpec"]
    assert [one["event"] for one in logged] == ["unknown_fields_lost"]


async def test_a_file_does_not_take_away_metadata_that_it_does_not_speak_of(
    store: ResourceStore, datastore: Any
) -> None:
    read = await policy(store)
    bare = msgspec.structs.replace(read, metadata=Metadata(name="web", namespace="shop", annotations={"n": "1"}))
    await store.apply(bare)
    metadata = (await stored(datastore))["metadata"]
    assert (metadata["finalizers"], metadata["uid"], metadata["newerMeta"]) == (["example.com/guard"], "u", "<&>")
    assert set(metadata["annotations"]) == {"n", codec.NAME_ANNOTATION}


async def test_a_part_that_is_taken_away_takes_them_along_only_when_nobody_is_asked() -> None:
    before = b'{"spec":{"bgp":{"asNumber":1,"newer":2}}}'
    known = b'{"spec":{"bgp":{"asNumber":1}}}'
    carried = carry_over(before, known, b'{"spec":{}}', Node)
    assert (carried.data, carried.lost) == (b'{"spec":{}}', ("spec.bgp.newer",))
    assert carry_over(before, known, b'{"spec":{"bgp":{"asNumber":3}}}', Node).data == (
        b'{"spec":{"bgp":{"asNumber":3,"newer":2}}}'
    )


async def test_blocks_keep_them_through_assignment_and_release(datastore: EmbeddedDatastore) -> None:
    pool = IPPool(
        metadata=Metadata(name="p"), spec=IPPoolSpec(cidr="10.0.0.0/30", block_size=30, allowed_uses=("Workload",))
    )
    for resource in (pool, Node(metadata=Metadata(name="a"))):
        await datastore.put(resource_key(resource.key), codec.encode(resource))
    key = block_key("10.0.0.0/30")
    block = {
        "cidr": "10.0.0.0/30",
        "affinity": "host:a",
        "newer": {"since": "v4"},
        "allocations": [1, 0, None, None],
        "unallocated": [2, 3],
        "attributes": [{"handle_id": "h", "lease": 7}, {"handle_id": "i"}],
        "sequenceNumber": 5,
        "sequenceNumberForAllocation": {},
        "deleted": False,
    }
    await datastore.put(key, msgspec.json.encode(block))
    await datastore.put("/calico/ipam/v2/host/a/ipv4/block/10.0.0.0-30", b'{"state":"confirmed","deleted":false,"x":1}')
    await datastore.put("/calico/ipam/v2/handle/i", b'{"block":{"10.0.0.0/30":1},"deleted":false}')
    allocator = Allocator(datastore, SystemClock(), random.Random(1))
    await allocator.auto_assign(AssignRequest(node="a", num4=1, handle="j"))
    await allocator.release_by_handle("i")
    found = await datastore.get(key)
    assert found is not None
    after = msgspec.json.decode(found.value)
    assert after["newer"] == {"since": "v4"}
    assert after["attributes"][0] == {"handle_id": "h", "lease": 7}
    assert [attribute["handle_id"] for attribute in after["attributes"]] == ["h", "j"]
    assert codec.decode_value(IPAMBlock, found.value).sequence_number == 7
