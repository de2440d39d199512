"""Hosts without IPv4 between them carry IPv4 of their workloads: routes with IPv6 next hops (RFC 8950)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.base.errors import Unavailable
from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.routers import Frr, WithRouters
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

ROUTER = "fd00:31::101"
GATEWAY = "fd00:31::ffff:ffff:ffff:fffe"

FRR = Frr(
    """
router bgp 65101
bgp router-id 10.255.0.1
no bgp ebgp-requires-policy
no bgp default ipv4-unicast
neighbor fd00:31::1 remote-as 64512
neighbor fd00:31::1 timers connect 1
neighbor fd00:31::1 capability extended-nexthop
neighbor fd00:31::2 remote-as 64512
neighbor fd00:31::2 timers connect 1
address-family ipv4 unicast
neighbor fd00:31::1 activate
exit-address-family
address-family ipv6 unicast
neighbor fd00:31::2 activate
exit-address-family
"""
)
RESOURCES = """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default, annotations: {tortie/extended-next-hop: Enabled}}
spec: {asNumber: 64512}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: router, annotations: {tortie/extended-next-hop: Enabled}}
spec: {node: h1, peerIP: "fd00:31::101", asNumber: 65101}
"""


@pytest.fixture(scope="module")
def world(
    open_directory: Path, new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]
) -> Iterator[World]:
    bare = new_topology()
    hosts = tuple(msgspec.structs.replace(host, addresses=(host.address(6),)) for host in bare.hosts)
    inside = msgspec.structs.replace(
        bare, hosts=hosts, subnets=bare.subnets[1:], directory=str(open_directory), workload_families=(4, 6)
    )
    whole = msgspec.structs.replace(inside, hosts=(*hosts, Host("router", (ROUTER,))))
    workloads = (Workload("one", "h1"), Workload("two", "h2"))
    inside, whole = (msgspec.structs.replace(topology, workloads=workloads) for topology in (inside, whole))
    agents = AgentServices(inside)
    with Lab(whole, WithRouters(agents, {"router": FRR}), plugin(inside)) as lab:
        one = world_of(lab, agents)
        one.apply(RESOURCES)
        yield one


def test_ipv4_of_workloads_crosses_hosts_that_have_ipv6_only(world: World) -> None:
    for host in ("h1", "h2"):
        assert "inet " not in world.run("ip", "-4", "address", "show", "dev", "eth0", host=host)
        # A host answers ARP for its workloads' gateway only where a route leads there.
        world.run("ip", "-4", "route", "replace", "default", "via", "inet6", GATEWAY, "dev", "eth0", host=host)
    world.until(lambda: "via inet6 fd00:31::2 dev eth0 proto bird" in world.run("ip", "-4", "route"), "the route")
    world.until(lambda: world.reaches("one", "two", 4), "packets of IPv4")
    assert world.reaches("two", "one", 4)
    assert world.reaches("one", "two", 6)


def test_a_router_of_others_learns_ipv4_with_an_ipv6_next_hop(world: World) -> None:
    def next_hops() -> set[str]:
        try:
            shown = Frr.ask(world.lab.place("router"), "show bgp ipv4 unicast json")
        except Unavailable:
            return set()
        paths = [path for held in shown["routes"].values() for path in held]
        return {hop["ip"] for path in paths for hop in path["nexthops"] if hop.get("scope") == "global"}

    world.until(lambda: next_hops() == {"fd00:31::1"}, "IPv4 routes by IPv6", patience=30)
    kernel = json.loads(world.run("ip", "-4", "-j", "route", "show", "proto", "bgp", host="router"))
    assert kernel
