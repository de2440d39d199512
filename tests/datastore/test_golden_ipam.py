"""What address management stores is byte for byte what other writers store: keys, blocks, claims, handles, settings.

The dumps in `golden/ipam.txt` were written by hand from the published layout: all keys of address
management in the order of the keys, each followed by its value.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.ipam import BlockAttribute, IPAMConfig
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node
from tortie.api.resource import Metadata
from tortie.base.clock import SystemClock
from tortie.datastore.contract import Datastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.keys import IPAM_ROOT, parse_key, resource_key, stored_key
from tortie.datastore.values import decode_stored
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest

NODE = "n-1.example"
CNI = "k8s-pod-network.3fa9c1"
NOTES = {"pod": "web-0", "note": "a<b&c>d", "node": NODE, "namespace": "shop"}
EVERY_SETTING = IPAMConfig(True, True, 4, "Disabled", 60)


def sections() -> dict[str, dict[str, str]]:
    text = (Path(__file__).parent / "golden" / "ipam.txt").read_bytes().decode()
    found = {}
    for section in text.removeprefix("## ").split("\n## "):
        name, *lines = section.strip("\n").split("\n")
        found[name] = dict(zip(lines[::2], lines[1::2], strict=True))
    return found


DUMPS = sections()
PAIRS = [(key, value.encode()) for dump in DUMPS.values() for key, value in dump.items()]


class StoppedClock(SystemClock):
    def now(self) -> float:
        return 1787475600.0


async def opened(etcd: Any) -> Datastore:
    """An etcd with one pool of one block for each family, one for load balancers, and a node."""
    datastore = await EtcdDatastore.open(EtcdSettings(endpoints=[etcd.url]))
    specs = {
        "v4": {"cidr": "10.65.1.64/30", "blockSize": 30},
        "v6": {"cidr": "fd00:65::/126", "blockSize": 126},
        "lb": {"cidr": "192.0.2.0/30", "blockSize": 30, "allowedUses": ["LoadBalancer"]},
    }
    for name, spec in specs.items():
        pool = IPPool(metadata=Metadata(name=name), spec=msgspec.convert(spec, IPPoolSpec))
        await datastore.put(resource_key(pool.key), codec.encode(pool))
    node = Node(metadata=Metadata(name=NODE))
    await datastore.put(resource_key(node.key), codec.encode(node))
    return datastore


async def dump(datastore: Datastore) -> dict[str, str]:
    return {item.key: item.value.decode() for item in (await datastore.list(IPAM_ROOT)).items}


async def test_etcd_holds_exactly_these_bytes_after_each_step(etcd: Any) -> None:
    datastore = await opened(etcd)
    allocator = Allocator(datastore, StoppedClock(), random.Random(1))
    await allocator.set_config(EVERY_SETTING)
    request = AssignRequest(node=NODE, num4=1, num6=1, handle=CNI, attributes=NOTES)
    await allocator.auto_assign(request)
    assert await dump(datastore) == DUMPS["an address of each family is assigned"]
    await allocator.release_by_handle(CNI)
    assert await dump(datastore) == DUMPS["the handle is released and its addresses cool down"]
    await datastore.close()


async def test_etcd_holds_exactly_these_bytes_after_a_release_without_cooling(etcd: Any) -> None:
    datastore = await opened(etcd)
    allocator = Allocator(datastore, StoppedClock(), random.Random(1))
    await allocator.set_config(IPAMConfig(auto_allocate_blocks=True))
    await allocator.auto_assign(AssignRequest(node=NODE, num4=1, handle="h"))
    await allocator.auto_assign(AssignRequest(node=NODE, num4=1, handle="i"))
    await allocator.release_by_handle("h")
    await allocator.release_by_handle("i")
    assert await dump(datastore) == DUMPS["an address is assigned and released without cooling"]
    await datastore.close()


async def test_etcd_holds_exactly_these_bytes_for_load_balancers(etcd: Any) -> None:
    datastore = await opened(etcd)
    allocator = Allocator(datastore, StoppedClock(), random.Random(1))
    reserved = codec.decode(
        "IPReservation", b'{"metadata":{"name":"r"},"spec":{"reservedCIDRs":["192.0.2.0/31","192.0.2.2"]}}'
    )
    await datastore.put(resource_key(reserved.key), codec.encode(reserved))
    facts = {"type": "LoadBalancer", "service": "shop/web"}
    await allocator.auto_assign(AssignRequest(node="", num4=1, handle="lb-1", attributes=facts, use="LoadBalancer"))
    assert await dump(datastore) == DUMPS["a block is claimed for load balancers"]
    await datastore.close()


@pytest.mark.parametrize(("key", "value"), PAIRS, ids=lambda part: part if isinstance(part, str) else "")
def test_what_another_writer_stored_is_written_back_unchanged(key: str, value: bytes) -> None:
    name = parse_key(key)
    assert name is not None
    assert stored_key(name) == key
    assert codec.encode_value(decode_stored(name, value, 7)) == value


@pytest.mark.parametrize("kind", ["IPAMBlock", "BlockAffinity", "IPAMHandle", "IPAMConfig"])
def test_no_field_is_missing_from_the_dumps(kind: str) -> None:
    stored = [(name, value) for key, value in PAIRS if (name := parse_key(key)) and name.kind == kind]
    types = {type(decode_stored(name, value, 7)) for name, value in stored}
    names = {field.encode_name for type in types for field in msgspec.structs.fields(type)}
    held = {name for _, value in stored for name in msgspec.json.decode(value)}
    assert (len(types), names - held) == (1, set())


def test_no_field_of_a_holder_is_missing_from_the_dumps() -> None:
    names = {field.encode_name for field in msgspec.structs.fields(BlockAttribute)}
    blocks = [msgspec.json.decode(value) for key, value in PAIRS if "/assignment/" in key]
    assert names == {name for block in blocks for one in block["attributes"] or () for name in one}
