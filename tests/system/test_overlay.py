"""Workloads of hosts that no router connects reach each other through VXLAN or IP in IP, with agents and packets."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.assembly import plugin
from tortie.lab.cluster import POOLS
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload
from tortie.netlink.namespace import inside

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

PROGRAMS = (("eth0", "ingress"), ("tunl0", "egress"))
DEVICES = {4: "vxlan.calico", 6: "vxlan-v6.calico"}
SUBNETS = ("172.31.0.0/24", "fd00:31::/64", "172.31.1.0/24", "fd00:31:1::/64")
HOSTS = (
    Host("h1", ("172.31.0.1", "fd00:31::1")),
    Host("h2", ("172.31.0.2", "fd00:31::2")),
    Host("h3", ("172.31.1.3", "fd00:31:1::3")),
)
WORKLOADS = tuple(Workload(f"w{n}", f"h{n}") for n in (1, 2, 3))
POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: {name}}}
spec: {{cidr: "{cidr}", vxlanMode: {mode}}}
"""
PAIRS = [("w1", "w2"), ("w2", "w1"), ("w1", "w3"), ("w3", "w1")]


def set_mode(world: World, mode: str) -> None:
    world.apply("---".join(POOL.format(name=name, cidr=cidr, mode=mode) for name, cidr in POOLS.items()))


@pytest.fixture(scope="module")
def overlay(world_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two hosts in one subnet, one in another. The router between them knows no workloads; hosts have no BIRD."""
    topology = Topology(f"s{os.getpid()}xo", HOSTS, WORKLOADS, SUBNETS, str(tmp_path_factory.mktemp("lab")))
    services = AgentServices(topology, bird=False, settings={"TORTIE_PATH_PROBE_SECONDS": "1"})
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


def device(world: World, host: str, family: int) -> dict[str, Any] | None:
    """A host's tunnel as `ip` shows it."""
    shown: list[dict[str, Any]] = json.loads(world.run("ip", "-d", "-j", "addr", "show", host=host))
    return next((one for one in shown if one["ifname"] == DEVICES[family]), None)


def device_named(world: World, host: str, name: str) -> dict[str, Any] | None:
    shown: list[dict[str, Any]] = json.loads(world.run("ip", "-j", "link", "show", host=host))
    return next((one for one in shown if one["ifname"] == name), None)


@contextmanager
def overheard(world: World, host: str, interface: str = "eth0") -> Iterator[list[bytes]]:
    """What passes an interface of a host meanwhile, from the IP header on."""
    found: list[bytes] = []
    with inside(world.lab.topology.host_namespace(host)):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    with listener:
        listener.bind((interface, 3))
        listener.setblocking(False)
        yield found
        while True:
            try:
                found.append(listener.recv(70000))
            except BlockingIOError:
                return


def ends(packet: bytes) -> tuple[str, str]:
    """Source and destination of an IPv4 packet."""
    return socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])


def datagram(source: str, destination: str) -> bytes:
    """UDP in IPv4, of contents that nobody else sends."""
    body = struct.pack(">HHHH", 4000, 4001, 8 + 16, 0) + os.urandom(16)
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0)
    header += socket.inet_aton(source) + socket.inet_aton(destination)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + body


def carried(world: World, sender: str, receiver: str, data: bytes) -> bytes:
    """What arrives of a stream."""
    topology = world.lab.topology
    with inside(topology.workload_namespace(receiver)):
        listener = socket.create_server((world.address(receiver), 0))
    with inside(topology.workload_namespace(sender)):
        speaker = socket.socket()
    with listener, speaker:
        speaker.settimeout(10)
        speaker.connect(listener.getsockname())
        thread = threading.Thread(target=lambda: (speaker.sendall(data), speaker.shutdown(socket.SHUT_WR)))
        thread.start()
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            found = b"".join(iter(lambda: peer.recv(1 << 16), b""))
        thread.join()
    return found


