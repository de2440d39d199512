"""Established flows that changed policy denies: cut where that is wanted, and no other flow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.assembly import StaticRoutes, plugin
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.services import AgentServices
from tortie.lab.topology import Topology, Workload

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

DENY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec:
  order: 1
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {action: Deny, source: {selector: role == 'client'}}
    - {action: Allow}
"""
DENY_KEY = ResourceKey("GlobalNetworkPolicy", "", "deny")
FLOWS = [(4, Transport.TCP), (6, Transport.TCP), (4, Transport.UDP), (4, Transport.ICMP)]


@pytest.fixture(scope="module")
def cutting(new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]) -> Iterator[World]:
    """One server, and on another host a client and a bystander; the server's agent cuts."""
    topology = new_topology(
        Workload("server", "h1", labels={"role": "server"}),
        Workload("client", "h2", labels={"role": "client"}),
        Workload("bystander", "h2", labels={"role": "bystander"}),
    )
    services = AgentServices(topology, bird=False, settings={"TORTIE_CONNTRACK_ON_POLICY_CHANGE": "CutMatching"})
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        yield world_of(lab, services)


def test_flows_that_are_denied_end_and_others_go_on(cutting: World) -> None:
    prober = cutting.lab.prober
    doomed = [prober.stream(cutting.probe("client", "server", *flow), 0.004) for flow in FLOWS]
    others = [prober.stream(cutting.probe("bystander", "server", *flow), 0.004) for flow in FLOWS]
    cutting.until(lambda: all(one.sent > 20 for one in (*doomed, *others)), "everything flows")
    cutting.apply(DENY)
    cutting.until(lambda: "tortie-cut" in cutting.run("nft", "list", "tables"), "flows are cut")
    before = [one.sent for one in doomed]
    cutting.until(lambda: all(one.sent > 300 + sent for one, sent in zip(doomed, before, strict=True)), "time passes")
    cut, alive = [[one.stop() for one in some] for some in (doomed, others)]
    assert all(one.lost >= 290 for one in cut), [str(one) for one in cut]
    assert [(one.lost, one.broken) for one in alive] == [(0, "")] * len(FLOWS), [str(one) for one in alive]
    tracked = cutting.run("conntrack", "-L", "-s", cutting.address("client"), "-d", cutting.address("server"))
    assert "ESTABLISHED" not in tracked
    cutting.delete(DENY_KEY)
    cutting.until(lambda: "tortie-cut" not in cutting.run("nft", "list", "tables"), "nothing is cut any more")
    assert cutting.reaches("client", "server")


def test_an_agent_that_starts_again_cuts_what_was_denied_meanwhile_and_keeps_what_was_cut(cutting: World) -> None:
    doomed = cutting.lab.prober.stream(cutting.probe("client", "server"), 0.004)
    alive = cutting.lab.prober.stream(cutting.probe("bystander", "server"), 0.004)
    cutting.until(lambda: doomed.sent > 20, "it flows")
    cutting.kill()
    cutting.apply(DENY)
    cutting.start()
    cutting.until(lambda: "tortie-cut" in cutting.run("nft", "list", "tables"), "it is cut")
    before = cutting.run("nft", "-s", "list", "table", "inet", "tortie-cut")
    cutting.kill()
    cutting.start()
    assert cutting.run("nft", "-s", "list", "table", "inet", "tortie-cut") == before
    assert doomed.stop().lost > 0
    assert (alive.stop().lost, alive.stop().broken) == (0, "")
    cutting.delete(DENY_KEY)
    cutting.until(lambda: "tortie-cut" not in cutting.run("nft", "list", "tables"), "nothing is cut any more")


GUARD = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: guard, labels: {guarded: "yes"}}
spec: {node: h1, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: guard}
spec:
  selector: guarded == 'yes'
  types: [Ingress, Egress]
  ingress: [{action: Allow}]
  egress: [{action: Allow}]
"""
FORBID = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forbid}
spec:
  order: 1
  selector: guarded == 'yes'
  types: [Ingress, Egress]
  ingress:
    - {action: Deny, protocol: TCP, destination: {ports: [8080]}}
    - {action: Allow}
  egress:
    - {action: Deny, protocol: TCP, destination: {ports: [8081]}}
    - {action: Allow}
"""
FORBID_FORWARD = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forbid}
spec:
  order: 1
  selector: guarded == 'yes'
  applyOnForward: true
  types: [Ingress]
  ingress:
    - {action: Deny, protocol: TCP, destination: {ports: [80]}}
    - {action: Allow}
"""


@pytest.fixture
def guarded(cutting: World) -> Iterator[World]:
    """The first host with a guard that lets everything pass."""
    for host in ("h1", "h2"):
        cutting.lab.prober.listen(host, 8080, 8081, 8082)
    cutting.apply(GUARD)
    cutting.until(lambda: cutting.report().host_endpoints == 1 and "eth0" in cutting.ruleset(), "guarded")
    yield cutting
    for kind, name in (("GlobalNetworkPolicy", "forbid"), ("HostEndpoint", "guard"), ("GlobalNetworkPolicy", "guard")):
        cutting.delete(ResourceKey(kind, "", name))
    cutting.until(lambda: "tortie-cut" not in cutting.run("nft", "list", "tables"), "nothing is cut any more")


def host_flow(world: World, source: str, to: str, port: int) -> Any:
    address = world.lab.topology.host(to).address(4).partition("/")[0]
    return world.lab.prober.stream(Probe(source, address, Transport.TCP, port), 0.004)


def are_cut_and_go_on(world: World, doomed: list[Any], others: list[Any], policy: str) -> None:
    world.until(lambda: all(one.sent > 20 for one in (*doomed, *others)), "everything flows")
    world.apply(policy)
    world.until(lambda: "tortie-cut" in world.run("nft", "list", "tables"), "flows are cut")
    before = [one.sent for one in doomed]
    world.until(lambda: all(one.sent > 200 + sent for one, sent in zip(doomed, before, strict=True)), "time passes")
    cut, alive = [[one.stop() for one in some] for some in (doomed, others)]
    assert all(one.lost >= 190 for one in cut), [str(one) for one in cut]
    assert [(one.lost, one.broken) for one in alive] == [(0, "")] * len(alive), [str(one) for one in alive]


def test_flows_to_and_from_a_guarded_host_are_cut_and_its_workloads_go_on(guarded: World) -> None:
    doomed = [host_flow(guarded, "h2", "h1", 8080), host_flow(guarded, "h1", "h2", 8081)]
    others = [
        host_flow(guarded, "h2", "h1", 8082),
        host_flow(guarded, "h1", "h2", 8082),
        guarded.lab.prober.stream(guarded.probe("client", "server"), 0.004),
    ]
    are_cut_and_go_on(guarded, doomed, others, FORBID)


def test_flows_forwarded_through_a_guarded_interface_are_cut_and_those_of_the_host_go_on(guarded: World) -> None:
    doomed = [guarded.lab.prober.stream(guarded.probe("client", "server"), 0.004)]
    others = [
        host_flow(guarded, "h2", "h1", 8082),
        guarded.lab.prober.stream(guarded.probe("client", "server", transport=Transport.ICMP), 0.004),
    ]
    are_cut_and_go_on(guarded, doomed, others, FORBID_FORWARD)
