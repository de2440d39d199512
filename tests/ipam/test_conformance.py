"""Address management against the cases that other implementations publish for themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.api.ipam import BlockAttribute, IPAMConfig
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.base.errors import TortieError
from tortie.datastore.keys import resource_key
from tortie.ipam.audit import Snapshot, audit
from tortie.ipam.block import assign, new_block
from tortie.ipam.errors import NoPool, NotEnoughAddresses
from tortie.ipam.pools import Pool, PoolRequest, choose, select
from tortie.ipam.ranges import of_prefixes
from tortie.ipam.requests import Assignment, AssignRequest, ReleaseRequest
from tortie.ipam.usage import usage

DATA = Path(__file__).parents[1] / "conformance" / "data" / "ipam.json"
CASES: list[dict[str, Any]] = json.loads(DATA.read_text())["cases"]

CONDITIONS = {
    "no qualified pool": "no pool for use",
    "no configured pools for node": "no IPv4 pool for node",
    "already assigned": "already assigned",
    "conflict": "assigned anew",
    "smaller than the minimum": "smaller than the minimum",
    "not allowed for use": "not allowed for use",
    "pool of the wrong IP version": "wrong IP version",
    "pool does not exist or is not enabled": "does not exist or is not enabled",
}
"""The conditions that cases expect, and the words by which our errors name them."""

MESSAGES = {"No IPs available": "no addresses left", "No more free affine blocks": "strict affinity is on"}


def of_kind(kind: str) -> Any:
    chosen = [case for case in CASES if case["kind"] == kind]
    return pytest.mark.parametrize("case", chosen, ids=[f"{case['id']} {case['name']}" for case in chosen])


def snake(name: str) -> str:
    return re.sub(r"([a-z])([A-Z]+)", r"\1_\2", name).lower()


def pools_of(case: dict[str, Any]) -> list[Pool]:
    return [
        Pool.of(IPPool(metadata=Metadata(name=f"pool-{number:03}"), spec=msgspec.convert(pool, IPPoolSpec)))
        for number, pool in enumerate(case["pools"])
    ]


@of_kind("select-pools")
def test_the_expected_pools_are_selected(case: dict[str, Any]) -> None:
    request = PoolRequest(
        family=case["ipVersion"],
        use="Workload",
        node="n",
        node_labels=case["nodeLabels"],
        namespace_labels=case.get("namespace", {}).get("labels", {}),
        requested=tuple(case["requestedPools"]),
    )
    if case["expect"]["error"]:
        with pytest.raises(NoPool):
            choose(pools_of(case), request)
        return
    found = [pool.cidr for pool in select(pools_of(case), request)]
    assert found == [Cidr.parse(text) for text in case["expect"]["pools"]]


@of_kind("utilisation")
def test_the_expected_usage_is_counted(case: dict[str, Any]) -> None:
    (pool,) = pools_of(case)
    cidr = Cidr.parse(case["expect"]["block"]["cidr"])
    held = [Cidr.host(text).address - cidr.address for text in case["assigned"]]
    block = assign(new_block(cidr, "host:n", 0), held, BlockAttribute(handle_id="h"))
    reserved = of_prefixes(map(Cidr.parse, case["reservations"]), 4)
    for prefix, expect in ((pool.cidr, case["expect"]["pool"]), (cidr, case["expect"]["block"])):
        got = usage(prefix, [block], reserved)
        assert (got.capacity, got.in_use, got.reserved, got.available) == tuple(
            expect[name] for name in ("capacity", "inUse", "reserved", "available")
        )


@of_kind("partial-fulfilment")
def test_a_shortfall_is_an_error_for_those_who_want_all(case: dict[str, Any]) -> None:
    given = tuple(Cidr(4, number, 32) for number in range(case["assigned"]))
    assignment = Assignment(v4=given, messages=tuple(case["messages"]))
    if not case["expect"]["error"]:
        assignment.require(case["requested"], 0)
        return
    with pytest.raises(NotEnoughAddresses, match="No IPs available"):
        assignment.require(case["requested"], 0)


@of_kind("assign")
async def test_the_expected_addresses_are_assigned(case: dict[str, Any], cluster: Any) -> None:
    story = Story(case, cluster)
    await story.set_up()
    for step in case["steps"]:
        await story.perform(step)
    assert [finding for finding in audit(await cluster.snapshot()) if finding.kind != "claim-without-block"] == []


class Story:
    """One narrative case: its cluster, and the results that later steps refer to."""

    def __init__(self, case: dict[str, Any], cluster: Any) -> None:
        self.case = case
        self.cluster = cluster
        self.allocator = cluster.allocator
        self.saved: dict[str, Any] = {}
        self.last: Assignment = Assignment()
        self.pool_names: dict[Cidr, str] = {}

    async def set_up(self) -> None:
        nodes = self.case["nodes"]
        for name in nodes:
            await self.cluster.node(name, nodes[name] if isinstance(nodes, dict) else {})
        for pool in self.case["pools"]:
            await self.apply_pool(pool)
        await self.cluster.reserve(self.case.get("reservations", ()))
        if self.case.get("strictAffinity"):
            await self.allocator.set_config(IPAMConfig(strict_affinity=True, auto_allocate_blocks=True))

    async def apply_pool(self, pool: dict[str, Any]) -> None:
        cidr = Cidr.parse(pool["cidr"])
        name = self.pool_names.setdefault(cidr, f"pool-{len(self.pool_names):03}")
        await self.cluster.pool(name, **pool)

    async def perform(self, step: dict[str, Any]) -> None:
        expect = step["expect"]
        wanted = expect.get("error")
        try:
            await getattr(self, f"do_{snake(step['op'])}")(step, expect)
        except TortieError as error:
            assert wanted, error
            assert CONDITIONS[wanted] in str(error)
            return
        assert not wanted, f"no error: {wanted}"

    async def do_auto_assign(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        request = AssignRequest(
            node=step["node"],
            num4=step["num4"],
            num6=step["num6"],
            handle=step.get("handle"),
            use=step["use"],
            pools4=tuple(step.get("requestedPools", ())),
            pools6=tuple(step.get("requestedPools6", ())),
            max_blocks=step.get("maxBlocksPerHost", 0),
            max_per_handle=step.get("maxAllocToHandlePerIPVersion", 0),
        )
        self.last = await self.allocator.auto_assign(request)
        if "save" in step:
            self.saved[step["save"]] = self.last
        for family, got in (("v4", self.last.v4), ("v6", self.last.v6)):
            self.check_family(expect.get(family), got)

    def check_family(self, expect: dict[str, Any] | None, got: Sequence[Cidr]) -> None:
        if expect is None:
            assert not got
            return
        assert len(got) == expect["count"]
        assert len(set(got)) == len(got)
        if "inPool" in expect:
            assert all(Cidr.parse(expect["inPool"]).contains(address) for address in got)
        for text in expect.get("notIn", ()):
            assert not any(Cidr.parse(text).contains(address) for address in got)
        if "equals" in expect:
            name, _, family = expect["equals"].removeprefix("$").partition(".")
            assert got == getattr(self.saved[name], family)
        for text in expect.get("messages", ()):
            ours = next(words for start, words in MESSAGES.items() if text.startswith(start))
            assert any(ours in message for message in self.last.messages)
        if expect.get("messages") == []:
            assert self.last.messages == ()
        assert expect.keys() <= {"count", "inPool", "notIn", "equals", "messages"}

    async def do_assign_ip(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        (address,) = self.addresses(step["ip"])
        node = step.get("node") or next(iter(self.case["nodes"]))
        if "starts at sequence number 0" in self.case.get("note", ""):
            await self.start_at_zero(address, node)
        await self.allocator.assign_address(address, node, step.get("handle"), {}, step.get("use", ""))

    async def start_at_zero(self, address: Cidr, node: str) -> None:
        block = Cidr(4, address.address & ~63, 26)
        await self.allocator.claim_affinity(block, node)
        (key,) = [item.key for item in (await self.cluster.datastore.list("/calico/ipam/v2/assignment/")).items]
        stored = json.loads((await self.cluster.datastore.get(key)).value)
        await self.cluster.datastore.put(key, json.dumps({**stored, "sequenceNumber": 0}).encode())

    async def do_release(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        number = step.get("sequenceNumber")
        number = self.saved[number.removeprefix("$")] if isinstance(number, str) else number
        addresses = self.addresses(step.get("ips", step.get("ip")))
        requests = [ReleaseRequest(address, step.get("handle"), number) for address in addresses]
        result = await self.allocator.release(requests)
        assert [address.text for address in result.unallocated] == expect.get("unallocated", [])
        assert len(result.released) == expect.get("released", len(requests))

    async def do_release_by_handle(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        assert await self.allocator.release_by_handle(step["handle"])

    async def do_claim_affinity(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        result = await self.allocator.claim_affinity(Cidr.parse(step["cidr"]), step["node"])
        assert (len(result.claimed), len(result.failed)) == (expect["claimedBlocks"], expect["failedBlocks"])

    async def do_set_config(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        await self.allocator.set_config(
            IPAMConfig(strict_affinity=step["strictAffinity"], auto_allocate_blocks=step["autoAllocateBlocks"])
        )

    async def do_get_config(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        config = await self.allocator.get_config()
        assert config.strict_affinity == expect["strictAffinity"]
        assert config.auto_allocate_blocks == expect["autoAllocateBlocks"]

    async def do_apply_pool(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        await self.apply_pool(step["pool"])

    async def do_apply_node(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        await self.cluster.node(step["node"], step["labels"])

    async def do_delete_pools(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        for cidr in map(Cidr.parse, step["cidrs"]):
            name = self.pool_names[cidr]
            await self.cluster.pool(name, str(cidr), disabled=True)
            await self.allocator.release_pool(cidr)
            pool = IPPool(metadata=Metadata(name=name), spec=IPPoolSpec())
            await self.cluster.datastore.delete(resource_key(pool.key))

    async def do_read_sequence_number(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        (address,) = self.addresses(f"${step['of']}")
        blocks = (await self.cluster.snapshot()).blocks.items()
        cidr, block = next((cidr, block) for cidr, block in blocks if cidr.contains(address))
        number = block.sequence_number_for_allocation[str(address.address - cidr.address)]
        self.saved[step["save"]] = number
        if "equals" in expect:
            name, _, more = expect["equals"].removeprefix("$").partition(" + ")
            assert number == self.saved[name] + int(more)

    async def do_expect(self, step: dict[str, Any], expect: dict[str, Any]) -> None:
        snapshot: Snapshot = await self.cluster.snapshot()
        affine = [(owner.removeprefix("host:"), block) for owner, block in snapshot.claims]
        for node, count in expect.get("affine", {}).items():
            assert sum(owner == node for owner, _ in affine) == count
        for node, cidrs in expect.get("affineIn", {}).items():
            blocks = [block for owner, block in affine if owner == node]
            assert all(any(Cidr.parse(text).contains(block) for text in cidrs) for block in blocks)
        if "blocks" in expect:
            assert len(snapshot.blocks) == expect["blocks"]
        for handle, count in expect.get("handle", {}).items():
            held = await self.allocator.addresses_of(handle)
            assert (handle in snapshot.handles) == (count != "error")
            assert len(held) == (0 if count == "error" else count)
        assert expect.keys() <= {"affine", "affineIn", "blocks", "handle"}

    def addresses(self, given: str | list[str]) -> list[Cidr]:
        """The addresses that a step means: texts, `$saved`, `$saved[index]`, or all of the step before."""
        if isinstance(given, list):
            return [address for text in given for address in self.addresses(text)]
        if given == "all addresses of the previous step":
            return [*self.last.v4, *self.last.v6]
        if not given.startswith("$"):
            return [Cidr.host(given)]
        name, _, index = given.removeprefix("$").rstrip("]").partition("[")
        saved = [*self.saved[name].v4, *self.saved[name].v6]
        return [saved[int(index)]] if index else saved
