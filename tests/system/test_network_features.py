"""From resources to packets, with real agents: translation, tunnels, code points and limits of workloads."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.api.resource import ResourceKey
from tortie.api.workloadendpoint import QoSControls, WorkloadEndpoint
from tortie.base.clock import SystemClock
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.cluster import POOLS, location
from tortie.lab.probe.model import Probe, Transport
from tortie.netlink.namespace import inside
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
    return {
        one for one in words if one.startswith(("nat-", "tunnel-", "code-points", "packet-rates", "connection-limits"))
    }


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


class Marks:
    """Datagrams of one socket at h1, or of a workload, to the other host, which is in no pool: their code points."""

    def __init__(self, world: World, source: str, family: int) -> None:
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        with inside(world.lab.namespace("h2")):
            self._server = socket.socket(kind, socket.SOCK_DGRAM)
        with inside(world.lab.namespace(source)):
            self._client = socket.socket(kind, socket.SOCK_DGRAM)
        level, option = (
            (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS) if family == 6 else (socket.IPPROTO_IP, socket.IP_RECVTOS)
        )
        self._server.setsockopt(level, option, 1)
        self._server.settimeout(0.5)
        self._server.bind(("", 0))
        self._client.connect((world.lab.topology.host("h2").address(family), self._server.getsockname()[1]))

    def seen(self) -> int:
        """Of a packet sent now."""
        self._client.send(b"x")
        return self._server.recvmsg(10, 100)[1][0][2][0] >> 2

    def close(self) -> None:
        self._server.close()
        self._client.close()


@contextmanager
def marks(world: World, source: str) -> Iterator[Callable[[], set[int]]]:
    """Asks for the code points of both families; the flows last as long as the block."""
    both = [Marks(world, source, family) for family in (4, 6)]
    try:
        yield lambda: {one.seen() for one in both}
    finally:
        for one in both:
            one.close()


def test_a_code_point_of_an_endpoint_reaches_flows_that_run_and_goes_again(pools: World) -> None:
    with marks(pools, "server") as seen, marks(pools, "neighbour") as others:
        assert seen() == {0}
        for asked, number in (("EF", 46), ("AF11", 10), (63, 63)):
            asyncio.run(_limit(pools, QoSControls(dscp=asked)))
            pools.until(lambda number=number: seen() == {number}, f"it is {asked}")
            assert others() == {0}, "nobody else asked"
        pools.kill()
        assert seen() == {63}
        pools.start()
        assert seen() == {63}
        asyncio.run(_limit(pools, None))
        pools.until(lambda: seen() == {0}, "nobody asks any more")
    assert "code-points" not in pools.ruleset()


GUARD = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: guard, annotations: {{{annotation}}}}}
spec: {{node: h1, interfaceName: eth0, expectedIPs: [{addresses}], profiles: [projectcalico-default-allow]}}
"""


def test_a_code_point_of_a_host_follows_its_annotation(pools: World) -> None:
    host = pools.lab.topology.host("h1")
    addresses = ", ".join(f'"{host.address(family)}"' for family in (4, 6))
    try:
        with marks(pools, "h1") as seen:
            for annotation, number in (("", 0), ("CS1", 8), ("46", 46), ("", 0)):
                text = f"qos.projectcalico.org/dscp: '{annotation}'" if annotation else ""
                pools.apply(GUARD.format(annotation=text, addresses=addresses))
                pools.until(lambda number=number: seen() == {number}, f"it is {annotation}")
    finally:
        pools.delete(ResourceKey("HostEndpoint", "", "guard"))


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


def test_limits_that_change_hold_for_a_workload_that_runs(pools: World) -> None:
    """Of a running server, and also of flows that it has: nothing is attached anew, and no agent starts again."""
    pid, interface = pools.pid(), pools.lab.attachment("server").interface
    index = pools.run("cat", f"/sys/class/net/{interface}/ifindex")

    def bucket() -> list[dict[str, int]]:
        shown = json.loads(pools.run("tc", "-j", "qdisc", "show", "dev", interface))
        return [one["options"] for one in shown if one["kind"] == "tbf"]

    try:
        with flood(pools) as got_through, crowd(pools) as connect:
            assert got_through() == FLOOD
            for burst in (10, 25):
                asked = QoSControls(ingress_packet_rate=1, ingress_packet_burst=burst)
                asyncio.run(_limit(pools, asked))
                pools.until(lambda burst=burst: f"burst {burst} packets" in pools.ruleset(), f"a burst of {burst}")
                assert burst <= got_through() < FLOOD
            for places in (2, 1, 3):
                asyncio.run(_limit(pools, QoSControls(ingress_max_connections=places)))
                pools.until(lambda places=places: f"ct count over {places}" in pools.ruleset(), f"{places} places")
                assert [connect() for _ in range(places + 1)] == [*[True] * places, False]
            for rate, burst in ((10**6, 10**5), (10**6, 2 * 10**5), (2 * 10**6, 2 * 10**5)):
                before = bucket()
                asyncio.run(_limit(pools, QoSControls(ingress_bandwidth=rate, ingress_burst=burst)))
                pools.until(lambda before=before: len(bucket()) == 1 and bucket() != before, "another bucket")
                assert bucket()[0]["rate"] == rate // 8
                assert 1 <= got_through() < FLOOD
            asyncio.run(_limit(pools, None))
            pools.until(lambda: not bucket() and not optional_chains(pools), "no limits")
            assert got_through() == FLOOD
    finally:
        asyncio.run(_limit(pools, None))
    assert (pools.pid(), pools.run("cat", f"/sys/class/net/{interface}/ifindex")) == (pid, index)


FLOOD = 60


@contextmanager
def flood(world: World) -> Iterator[Callable[[], int]]:
    """Asks how many of so many datagrams of 1000 bytes of one flow arrive from the client at the server."""
    with inside(world.lab.namespace("server")):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(world.lab.namespace("client")):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, speaker:
        listener.bind(("", 0))
        listener.settimeout(0.3)
        speaker.connect((world.address("server"), listener.getsockname()[1]))

        def got_through() -> int:
            for _ in range(FLOOD):
                speaker.send(bytes(972))
            found = 0
            with suppress(TimeoutError):
                while found < FLOOD and listener.recv(2000):
                    found += 1
            return found

        yield got_through


@contextmanager
def crowd(world: World) -> Iterator[Callable[[], bool]]:
    """Asks whether one more connection from the client to the server opens; all stay open as long as the block."""
    with inside(world.lab.namespace("server")):
        listener = socket.create_server(("", 0), backlog=20)
    with listener, ExitStack() as held:

        def connect() -> bool:
            with inside(world.lab.namespace("client")):
                one = held.enter_context(socket.socket())
            one.settimeout(2)
            return one.connect_ex((world.address("server"), listener.getsockname()[1])) == 0

        yield connect
