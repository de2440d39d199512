"""Twenty hosts, two of them reflectors, in two racks with a pair of routers each and one above: what dies, and how
long that is felt.

The table is printed: `make soak`, or pytest -s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.outages import Report
from tortie.lab.routers import Frr, WithRouters
from tortie.lab.services import AGENT, BIRD, AgentServices
from tortie.lab.topology import Host, Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.soak, pytest.mark.timeout(1800)]

RACKS = {"1": range(1, 11), "2": range(11, 21)}
REFLECTORS = ("h1", "h11")
TOPS = {"tor1": ("1", 101), "tor2": ("1", 102), "tor3": ("2", 103), "tor4": ("2", 104)}
SUBNETS = {"1": "172.31.1", "2": "172.31.2", "above": "172.31.3"}
OUTSIDE = "203.0.113.1"
BFD = "tortie/bfd: {mode}, tortie/bfd-interval: 300ms, tortie/bfd-multiplier: '3'"


def rack_of(host: int) -> str:
    return next(rack for rack, numbers in RACKS.items() if host in numbers)


def address_of(host: int) -> str:
    return f"{SUBNETS[rack_of(host)]}.{host}"


def top(number: int, rack: str) -> Frr:
    """A router at the top of a rack: its hosts below, one above."""
    lines = [f"router bgp {65100 + int(rack)}", f"bgp router-id 172.31.3.{number}"]
    lines += ["no bgp ebgp-requires-policy", "bgp graceful-restart-disable", "bgp bestpath as-path multipath-relax"]
    for host in RACKS[rack]:
        lines += [f"neighbor {address_of(host)} remote-as 64512", f"neighbor {address_of(host)} timers connect 1"]
        lines.append(f"neighbor {address_of(host)} bfd")
    lines += ["neighbor 172.31.3.200 remote-as 65100", "neighbor 172.31.3.200 timers connect 1"]
    lines += [
        "neighbor 172.31.3.200 bfd",
        "address-family ipv4 unicast",
        "redistribute connected",
        "exit-address-family",
    ]
    return Frr("\n".join(lines) + "\n", bfd=True)


ABOVE = Frr(
    "\n".join(
        [
            "router bgp 65100",
            "bgp router-id 172.31.3.200",
            "no bgp ebgp-requires-policy",
            "bgp graceful-restart-disable",
            "bgp bestpath as-path multipath-relax",
            *(f"neighbor 172.31.3.{number} remote-as {65100 + int(rack)}" for rack, number in TOPS.values()),
            *(f"neighbor 172.31.3.{number} timers connect 1" for _, number in TOPS.values()),
            *(f"neighbor 172.31.3.{number} bfd" for _, number in TOPS.values()),
            "address-family ipv4 unicast",
            f"network {OUTSIDE}/32",
            "exit-address-family",
        ]
    )
    + "\n",
    bfd=True,
)


def resources(*, bfd: bool) -> str:
    """Reflectors instead of the mesh, and peers by rack."""

    def annotations(mode: str) -> str:
        return BFD.format(mode=mode) if bfd else ""

    parts = [
        """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec: {asNumber: 64512, nodeToNodeMeshEnabled: false}
""",
        f"""
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {{name: reflectors, annotations: {{{annotations("MultiHop")}}}}}
spec: {{nodeSelector: all(), peerSelector: role == 'reflector'}}
""",
    ]
    for host in (number for numbers in RACKS.values() for number in numbers):
        reflects = f", routeReflectorClusterID: 244.0.0.{host}" if f"h{host}" in REFLECTORS else ""
        role = "reflector" if reflects else "host"
        parts.append(
            f"""
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: h{host}, labels: {{rack: "{rack_of(host)}", role: {role}}}}}
spec: {{bgp: {{ipv4Address: {address_of(host)}/24{reflects}}}}}
"""
        )
    for name, (rack, number) in TOPS.items():
        parts.append(
            f"""
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {{name: {name}, annotations: {{{annotations("SingleHop")}}}}}
spec:
  nodeSelector: rack == '{rack}'
  peerIP: {SUBNETS[rack]}.{number}
  asNumber: {65100 + int(rack)}
  keepOriginalNextHop: true
