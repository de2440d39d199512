"""From resources to packets, with real agents: translation, tunnels and limits of workloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.api.workloadendpoint import QoSControls, WorkloadEndpoint
from tortie.base.clock import SystemClock
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.cluster import POOLS, location
from tortie.lab.probe.model import Probe, Transport
from tortie.selector.check import selector_problem

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: {name}}}
spec: {{cidr: "{cidr}", {what}}}
"""
VXLAN = 4789


def set_pools(world: World, what: str = "natOutgoing: false") -> None:
    world.apply("---".join(POOL.format(name=name, cidr=cidr, what=what) for name, cidr in POOLS.items()))


@pytest.fixture
def pools(settled: World) -> Iterator[World]:
    yield settled
    set_pools(settled)
    settled.until(lambda: not optional_chains(settled), "as before")


def optional_chains(world: World) -> set[str]:
    """Base chains that are only there while something needs them."""
    words = world.ruleset().replace('"', " ").split()
    return {one for one in words if one.startswith(("nat-", "tunnel-", "packet-rates", "connection-limits"))}


def host_address(world: World, host: str) -> str:
    return world.lab.topology.host(host).address(4).partition("/")[0]


def test_workloads_leave_their_pools_with_the_address_of_their_host(pools: World) -> None:
    pools.lab.prober.listen("h2", 8080)
    ends = host_address(pools, "h1"), host_address(pools, "h2")
    set_pools(pools, "natOutgoing: true")
    pools.until(lambda: "nat-out" in optional_chains(pools), "translation")
    assert pools.lab.probe(Probe("server", ends[1], port=8080))[0].allowed
    assert f"src={ends[1]} dst={ends[0]}" in pools.run("conntrack", "-L", "-p", "tcp")
    assert pools.reaches("client", "server"), "inside the pools nothing is translated"


def test_a_tunnel_from_a_host_without_one_ends_outside(pools: World) -> None:
    pools.lab.prober.listen("h1", VXLAN)
    probe = Probe("h2", host_address(pools, "h1"), Transport.UDP, VXLAN)
    assert pools.lab.probe(probe)[0].allowed
    # No pool gives addresses to tunnels, so that no node has an end of one.
    set_pools(pools, "vxlanMode: Always, allowedUses: [Workload]")
    pools.until(lambda: "tunnel-admission" in optional_chains(pools), "admission")
    assert not pools.lab.probe(probe)[0].allowed
    assert pools.reaches("client", "server")


async def _limit(world: World, controls: QoSControls | None) -> None:
    """Of the server."""
    datastore = await open_datastore(location(world.lab.topology))
    try:
        store = ResourceStore(datastore, SystemClock(), selector_problem)
        wanted = world.address("server")
        for one in await store.list("WorkloadEndpoint"):
            if isinstance(one, WorkloadEndpoint) and f"{wanted}/32" in one.spec.ip_networks:
                spec = msgspec.structs.replace(one.spec, qos_controls=controls)
                await store.update(msgspec.structs.replace(one, spec=spec))
    finally:
        await datastore.close()


def test_limits_of_an_endpoint_are_in_the_kernel_and_go_again(pools: World) -> None:
    def queues() -> list[str]:
        shown = json.loads(pools.run("tc", "-j", "qdisc", "show"))
        return sorted(one["dev"][:4] for one in shown if one["kind"] == "tbf")

    asked = QoSControls(
        ingress_packet_rate=100, egress_max_connections=9, ingress_bandwidth=10**8, egress_bandwidth=10**8
    )
    asyncio.run(_limit(pools, asked))
    pools.until(lambda: optional_chains(pools) >= {"packet-rates", "connection-limits"}, "limits")
    pools.until(lambda: len(queues()) == 2, "queues")
    assert queues()[1] == "cali"
    assert pools.reaches("client", "server")
    asyncio.run(_limit(pools, None))
    pools.until(lambda: not optional_chains(pools) and not queues(), "no limits")
