"""HostEndpoints from the datastore to the kernel of a host whose agent is the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.probe.model import Probe

pytestmark = [pytest.mark.system, pytest.mark.kernel]

World = Any
BGP = 179
OTHER_ADDRESS = "203.0.113.7"

ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{guarded: "yes"}}}}
spec: {{node: h1, {what}}}
"""
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: guard}
spec:
  order: 5
  selector: guarded == 'yes'
  types: [Ingress, Egress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
  egress: [{action: Allow}]
"""


@pytest.fixture
def host(settled: World) -> Iterator[World]:
    """The world, with a web server and a BGP speaker on the first host; left without host endpoints."""
    settled.lab.prober.listen("h1", 80, BGP)
    yield settled
    for key in (ResourceKey("GlobalNetworkPolicy", "", "guard"), *(ResourceKey("HostEndpoint", "", n) for n in "ab")):
        settled.delete(key)
    settled.until(lambda: reaches(settled), "open again")


def reaches(world: World, port: int = 80) -> bool:
    """Whether the second host reaches a port of the first."""
    address = world.lab.topology.host("h1").address(4)
    return bool(world.lab.probe(Probe("h2", address.partition("/")[0], port=port))[0].allowed)


def guard(world: World, name: str, what: str) -> None:
    world.apply(ENDPOINT.format(name=name, what=what))


def test_an_interface_is_guarded_from_the_moment_on_and_flows_go_on(host: World) -> None:
    assert reaches(host)
    guard(host, "a", "interfaceName: eth0")
    host.until(lambda: not reaches(host), "guarded")
    assert reaches(host, BGP), "a failsafe port"
    assert host.reaches("client", "server")
    assert host.reaches("client", "server", 6)
    assert host.report().host_endpoints == 1
    host.apply(POLICY)
    host.until(lambda: reaches(host), "allowed by policy")
    host.delete(ResourceKey("HostEndpoint", "", "a"))
    host.until(lambda: host.report().host_endpoints == 0, "gone")
    assert "eth0" not in host.ruleset()


def test_an_endpoint_that_names_addresses_follows_them(host: World) -> None:
    guard(host, "a", f"expectedIPs: [{OTHER_ADDRESS}]")
    host.until(lambda: "HostEndpoint a" in host.target("nftables").waiting, "nobody has the address")
    assert reaches(host)
    host.run("ip", "address", "add", f"{OTHER_ADDRESS}/32", "dev", "eth0")
    host.until(lambda: not reaches(host), "guarded")
    assert "HostEndpoint a" not in host.target("nftables").waiting
    host.run("ip", "address", "delete", f"{OTHER_ADDRESS}/32", "dev", "eth0")
    host.until(lambda: reaches(host), "free again")


def test_an_agent_that_starts_again_finds_all_right_and_rewrites_nothing(host: World) -> None:
    host.apply(POLICY)
    guard(host, "a", "interfaceName: eth0")
    guard(host, "b", "interfaceName: '*'")
    host.until(lambda: not reaches(host, 81) and reaches(host) and "eth0" in host.ruleset(), "guarded")
    host.until(lambda: host.report().host_endpoints == 2, "both")
    before = host.ruleset()
    host.kill()
    assert reaches(host)
    host.start()
    assert host.ruleset() == before


CLAIM = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: h1-k8s-thief-eth0, namespace: default}
spec: {orchestrator: k8s, node: h1, pod: thief, endpoint: eth0, interfaceName: eth0, ipNetworks: [10.65.0.9/32]}
"""


def test_a_workload_that_claims_an_interface_of_the_host_is_told_and_cuts_nothing(settled: World) -> None:
    key = ResourceKey("WorkloadEndpoint", "default", "h1-k8s-thief-eth0")
    try:
        settled.apply(CLAIM)
        settled.until(lambda: any("interface eth0" in one for one in settled.report().rejected.values()), "it is told")
        assert settled.reaches("client", "server")
        assert settled.run("cat", "/proc/sys/net/ipv4/conf/eth0/proxy_arp").strip() == "0"
    finally:
        settled.delete(key)
