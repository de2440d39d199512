"""FelixConfigurations from the datastore to packets, with the real agent, which nobody starts again for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.assembly import StaticRoutes, plugin
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe
from tortie.lab.probe.watch import FIRST_ALLOWED, Watch
from tortie.lab.services import AgentServices
from tortie.lab.topology import Topology, Workload

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: {name}}}
spec: {{{what}}}
"""
GUARD = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: guard}
spec: {node: h1, interfaceName: eth0}
"""
SAFE, OTHER, NEVER = 179, 8080, 8083


def configure(world: World, what: str, name: str = "default") -> None:
    world.apply(FELIX.format(name=name, what=what))


@pytest.fixture(scope="module")
def silent(new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]) -> Iterator[World]:
    """Two hosts that say nothing by themselves."""
    topology = new_topology(Workload("server", "h1"), Workload("client", "h2"))
    services = AgentServices(topology, bird=False, settings={"TORTIE_DEFAULT_ENDPOINT_TO_HOST_ACTION": ""})
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        yield world_of(lab, services)


@pytest.fixture
def host(silent: World) -> Iterator[World]:
    """These, with two servers on the first host; left without FelixConfigurations, and as it was."""
    silent.lab.prober.listen("h1", SAFE, OTHER, NEVER)
    before = silent.ruleset()
    yield silent
    for kind, name in (("FelixConfiguration", "default"), ("FelixConfiguration", "node.h1"), ("HostEndpoint", "guard")):
        silent.delete(ResourceKey(kind, "", name))
    silent.until(lambda: rules(silent.ruleset()) == rules(before), "as before")


def rules(text: str) -> list[str]:
    """Without what tells when they were written."""
    return [line.partition(" # handle")[0] for line in text.splitlines()]


def reaches(world: World, source: str, port: int) -> bool:
    address = world.lab.topology.host("h1").address(4).partition("/")[0]
    return bool(world.lab.probe(Probe(source, address, port=port))[0].allowed)


def test_failsafes_change_under_traffic_and_come_back_with_the_default(host: World) -> None:
    flow = host.lab.prober.stream(host.probe("client", "server"), 0.004)
    host.apply(GUARD)
    host.until(lambda: not reaches(host, "h2", OTHER) and reaches(host, "h2", SAFE), "guarded")
    address = host.lab.topology.host("h1").address(4).partition("/")[0]
    watch = Watch(FIRST_ALLOWED.until, interval=0.005, within=60)
    denied = host.lab.prober.watch(Probe("h2", address, port=NEVER), watch)
    configure(host, f"failsafeInboundHostPorts: [{{protocol: TCP, port: {OTHER}}}, {{protocol: TCP, port: 22}}]")
    host.until(lambda: reaches(host, "h2", OTHER) and not reaches(host, "h2", SAFE), "another failsafe")
    configure(host, "failsafeInboundHostPorts: []", "node.h1")
    host.until(lambda: not reaches(host, "h2", OTHER), "no failsafe, by the object of this node")
    host.delete(ResourceKey("FelixConfiguration", "", "node.h1"))
    host.until(lambda: reaches(host, "h2", OTHER), "that of all nodes")
    host.kill()
    host.start()
    assert reaches(host, "h2", OTHER)
    assert not reaches(host, "h2", SAFE)
    host.delete(ResourceKey("FelixConfiguration", "", "default"))
    host.until(lambda: reaches(host, "h2", SAFE) and not reaches(host, "h2", OTHER), "the default")
    assert not denied.done(), "no change opens what none of them allows"
    denied.cancel()
    assert (ended := flow.stop()).lost == 0, str(ended)


def test_workloads_reach_their_host_when_that_is_the_default_and_nothing_else_is_written(host: World) -> None:
    pid = host.pid()
    assert not reaches(host, "server", OTHER)
    before = host.ruleset().splitlines()
    configure(host, "defaultEndpointToHostAction: Accept")
    host.until(lambda: reaches(host, "server", OTHER), "accepted")
    written = [line for line in host.ruleset().splitlines() if line not in before]
    assert 0 < len(written) < 10, written
    assert host.pid() == pid


def test_what_needs_another_start_is_told_and_what_cannot_be_used_too(host: World) -> None:
    pid = host.pid()
    configure(host, "interfacePrefix: eni, vxlanPort: 0, logPrefix: seen")
    host.until(lambda: any("interface_prefix is 'eni'" in one for one in host.report().problems), "told")
    assert "spec.vxlanPort: '0' cannot be used" in host.report().rejected["FelixConfiguration default"]
    assert host.reaches("client", "server")
    assert host.pid() == pid
    host.delete(ResourceKey("FelixConfiguration", "", "default"))
    host.until(lambda: not host.report().problems and not host.report().rejected, "all is well again")


def test_what_counts_at_the_start_counts_then_and_a_flow_lives_through_it(host: World) -> None:
    flow = host.lab.prober.stream(host.probe("client", "server"), 0.004)
    configure(host, "interfacePrefix: eni, logPrefix: seen", "node.h1")
    host.until(lambda: bool(host.report().problems), "it waits")
    host.kill()
    host.start()
    assert '"eni' in host.ruleset()
    assert not host.report().problems
    host.delete(ResourceKey("FelixConfiguration", "", "node.h1"))
    host.kill()
    host.start()
    assert '"eni' not in host.ruleset()
    assert (ended := flow.stop()).lost == 0, str(ended)
