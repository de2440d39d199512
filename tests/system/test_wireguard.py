"""WireGuard between hosts, with real agents and packets: nothing goes in the clear, whatever becomes of keys."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.lab import processes
from tortie.lab.assembly import plugin
from tortie.lab.cluster import location
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Transport
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload
from tortie.netlink.namespace import inside
from tortie.selector.check import selector_problem

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

DEVICES = {4: "wireguard.cali", 6: "wg-v6.cali"}
PORTS = {4: 51820, 6: 51821}
HOSTS = tuple(Host(f"h{n}", (f"172.31.0.{n}", f"fd00:31::{n}")) for n in (1, 2, 3))
WORKLOADS = tuple(Workload(f"w{n}", f"h{n}", labels={"name": f"w{n}"}) for n in (1, 2, 3))
PAIRS = [("w1", "w2"), ("w2", "w1")]
DENY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec: {selector: name == 'w1', types: [Ingress]}
"""
NODE = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1}
spec: {bgp: {ipv4Address: 172.31.0.1/24, ipv6Address: "fd00:31::1/64"}}
"""
FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: {name}}}
spec: {{wireguardEnabled: {on}, wireguardEnabledV6: {on}, wireguardHostEncryptionEnabled: {hosts}}}
"""


@pytest.fixture(scope="module")
def lab(world_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three hosts in one subnet with BIRD; the third never has a key."""
    topology = Topology(f"s{os.getpid()}xw", HOSTS, WORKLOADS, directory=str(tmp_path_factory.mktemp("lab")))
    services = AgentServices(topology)
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


@contextmanager
def overheard(world: World, host: str = "h1") -> Iterator[list[bytes]]:
    """What passes a host's uplink meanwhile, from the IP header on."""
    found: list[bytes] = []
    with inside(world.lab.topology.host_namespace(host)):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    with listener:
        listener.bind(("eth0", 3))
        listener.setblocking(False)
        yield found
        while True:
            try:
                found.append(listener.recv(9000))
            except BlockingIOError:
                return


def ends(packet: bytes) -> tuple[str, ...]:
    """Source and destination."""
    places = {4: (12, 16, 4), 6: (8, 24, 16)}.get(packet[0] >> 4 if packet else 0)
    if places is None:
        return ()
    *starts, size = places
    return tuple(str(ip_address(packet[start : start + size])) for start in starts)


def is_encrypted(packet: bytes) -> bool:
    """Whether it is UDP to a port of WireGuard, and begins as its messages do."""
    start, protocol = ((packet[0] & 15) * 4, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
    if protocol != 17:
        return False
    ports = struct.unpack_from(">HH", packet, start)
    return bool(set(ports) & set(PORTS.values())) and packet[start + 8] in (1, 2, 3, 4)


def configure(world: World, on: bool = True, hosts: bool = False) -> None:
    text = FELIX.format(name="default", on=str(on).lower(), hosts=str(hosts).lower())
    third = FELIX.format(name="node.h3", on="false", hosts="false")
    world.apply(f"{text}---{third}")


def way(world: World, host: str, address: str) -> str:
    """The device by which a host sends what is for an address; empty when it does not."""
    shown = world.run("ip", "-j", "route", "get", address, host=host)
    return str(json.loads(shown)[0]["dev"]) if shown.strip() else ""


def routes_are(world: World, devices: dict[int, str]) -> bool:
    found = {
        (host, family): way(world, host, world.address(to, family))
        for host, to in (("h1", "w2"), ("h2", "w1"))
        for family in (4, 6)
    }
    return all(device == devices[family] for (_, family), device in found.items())


def all_reach(world: World, *pairs: tuple[str, str]) -> bool:
    return all(world.reaches(one, other, family) for one, other in pairs for family in (4, 6))


@pytest.fixture
def encrypted(lab: World) -> World:
    """Hosts 1 and 2 have each other's keys."""
    configure(lab)
    lab.until(lambda: routes_are(lab, DEVICES), "routes into WireGuard")
    lab.until(lambda: all_reach(lab, *PAIRS), "workloads reach each other")
    return lab


def shown(world: World, what: str, host: str = "h1", family: int = 4) -> str:
    """What the tool of WireGuard tells of a device."""
    directory = world.lab.place(host).directory / "wireguard"
    view = f"mount --bind {directory} /var/run/wireguard && wg show {DEVICES[family]} {what}"
    return world.run("unshare", "--mount", "sh", "-c", view, host=host)


def assert_only_encrypted(world: World, *pairs: tuple[str, str]) -> None:
    for family in (4, 6):
        addresses = {world.address(one, family) for pair in pairs for one in pair}
        with overheard(world) as packets:
            assert all(world.reaches(one, other, family) for one, other in pairs)
        assert not [one for one in packets if addresses & set(ends(one))]
        assert any(map(is_encrypted, packets))


def ping(world: World, address: str, *options: str) -> str:
    return world.run("ping", "-c", "1", "-W", "5", *options, address)


def public_keys(world: World) -> dict[str, tuple[str, str]]:
    """As the Nodes have them."""

    async def read() -> dict[str, tuple[str, str]]:
        datastore = await open_datastore(location(world.lab.topology))
        try:
            nodes = await ResourceStore(datastore, SystemClock(), selector_problem).list("Node")
        finally:
            await datastore.close()
        found = [one for one in nodes if isinstance(one, Node)]
        return {
            one.metadata.name: (one.status.wireguard_public_key, one.status.wireguard_public_key_v6) for one in found
        }

    return asyncio.run(read())


def programs(world: World, host: str) -> list[int]:
    """Process numbers of wireguard-go on a host."""
    there = processes.inhabitants([world.lab.topology.host_namespace(host)])
    return [one for one in there if Path(f"/proc/{one}/comm").read_text().strip() == "wireguard-go"]


def is_userspace(world: World) -> bool:
    return bool(programs(world, "h1"))


def test_what_workloads_send_each_other_is_encrypted_in_both_families(encrypted: World) -> None:
    assert_only_encrypted(encrypted, *PAIRS)
    assert [encrypted.report(host).problems for host in ("h1", "h2", "h3")] == [[], [], []]
    for host in ("h1", "h2"):
        mtus = {one["ifname"]: one["mtu"] for one in json.loads(encrypted.run("ip", "-j", "link", host=host))}
        assert [mtus[device] for device in DEVICES.values()] == [1440, 1420]


def test_what_a_host_sends_to_workloads_elsewhere_is_encrypted_and_answered(encrypted: World) -> None:
    for family, own in zip((4, 6), HOSTS[0].addresses, strict=True):
        there = encrypted.address("w2", family)
        with overheard(encrypted) as packets:
            encrypted.until(lambda there=there: "1 received" in ping(encrypted, there), "an answer")
            encrypted.until(lambda there=there, own=own: "1 received" in ping(encrypted, there, "-I", own), "an answer")
        assert not [one for one in packets if there in ends(one)]


def test_keys_are_on_the_nodes_and_private_ones_in_files_of_their_owner_alone(encrypted: World) -> None:
    keys = public_keys(encrypted)
    assert keys["h3"] == ("", "")
    assert keys["h1"][0] == shown(encrypted, "public-key").strip()
    assert len({*keys["h1"], *keys["h2"]}) == 4
    directory = encrypted.lab.place("h1").directory
    files = [directory / f"wireguard-v{family}.key" for family in (4, 6)]
    assert [stat.S_IMODE(one.stat().st_mode) for one in files] == [0o600, 0o600]
    log = (directory / "agent.log").read_bytes()
    for one in files:
        secret = one.read_bytes()
        assert secret not in log and secret.hex().encode() not in log and base64.b64encode(secret) not in log


def test_hosts_without_a_key_are_reached_in_the_clear(encrypted: World) -> None:
    address, pairs = encrypted.address("w3"), (("w1", "w3"), ("w3", "w1"))
    encrypted.until(lambda: all_reach(encrypted, *pairs), "workloads of a host without a key are reached")
    with overheard(encrypted) as packets:
        assert all_reach(encrypted, *pairs)
    assert [one for one in packets if address in ends(one)]


def test_policy_judges_what_was_encrypted(encrypted: World) -> None:
    encrypted.apply(DENY)
    try:
        encrypted.until(lambda: not encrypted.reaches("w2", "w1"), "denied")
        assert encrypted.reaches("w1", "w2")
    finally:
        encrypted.delete(ResourceKey("GlobalNetworkPolicy", "", "deny"))
    encrypted.until(lambda: encrypted.reaches("w2", "w1"), "allowed")


def test_tunnels_hold_without_an_agent_and_it_changes_nothing_when_it_returns(encrypted: World) -> None:
    def state() -> tuple[str, ...]:
        links = {one["ifname"]: one["ifindex"] for one in json.loads(encrypted.run("ip", "-j", "link"))}
        table = encrypted.run("ip", "route", "show", "table", "80")
        return (
            str(links),
            table,
            encrypted.run("ip", "rule"),
            shown(encrypted, "peers"),
            shown(encrypted, "allowed-ips"),
        )

    before = state()
    encrypted.kill()
    assert_only_encrypted(encrypted, *PAIRS)
    encrypted.start()
    assert state() == before
    assert_only_encrypted(encrypted, *PAIRS)


def test_a_lost_device_comes_back_with_its_key(encrypted: World) -> None:
    before = public_keys(encrypted)
    for device in DEVICES.values():
        encrypted.run("ip", "link", "delete", device)
    encrypted.until(lambda: routes_are(encrypted, DEVICES), "routes into WireGuard")
    encrypted.until(lambda: all_reach(encrypted, *PAIRS), "workloads reach each other")
    assert public_keys(encrypted) == before
    assert_only_encrypted(encrypted, *PAIRS)


def test_a_key_that_vanishes_from_a_node_is_published_again(encrypted: World) -> None:
    before = public_keys(encrypted)
    encrypted.apply(NODE)
    encrypted.until(lambda: public_keys(encrypted) == before, "the keys again")
    encrypted.until(lambda: routes_are(encrypted, DEVICES), "routes into WireGuard")


def test_a_new_key_takes_the_place_of_one_whose_file_is_gone(encrypted: World) -> None:
    before = public_keys(encrypted)
    encrypted.stop()
    for path in encrypted.lab.place("h1").directory.glob("wireguard-v*.key"):
        path.unlink()
    encrypted.start()
    encrypted.until(lambda: not set(public_keys(encrypted)["h1"]) & {*before["h1"], ""}, "other keys")
    encrypted.until(lambda: all_reach(encrypted, *PAIRS), "workloads reach each other")
    encrypted.until(lambda: before["h1"][0] not in shown(encrypted, "peers", "h2"), "the old peer is gone")
    assert_only_encrypted(encrypted, *PAIRS)


def test_hosts_encrypt_what_they_send_each_other_where_that_is_asked_for(encrypted: World) -> None:
    encrypted.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1")
    configure(encrypted, hosts=True)
    try:
        for own, there in zip(HOSTS[0].addresses, HOSTS[1].addresses, strict=True):
            encrypted.until(lambda there=there: way(encrypted, "h1", there) in DEVICES.values(), "a route")
            encrypted.until(lambda own=own: way(encrypted, "h2", own) in DEVICES.values(), "a route back")
            with overheard(encrypted) as packets:
                encrypted.until(lambda there=there: "1 received" in ping(encrypted, there), "an answer")
            clear = [one for one in packets if there in ends(one) and not is_encrypted(one)]
            # BGP spoke before there was a tunnel, and neighbours are looked for all the time.
            assert not [one for one in clear if one[9 if one[0] >> 4 == 4 else 6] == 1]
        assert_only_encrypted(encrypted, *PAIRS)
        encrypted.until(lambda: "1 received" in ping(encrypted, HOSTS[2].addresses[0]), "an answer")
    finally:
        encrypted.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0")
    configure(encrypted)
    there = HOSTS[1].addresses[0]
    encrypted.until(lambda: way(encrypted, "h1", there) == "eth0", "hosts in the clear again")
    encrypted.until(lambda: way(encrypted, "h2", HOSTS[0].addresses[0]) == "eth0", "and back")
    encrypted.until(lambda: "1 received" in ping(encrypted, there), "an answer")


def test_it_is_switched_off_and_on_without_a_restart_and_loses_nothing(encrypted: World) -> None:
    pids = [encrypted.pid(host) for host in ("h1", "h2")]
    with encrypted.lab.prober.stream(encrypted.probe("w1", "w2", 4, Transport.UDP), 0.005) as flow:
        configure(encrypted, on=False)
        encrypted.until(lambda: routes_are(encrypted, {4: "eth0", 6: "eth0"}), "no WireGuard")
        encrypted.until(lambda: public_keys(encrypted)["h2"] == ("", ""), "no keys")
        assert all_reach(encrypted, *PAIRS)
        configure(encrypted)
        encrypted.until(lambda: routes_are(encrypted, DEVICES), "WireGuard again")
        encrypted.until(lambda: all_reach(encrypted, *PAIRS), "workloads reach each other")
        report = flow.stop()
    assert not report.broken
    assert [encrypted.pid(host) for host in ("h1", "h2")] == pids


@pytest.fixture(scope="module")
def strict(world_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same hosts, and encryption is required of those that have keys."""
    topology = Topology(f"s{os.getpid()}xr", HOSTS, WORKLOADS, directory=str(tmp_path_factory.mktemp("lab")))
    services = AgentServices(topology, settings={"TORTIE_WIREGUARD_ENCRYPTION_REQUIRED": "true"})
    with Lab(topology, services, plugin(topology)) as lab:
        world = world_of(lab, services)
        configure(world)
        world.until(lambda: routes_are(world, DEVICES), "routes into WireGuard")
        yield world


def test_where_encryption_is_required_nothing_goes_to_hosts_without_a_key(strict: World) -> None:
    strict.until(lambda: all_reach(strict, *PAIRS), "workloads reach each other")
    assert_only_encrypted(strict, *PAIRS)
    addresses = {strict.address("w3", family) for family in (4, 6)}
    with overheard(strict) as packets:
        assert not any(strict.reaches("w1", "w3", family) for family in (4, 6))
        strict.until(lambda: "1 received" in ping(strict, HOSTS[2].addresses[0]), "an answer")
    assert not [one for one in packets if addresses & set(ends(one))]


def test_where_encryption_is_required_a_lost_device_lets_nothing_out(strict: World) -> None:
    strict.until(lambda: all_reach(strict, *PAIRS), "workloads reach each other")
    addresses = {strict.address("w2", family) for family in (4, 6)}
    strict.kill()
    with overheard(strict) as packets:
        for device in DEVICES.values():
            strict.run("ip", "link", "delete", device)
        assert not any(strict.reaches("w1", "w2", family) for family in (4, 6))
    assert not [one for one in packets if addresses & set(ends(one))]
    strict.start()
    strict.until(lambda: all_reach(strict, *PAIRS), "workloads reach each other")
    assert_only_encrypted(strict, *PAIRS)