def ways(world: World, host: str, to: str, family: int) -> str:
    """The device by which a host sends what is for a workload elsewhere."""
    (found,) = json.loads(world.run("ip", "-j", "route", "get", world.address(to, family), host=host))
    return str(found["dev"])


def all_reach(world: World, *pairs: tuple[str, str]) -> bool:
    return all(world.reaches(one, other, family) for one, other in pairs for family in (4, 6))


@pytest.fixture
def everywhere(overlay: World) -> World:
    """Every node's own end is there, and tunnels are used always."""
    set_mode(overlay, "Always")
    try:
        overlay.until(lambda: all_reach(overlay, *PAIRS), "workloads reach each other")
    except AssertionError:
        for host in HOSTS:
            print(overlay.run("ip", "route", host=host.name), overlay.run("ip", "-6", "route", host=host.name))
            print(overlay.run("ip", "addr", host=host.name), overlay.report(host.name))
        for path in overlay.lab.topology.run_directory.glob("hosts/*/agent.log"):
            print(path.read_text()[-3000:])
        raise
    return overlay


def test_without_an_overlay_nothing_crosses(overlay: World) -> None:
    set_mode(overlay, "Never")
    overlay.until(lambda: all(device(overlay, host.name, 4) is None for host in HOSTS), "no devices")
    assert not overlay.reaches("w1", "w2") and not overlay.reaches("w1", "w3", 6)


def test_always_is_a_tunnel_between_all_hosts(everywhere: World) -> None:
    for family, overhead in ((4, 50), (6, 70)):
        assert ways(everywhere, "h1", "w2", family) == ways(everywhere, "h1", "w3", family) == DEVICES[family]
        found = device(everywhere, "h1", family)
        assert found is not None
        assert found["mtu"] == 1500 - overhead
    assert everywhere.report().problems == []


def test_packets_between_hosts_are_encapsulated(everywhere: World) -> None:
    def sent() -> int:
        shown = json.loads(everywhere.run("ip", "-s", "-j", "link", "show", DEVICES[4], host="h1"))
        return int(shown[0]["stats64"]["tx"]["packets"])

    before = sent()
    assert everywhere.reaches("w1", "w3")
    assert sent() > before


def test_a_host_itself_reaches_workloads_elsewhere_and_is_known_by_its_tunnel_address(everywhere: World) -> None:
    (found,) = json.loads(everywhere.run("ip", "-j", "route", "get", everywhere.address("w3"), host="h1"))
    own = next(one["local"] for one in (device(everywhere, "h1", 4) or {})["addr_info"] if one["family"] == "inet")
    assert found["prefsrc"] == own
    everywhere.run("ping", "-c", "1", "-W", "5", everywhere.address("w3"), host="h1")


