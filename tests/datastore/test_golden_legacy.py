"""What older writers stored is read right, and written back as it is stored today.

Each section of `golden/legacy.txt` is a key and its value, the resource that a reader must see, and
the value after that resource was read, changed in nothing, and applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tortie.api import codec
from tortie.api.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import parse_key, parse_resource_key
from tortie.datastore.resources import ResourceStore
from tortie.ipam.block import handle_of, held
from tortie.selector.check import selector_problem


class StoppedClock(SystemClock):
    def now(self) -> float:
        return 1787475600.0


class Legacy(NamedTuple):
    name: str
    key: str
    value: bytes
    read: str
    written: bytes
    outcome: str


def cases() -> list[Legacy]:
    text = (Path(__file__).parent / "golden" / "legacy.txt").read_text()
    found = []
    for section in text.removeprefix("## ").split("\n## "):
        stored, rest = section.split("\n-- read\n")
        name, key, value = stored.split("\n")
        read, written = rest.split("\n-- written back\n")
        same = written.startswith("nothing")
        stored_again = value if same else written.strip("\n")
        outcome = "unchanged" if same else "configured"
        found.append(Legacy(name, key, value.encode(), read, stored_again.encode(), outcome))
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
async def test_an_old_value_is_read_right_and_written_back_anew(case: Legacy) -> None:
    datastore = EmbeddedDatastore.open_memory()
    store = ResourceStore(datastore, StoppedClock(), selector_problem)
    await store.ensure_initialized()
    revision = await datastore.put(case.key, case.value)
    key = parse_resource_key(case.key)
    assert key is not None
    read = await store.get(key)
    assert read is not None
    assert read in await store.list(key.kind)
    shown = codec.to_mapping(read)
    assert shown["metadata"].pop("resourceVersion") == str(revision)
    assert shown == {"apiVersion": "projectcalico.org/v3", "kind": key.kind, **yaml.safe_load(case.read)}
    assert (await store.apply(read)).outcome == case.outcome
    stored = await datastore.get(case.key)
    assert stored is not None
    assert stored.value.decode() == case.written.decode()
    await datastore.close()


def test_a_claim_without_a_value_has_no_state() -> None:
    assert codec.decode_value(BlockAffinity, b"") == codec.decode_value(BlockAffinity, b"{}") == BlockAffinity()


def test_a_block_of_the_first_writers_is_read() -> None:
    stored = (
        b'{"cidr":"10.0.0.0/30","affinity":"host:a","hostAffinity":"a","strictAffinity":false,'
        b'"allocations":[0,null,null,null],"unallocated":[1,2,3],"attributes":[{"handle_id":"h\\r\\n","secondary":null}]}'
    )
    block = codec.decode_value(IPAMBlock, stored)
    assert [(ordinal, handle_of(holder)) for ordinal, holder in held(block)] == [(0, "h")]
    assert (block.host_affinity, block.sequence_number, block.sequence_number_for_allocation) == ("a", 0, {})


def test_lists_of_a_block_may_be_null() -> None:
    stored = b'{"cidr":"10.0.0.0/32","affinity":null,"allocations":[0],"unallocated":null,"attributes":[{}]}'
    assert codec.decode_value(IPAMBlock, stored).unallocated == ()


def test_settings_that_do_not_speak_of_new_blocks_forbid_them() -> None:
    assert codec.decode_value(IPAMConfig, b'{"strict_affinity":true}') == IPAMConfig(strict_affinity=True)
    assert not codec.decode_value(IPAMConfig, b"{}").auto_allocate_blocks


def test_an_empty_handle_holds_nothing() -> None:
    assert codec.decode_value(IPAMHandle, b'{"block":null,"deleted":false}') == IPAMHandle()


@pytest.mark.parametrize(
    "key",
    [
        "/calico/ipam/v2/host/n1",
        "/calico/ipam/v2/host/n1/ipv4/block/10.0.0.1-26",
        "/calico/ipam/v2/host/n1/ipv6/block/10.0.0.0-26",
        "/calico/ipam/v2/assignment/ipv6/block/fd00:0::-122",
        "/calico/ipam/v2/assignment/ipv4/10.0.0.0-26",
        "/calico/ipam/v2/handle/",
        "/calico/felix/v2/no-region/host/n1/status",
        "/calico/felix/v2/no-region/host/n1/workload/k8s/shop%2fweb-0/endpoint/eth0",
        "/calico/felix/v1/host/n1/endpoint/eth0",
        "/calico/dhcp/v2/no-region/subnet/1",
        "/calico/v1/Ready",
        "/calico/resources/v3/projectcalico.org/future/x",
        "/calico/resources/v3/projectcalico.org/tiers/a/b",
        "/calico/resources/v3/projectcalico.org/networkpolicies/x",
        "/calico/resources/v3/projectcalico.org/ippools/",
        "calico/resources/v3/projectcalico.org/ippools/x",
        "compact_rev_key",
        "",
    ],
)
def test_keys_of_others_name_nothing(key: str) -> None:
    assert parse_key(key) is None
