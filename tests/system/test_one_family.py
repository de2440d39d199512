"""Clusters of one family alone: hosts, workloads, policy and BGP do without the other, encrypted or in an overlay."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tortie.lab.assembly import plugin
from tortie.lab.cluster import POOLS
from tortie.lab.lab import Lab
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

SUBNETS = {4: "172.31.0.0/24", 6: "fd00:31::/64"}
WORKLOADS = tuple(Workload(f"w{n}", f"h{n}", labels={"name": f"w{n}"}) for n in (1, 2))
POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: pool{family}}}
spec: {{cidr: "{cidr}", vxlanMode: {mode}, natOutgoing: true}}
"""
FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {wireguardEnabled: true, wireguardEnabledV6: true}
"""
CALM = FELIX.replace("true", "false")
DENY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: only}
spec:
  selector: name == 'w1'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [81]}}]
"""


@pytest.fixture(scope="module", params=[4, 6], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def alone(family: int, world_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two hosts with addresses of one family, pools of that family, and BIRD."""
    base = SUBNETS[family].partition("/")[0].removesuffix("0") if family == 4 else "fd00:31::"
    hosts = tuple(Host(f"h{n}", (f"{base}{n}",)) for n in (1, 2))
    directory = str(tmp_path_factory.mktemp("lab"))
    topology = Topology(f"s{os.getpid()}x{family}", hosts, WORKLOADS, (SUBNETS[family],), directory)
    services = AgentServices(topology, settings={"TORTIE_ROUTER_ID": "hash"} if family == 6 else {})
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


def way(world: World, family: int) -> str:
    shown = world.run("ip", "-j", "route", "get", world.address("w2", family))
    return str(json.loads(shown)[0]["dev"]) if shown.strip() else ""


def both(world: World, family: int) -> bool:
    return world.reaches("w1", "w2", family) and world.reaches("w2", "w1", family)


def test_bgp_carries_it_and_nothing_is_amiss(alone: World, family: int) -> None:
    alone.until(lambda: both(alone, family), "workloads reach each other")
    alone.until(lambda: {one.state for one in alone.report().bgp} == {"Established"}, "BGP")
    assert all((":" in one) == (family == 6) for one in alone.lab.attachment("w1").addresses)
    assert [alone.report(host).problems for host in ("h1", "h2")] == [[], []]


def test_policy_holds(alone: World, family: int) -> None:
    alone.apply(DENY)
    alone.until(lambda: not alone.reaches("w2", "w1", family), "denied")
    alone.apply(DENY.replace("[81]", "[80]"))
    alone.until(lambda: alone.reaches("w2", "w1", family), "allowed")


def test_overlays_carry_it(alone: World, family: int) -> None:
    device = {4: "vxlan.calico", 6: "vxlan-v6.calico"}[family]
    for mode, leaves_by in (("Always", device), ("Never", "eth0")):
        alone.apply(POOL.format(family=family, cidr=POOLS[f"pool{family}"], mode=mode))
        alone.until(lambda leaves_by=leaves_by: way(alone, family) == leaves_by, mode)
        alone.until(lambda: both(alone, family), "workloads reach each other")
    assert alone.report().problems == []


def test_encryption_carries_it_and_tells_what_the_other_family_lacks(alone: World, family: int) -> None:
    device = {4: "wireguard.cali", 6: "wg-v6.cali"}[family]
    alone.apply(FELIX)
    alone.until(lambda: way(alone, family) == device, "a route into WireGuard")
    alone.until(lambda: both(alone, family), "workloads reach each other")
    alone.apply(CALM)
    alone.until(lambda: way(alone, family) == "eth0", "in the clear")
    alone.until(lambda: both(alone, family), "workloads reach each other")