def test_what_a_host_sends_from_another_address_of_its_own_is_answered_through_the_tunnel(everywhere: World) -> None:
    for family, address in zip((4, 6), HOSTS[0].addresses, strict=True):
        there = everywhere.address("w3", family)
        assert "1 received" in everywhere.run("ping", "-c", "1", "-W", "5", "-I", address, there, host="h1")
        found = (device(everywhere, "h1", family) or {})["addr_info"]
        own = next(one["local"] for one in found if one["scope"] == "global")
        assert f"dst={own} " in everywhere.run("conntrack", "-L", "-f", f"ipv{family}", "-d", there, host="h1")


ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: guard}}
spec: {{node: h1, interfaceName: "{interface}"}}
"""


def test_host_endpoints_let_tunnels_pass_and_a_wildcard_judges_what_the_host_sends_into_them(everywhere: World) -> None:
    everywhere.lab.prober.listen("h2", 80)
    hosts, own, other = (
        Probe("h1", address) for address in (HOSTS[1].addresses[0], *(everywhere.address(one) for one in ("w1", "w3")))
    )

    def fares(probe: Probe) -> bool:
        return bool(everywhere.lab.probe(probe)[0].allowed)

    try:
        for interface in ("eth0", "*"):
            everywhere.apply(ENDPOINT.format(interface=interface))
            everywhere.until(lambda: not fares(hosts), "the host is guarded")
            everywhere.until(lambda interface=interface: fares(other) == (interface == "eth0"), "and what it sends")
            assert fares(own)
            assert all_reach(everywhere, *PAIRS)
    finally:
        everywhere.delete(ResourceKey("HostEndpoint", "", "guard"))
    everywhere.until(lambda: fares(hosts), "free again")


def test_the_set_of_nodes_alone_says_whose_tunnels_are_taken(everywhere: World) -> None:
    peer = f"{{ {HOSTS[2].addresses[0]} }}"
    everywhere.kill()
    everywhere.run("nft", "delete", "element", "inet", "tortie", "hosts4-net.vxlan-peers", peer)
    assert not everywhere.reaches("w3", "w1") and not everywhere.reaches("w1", "w3")
    assert everywhere.reaches("w2", "w1") and everywhere.reaches("w3", "w1", 6)
    everywhere.start()
    assert all_reach(everywhere, *PAIRS)


def test_within_a_subnet_packets_go_straight_when_pools_say_so_without_a_restart(everywhere: World) -> None:
    pid = everywhere.pid()
    set_mode(everywhere, "CrossSubnet")
    for family in (4, 6):
        everywhere.until(lambda family=family: ways(everywhere, "h1", "w2", family) == "eth0", "a direct route")
        assert ways(everywhere, "h1", "w3", family) == DEVICES[family]
    everywhere.until(lambda: all_reach(everywhere, *PAIRS), "workloads reach each other")
    assert everywhere.pid() == pid


def test_addresses_of_a_block_that_nobody_has_end_at_its_host(everywhere: World) -> None:
    shown = json.loads(everywhere.run("ip", "-j", "route", "show", "type", "blackhole", host="h1"))
    assert len(shown) == 1


def test_a_device_that_somebody_deletes_comes_back(everywhere: World) -> None:
    everywhere.run("ip", "link", "delete", DEVICES[4], host="h1")
    everywhere.until(lambda: device(everywhere, "h1", 4) is not None, "the device again")
    everywhere.until(lambda: all_reach(everywhere, *PAIRS), "workloads reach each other")


def test_tunnels_hold_without_an_agent_and_it_changes_nothing_when_it_returns(everywhere: World) -> None:
    before = everywhere.run("ip", "route"), (device(everywhere, "h1", 4) or {})["ifindex"]
    everywhere.kill()
    assert all_reach(everywhere, ("w1", "w3"))
    everywhere.start()
    assert (everywhere.run("ip", "route"), (device(everywhere, "h1", 4) or {})["ifindex"]) == before
    assert all_reach(everywhere, *PAIRS)


def set_ipip(world: World, mode: str) -> None:
    text = POOL.format(name="pool4", cidr=POOLS["pool4"], mode=mode)
    world.apply(text.replace("vxlanMode", "ipipMode"))


@pytest.fixture
def inside_ip(overlay: World) -> World:
    """IPv4 between hosts travels in IP in IP, always."""
    set_ipip(overlay, "Always")
    pairs = [*PAIRS, ("w2", "w3")]
    overlay.until(lambda: all(ways(overlay, one.replace("w", "h"), to, 4) == "tunl0" for one, to in pairs), "routes")
    overlay.until(lambda: all(overlay.reaches(one, to) for one, to in pairs), "workloads reach each other")
    return overlay


def both_ways(world: World) -> set[str]:
    """The devices between hosts of different subnets."""
    return {ways(world, "h1", "w3", 4), ways(world, "h3", "w1", 4)}


def checksum(header: bytes) -> int:
    """Of a header that has one: 0 (RFC 1071)."""
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_ip_in_ip_is_protocol_4_from_host_to_host_with_whole_headers(inside_ip: World) -> None:
    inner = {inside_ip.address(one) for one in ("w1", "w3")}
    with overheard(inside_ip, "h1") as packets:
        assert inside_ip.reaches("w1", "w3") and inside_ip.reaches("w3", "w1")
    clear = [one for one in packets if one[0] >> 4 == 4 and inner & set(ends(one))]
    outer = [one for one in packets if one[0] >> 4 == 4 and one[9] == 4]
    assert not clear
    assert {ends(one) for one in outer} == {("172.31.0.1", "172.31.1.3"), ("172.31.1.3", "172.31.0.1")}
    for one in outer:
        assert (one[0], one[6:8], checksum(one[:20]), checksum(one[20:40])) == (0x45, b"\x40\0", 0, 0)
        assert int.from_bytes(one[2:4], "big") == 20 + int.from_bytes(one[22:24], "big")
        assert set(ends(one[20:])) == inner


def test_ip_in_ip_carries_what_fits_and_says_what_does_not(inside_ip: World) -> None:
    there = inside_ip.address("w3")
    for size, fits in ((1480, True), (1481, False)):
        command = ("ping", "-c", "1", "-W", "3", "-M", "do", "-s", str(size - 28), there)
        assert ("1 received" in inside_ip.lab.exec("w1", command).stdout) == fits
    assert inside_ip.report().problems == []


def test_ip_in_ip_carries_streams_in_segments_of_any_size(inside_ip: World) -> None:
    sent = os.urandom(3_000_000)
    assert carried(inside_ip, "w1", "w3", sent) == sent
    assert carried(inside_ip, "w3", "w1", sent) == sent


def test_ip_in_ip_is_taken_from_nodes_alone(inside_ip: World) -> None:
    own, there = inside_ip.address("w2"), inside_ip.address("w1")
    packet = datagram(own, there)
    for sender, is_taken in (("h2", True), ("fabric", False)):
        with overheard(inside_ip, "h1", inside_ip.lab.attachment("w1").interface) as packets:
            with inside(inside_ip.lab.topology.host_namespace(sender)):
                one = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
            with one:
                for _ in range(3):
                    one.sendto(packet, ("172.31.0.1", 0))
            inside_ip.reaches("w3", "w1")
        assert any(packet[28:] in found for found in packets) == is_taken


def test_a_host_itself_is_known_by_its_address_in_ip_in_ip(inside_ip: World) -> None:
    there = inside_ip.address("w3")
    for options in ((), ("-I", "172.31.0.1")):
        assert "1 received" in inside_ip.run("ping", "-c", "1", "-W", "5", *options, there, host="h1")


def test_ip_in_ip_holds_without_an_agent_and_it_changes_nothing_when_it_returns(inside_ip: World) -> None:
    def state() -> tuple[str, ...]:
        links = {one["ifname"]: one["ifindex"] for one in json.loads(inside_ip.run("ip", "-j", "link"))}
        programs = [inside_ip.run("tc", "filter", "show", "dev", dev, way) for dev, way in PROGRAMS]
        return str(links), inside_ip.run("ip", "route"), *programs

    before = state()
    inside_ip.kill()
    assert inside_ip.reaches("w1", "w3") and inside_ip.reaches("w2", "w1")
    inside_ip.start()
    assert state() == before


def test_a_device_of_ip_in_ip_or_a_program_that_somebody_removes_comes_back(inside_ip: World) -> None:
    inside_ip.run("ip", "link", "delete", "tunl0")
    inside_ip.until(lambda: inside_ip.reaches("w1", "w3") and inside_ip.reaches("w2", "w1"), "the device again")


def test_within_a_subnet_ip_in_ip_goes_straight_when_pools_say_so_and_loses_nothing(inside_ip: World) -> None:
    pid = inside_ip.pid()
    prober = inside_ip.lab.prober
    near, far = (prober.stream(inside_ip.probe("w1", to, 4, Transport.UDP), 0.005) for to in ("w2", "w3"))
    with near, far:
        set_ipip(inside_ip, "CrossSubnet")
        for host, to in (("h1", "w2"), ("h2", "w1")):
            inside_ip.until(lambda host=host, to=to: ways(inside_ip, host, to, 4) == "eth0", "a direct route")
        assert ways(inside_ip, "h1", "w3", 4) == "tunl0"
        reports = near.stop(), far.stop()
    assert [(one.lost, one.broken) for one in reports] == [(0, ""), (0, "")]
    assert inside_ip.pid() == pid


def test_from_ip_in_ip_to_vxlan_and_back_nothing_else_is_restarted_and_flows_live_on(inside_ip: World) -> None:
    pid = inside_ip.pid()
    with inside_ip.lab.prober.stream(inside_ip.probe("w1", "w3", 4, Transport.UDP), 0.005) as stream:
        set_mode(inside_ip, "Always")
        inside_ip.until(lambda: both_ways(inside_ip) == {DEVICES[4]}, "VXLAN")
        inside_ip.until(lambda: device_named(inside_ip, "h1", "tunl0") is None, "no device")
        set_ipip(inside_ip, "Always")
        inside_ip.until(lambda: both_ways(inside_ip) == {"tunl0"}, "IP in IP")
        inside_ip.until(lambda: inside_ip.reaches("w1", "w3"), "workloads reach each other")
        report = stream.stop()
    # Of some 300; without waiting for each other it is a hundred.
    assert (report.lost < 20, report.broken) == (True, "")
    assert inside_ip.pid() == pid


def narrow_problem(world: World) -> str:
    return next((one for one in world.report().problems if "do not arrive at node h2 (172.31.0.2)" in one), "")


def test_a_path_that_loses_large_packets_without_a_word_is_found_and_once_mended_forgotten(
    everywhere: World,
) -> None:
    everywhere.run("ip", "link", "set", "port2", "mtu", "1390", host="fabric")
    try:
        everywhere.until(lambda: "1390 bytes do: mend the path" in narrow_problem(everywhere), "the path is told")
        assert "90 bytes smaller" in narrow_problem(everywhere)
        assert everywhere.report().narrow_paths
    finally:
        everywhere.run("ip", "link", "set", "port2", "mtu", "1500", host="fabric")
    everywhere.until(lambda: not narrow_problem(everywhere), "it is forgotten")


def test_an_end_that_is_not_needed_is_given_back(everywhere: World) -> None:
    set_mode(everywhere, "Never")
    everywhere.until(lambda: all(device(everywhere, host.name, 6) is None for host in HOSTS), "no devices")
    everywhere.until(lambda: "vxlan" not in everywhere.run("ip", "route"), "no routes")


@pytest.fixture(scope="module")
def with_bird(world_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two hosts in one subnet, with BIRD on both."""
    workloads = tuple(Workload(f"w{n}", f"h{n}") for n in (1, 2))
    directory = str(tmp_path_factory.mktemp("lab"))
    topology = Topology(f"s{os.getpid()}xb", HOSTS[:2], workloads, SUBNETS[:2], directory)
    services = AgentServices(topology)
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


def test_what_bgp_learns_gives_way_to_the_overlay_and_serves_without_it(with_bird: World) -> None:
    both = [("w1", "w2"), ("w2", "w1")]
    with_bird.until(lambda: all_reach(with_bird, *both), "BGP")
    for mode, expected in (("Always", DEVICES), ("CrossSubnet", dict.fromkeys(DEVICES, "eth0"))):
        set_mode(with_bird, mode)
        for family in (4, 6):
            way = expected[family]
            with_bird.until(lambda family=family, way=way: ways(with_bird, "h1", "w2", family) == way, mode)
        with_bird.until(lambda: all_reach(with_bird, *both), mode)
    set_mode(with_bird, "Never")
    with_bird.until(
        lambda: "proto bird" in with_bird.run("ip", "route", "get", "fibmatch", with_bird.address("w2")), "BGP"
    )
    with_bird.until(lambda: all_reach(with_bird, *both), "BGP again")
