"""What a pod asks for by annotations, from the container runtime to packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tortie.lab.assembly import PLUGIN, StaticRoutes
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.services import AgentServices, cni_config
from tortie.lab.topology import Topology, Workload
from tortie.lab.workload import CniAttacher

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

ELSEWHERE, NOBODYS = "198.51.100.7", "198.51.100.8"
ANNOTATIONS = {
    "qos.projectcalico.org/egressPacketRate": "20",
    "qos.projectcalico.org/egressPacketBurst": "5",
    "qos.projectcalico.org/dscp": "EF",
    "cni.projectcalico.org/allowedSourcePrefixes": f'["{ELSEWHERE}/32"]',
}
PERMITTED = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {workloadSourceSpoofing: Any}
"""


@pytest.fixture(scope="module")
def annotated(
    new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]
) -> Iterator[World]:
    """Two workloads on the first host, whose runtime hands annotations on, and one on the second."""
    topology = new_topology(Workload("pod", "h1"), Workload("other", "h2"))

    def config(host: Any) -> dict[str, Any]:
        found = dict(cni_config(topology, host))
        given = ANNOTATIONS if host.name == "h1" else {}
        return {**found, "runtimeConfig": {"io.kubernetes.cri.pod-annotations": given}}

    services = AgentServices(topology, bird=False)
    with Lab(topology, services, StaticRoutes(CniAttacher(PLUGIN, config))) as lab:
        yield world_of(lab, services)


def test_packets_beyond_the_rate_are_dropped(annotated: World) -> None:
    stream = annotated.lab.prober.stream(annotated.probe("pod", "other", transport=Transport.UDP), 0.004)
    annotated.until(lambda: stream.sent > 250, "a second has passed")
    ended = stream.stop()
    assert ended.lost > 100, str(ended)
    back = annotated.lab.prober.stream(annotated.probe("other", "other", transport=Transport.UDP), 0.004)
    annotated.until(lambda: back.sent > 50, "it flows")
    assert back.stop().lost == 0


def test_what_leaves_the_pools_has_the_code_point(annotated: World) -> None:
    counted = "ip dscp set ef"
    line = next(one for one in annotated.run("nft", "list", "table", "inet", "tortie").splitlines() if counted in one)
    assert "packets 0" in line
    address = annotated.lab.topology.host("h2").address(4).partition("/")[0]
    annotated.lab.probe(Probe("pod", address, Transport.ICMP))
    annotated.until(
        lambda: f"packets 0 bytes 0 {counted}" not in annotated.run("nft", "list", "table", "inet", "tortie"), "marked"
    )


def test_sources_of_others_pass_only_where_that_is_permitted(annotated: World) -> None:
    world = annotated
    gateway = world.lab.topology.host("h1").address(4).partition("/")[0]
    for source in (ELSEWHERE, NOBODYS):
        world.run("ip", "address", "add", f"{source}/32", "dev", "lo", host="pod")
        world.run("ip", "route", "add", f"{source}/32", "via", gateway, host="h2")
        world.run("ip", "route", "add", f"{source}/32", "dev", world.lab.attachment("pod").interface)
    assert not is_answered(world, ELSEWHERE)
    world.apply(PERMITTED)
    world.until(lambda: is_answered(world, ELSEWHERE), "permitted")
    assert not is_answered(world, NOBODYS), "nobody asked for this one"


def is_answered(world: World, source: str) -> bool:
    """Whether the other workload hears of a packet from there, and the answer comes back."""
    return world.lab.exec("pod", ("ping", "-c1", "-W1", "-I", source, world.address("other"))).returncode == 0