"""
        )
    return "---".join(parts)


@pytest.fixture(scope="module")
def world(
    open_directory: Path, new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]
) -> Iterator[World]:
    hosts = tuple(Host(f"h{n}", (address_of(n),)) for numbers in RACKS.values() for n in numbers)
    workloads = (Workload("a", "h2"), Workload("b", "h3"), Workload("c", "h12"), Workload("d", "h13"))
    subnets = tuple(f"{prefix}.0/24" for prefix in SUBNETS.values())
    inside = msgspec.structs.replace(
        new_topology(), hosts=hosts, workloads=workloads, subnets=subnets, directory=str(open_directory)
    )
    tops = tuple(Host(name, (f"{SUBNETS[rack]}.{number}",)) for name, (rack, number) in TOPS.items())
    whole = msgspec.structs.replace(inside, hosts=(*hosts, *tops, Host("above", ("172.31.3.200",))))
    agents = AgentServices(inside)
    kinds = {name: top(number, rack) for name, (rack, number) in TOPS.items()}
    lab = Lab(whole, WithRouters(agents, {**kinds, "above": ABOVE}), plugin(inside))
    try:
        lab.up(patience=300)
        for name, (_, number) in TOPS.items():
            lab.exec(name, ["ip", "address", "add", f"172.31.3.{number}/24", "dev", "eth0"])
        lab.exec("above", ["ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo"])
        for place in ("above", *TOPS):
            for family in ("all", "default", "eth0"):
                lab.exec(
                    place,
                    ["sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1", f"net.ipv4.conf.{family}.rp_filter=0"],
                )
        yield world_of(lab, agents)
    finally:
        lab.down()


def settle(world: World, *, bfd: bool) -> float:
    """Until every session stands and every block is known everywhere; returns how long that took."""
    began = time.monotonic()
    world.apply(resources(bfd=bfd))
    hosts = [f"h{n}" for numbers in RACKS.values() for n in numbers]

    def is_settled(host: str) -> bool:
        found = world.report(host).bgp
        return len(found) == (21 if host in REFLECTORS else 4) and all(one.established for one in found)

    def is_known() -> bool:
        there = world.run("ip", "route", "show", "proto", "bird", host="h20")
        blocks = [line for line in there.splitlines() if line.startswith("10.65.")]
        return OUTSIDE in there and (len(blocks) >= 4 or not bfd)

    for host in hosts:
        world.until(lambda host=host: is_settled(host), f"sessions of {host}", patience=240)
    world.until(is_known, "routes", patience=120)
    return time.monotonic() - began


class Fault(msgspec.Struct, frozen=True):
    """What is done, and undone after some seconds; flows that it must not touch."""

    name: str
    spares: tuple[str, ...]
    do: Callable[[World], None]
    undo: Callable[[World], None]
    lasts: float = 8


def cable(host: str, state: str) -> Callable[[World], None]:
    """Of a host, at the switch: the others see nothing of it."""

    def change(world: World) -> None:
        names = [one.name for one in world.lab.topology.hosts]
        world.run("ip", "link", "set", f"port{names.index(host) + 1}", state, host="fabric")

    return change


def crash_bird(host: str) -> Callable[[World], None]:
    return lambda world: world.lab.place(host).kill(BIRD)


def start_bird(host: str) -> Callable[[World], None]:
    return lambda world: world.services.start_bird(world.lab.place(host))


WITHIN, BETWEEN, OUT, IN, IN_OTHER = "within a rack", "between racks", "to the outside", "in, rack 2", "in, rack 1"
ALL = (WITHIN, BETWEEN, OUT, IN, IN_OTHER)

SILENT_TOP = Fault(
    "a router at the top of a rack falls silent", (WITHIN, IN), cable("tor1", "down"), cable("tor1", "up")
)
CRASHED_BIRD = Fault(
    "the BGP daemon of a host crashes", (WITHIN, BETWEEN, OUT, IN_OTHER), crash_bird("h13"), start_bird("h13")
)

FAULTS = {
    True: (
        Fault("a reflector falls silent", ALL, cable("h1", "down"), cable("h1", "up")),
        Fault("the BGP daemon of a reflector crashes", ALL, crash_bird("h11"), start_bird("h11")),
        SILENT_TOP,
        Fault(
            "bgpd of a router at the top of a rack crashes",
            (WITHIN, IN_OTHER),
            lambda world: world.lab.kill_services("tor3"),
            lambda world: world.lab.start_services("tor3"),
        ),
        Fault(
            "the agent of a host is killed",
            ALL,
            lambda world: world.lab.place("h2").kill(AGENT),
            lambda world: world.start("h2"),
        ),
        CRASHED_BIRD,
    ),
    False: (
        msgspec.structs.replace(CRASHED_BIRD, spares=(WITHIN, OUT, IN, IN_OTHER)),
        msgspec.structs.replace(SILENT_TOP, lasts=200),
    ),
}
"""With BFD and without."""


def flows(world: World, *, bfd: bool) -> dict[str, Probe]:
    """Hosts of another rack are reached by what direct sessions tell of its subnet; those are asked for with BFD."""
    between = {BETWEEN: Probe("a", world.address("c"), Transport.TCP, 80)} if bfd else {}
    return {
        WITHIN: Probe("a", world.address("b"), Transport.TCP, 80),
        **between,
        OUT: Probe("a", OUTSIDE, Transport.TCP, 8080),
        IN: Probe("above", world.address("d"), Transport.TCP, 80),
        IN_OTHER: Probe("above", world.address("b"), Transport.TCP, 80),
    }


@pytest.mark.parametrize("bfd", [True, False])
def test_what_dies_and_how_long_that_is_felt(world: World, bfd: bool) -> None:
    took = settle(world, bfd=bfd)
    with_bfd = "with" if bfd else "without"
    print(f"\n20 hosts, 2 reflectors, 4 routers of racks, 1 above, {with_bfd} BFD: converged after {took:.1f} s")
    world.lab.prober.listen("above", 8080)
    wanted = flows(world, bfd=bfd)
    for name, probe in wanted.items():
        world.until(lambda probe=probe: world.lab.probe(probe)[0].allowed, name, patience=60)
    for fault in FAULTS[bfd]:
        reports = felt(world, fault, wanted)
        print(f"{fault.name}: " + ", ".join(f"{name} {report.longest:.0f} ms" for name, report in reports.items()))
        assert not any(report.broken for report in reports.values()), fault.name
        for name in fault.spares:
            assert not reports[name].lost, f"{name} has nothing to do with it: {fault.name}"
        settle(world, bfd=bfd)


def felt(world: World, fault: Fault, wanted: dict[str, Probe]) -> dict[str, Report]:
    """What established flows lose to a fault, and to its end."""
    with ExitStack() as stack:
        prober = world.lab.prober
        streams = {name: stack.enter_context(prober.stream(probe, interval=0.02)) for name, probe in wanted.items()}
        time.sleep(1)
        fault.do(world)
        time.sleep(fault.lasts)
        fault.undo(world)
        time.sleep(20)
        return {name: stream.stop(late=0.2) for name, stream in streams.items()}
