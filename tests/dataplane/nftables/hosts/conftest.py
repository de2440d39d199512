"""A host with two networks and two workloads, and datagrams across it, in namespaces without names."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.operations import Operation
from tortie.dataplane.nftables.settings import Settings
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.target import Plan
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.failsafes import UDP, Failsafe, Failsafes
from tortie.desired.hosts import HostEndpoint, HostEndpointName, Tiers
from tortie.desired.policy import (
    Action,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    Side,
    Stage,
    TierPolicies,
)
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside

ADDRESSES: Mapping[str, tuple[str, str]] = {
    "near": ("192.0.2.9", "fd00:2::9"),
    "far": ("198.51.100.9", "fd00:51::9"),
    "pod1": ("10.65.0.1", "fd00:65::1"),
    "pod2": ("10.65.0.2", "fd00:65::2"),
}
"""Who is around the host."""
OWN: Mapping[str, tuple[str, str]] = {"eth0": ("192.0.2.1", "fd00:2::1"), "eth1": ("198.51.100.1", "fd00:51::1")}
"""The host's interfaces: eth0 leads to `near` and to everything unknown, eth1 to `far`."""
PODS = {"pod1": "cali1", "pod2": "cali2"}
PORTS = (22, 53, 80, 81, 1053)
NODE_PORTS = {32010: ("pod1", 80), 32011: ("far", 80), 32012: ("host", 81)}
"""Ports of the host's own addresses, and to whom and to which port they are translated."""
SERVICES = {"far": ("10.96.0.1", "fd00:96::1"), "pod1": ("10.96.0.2", "fd00:96::2")}
"""Addresses that are translated to those of others, port 53 to port 80; only packets to port 53 are."""
FAILSAFES = Failsafes(inbound=(Failsafe(UDP, 22),), outbound=(Failsafe(UDP, 53),))
LOSS_AFTER = 0.15
"""Seconds after which a datagram does not arrive any more: those that do arrive within the call that sends them."""


class Shot(msgspec.Struct, frozen=True):
    """A datagram. `sender` and `receiver` are keys of ADDRESSES, or `host`."""

    sender: str
    destination: str
    port: int
    receiver: str = ""
    source_port: int = 0


class HostLab:
    """The namespaces, and the packet filter of the host."""

    def __init__(self) -> None:
        self.namespaces = {name: anonymous_namespace() for name in ("host", *ADDRESSES)}
        self._build()
        self._listeners = {
            listener: name for name in self.namespaces for listener in self._in(name, _listen, (*PORTS, *NODE_PORTS))
        }
        self.target = NftablesTarget(Settings(failsafes=FAILSAFES), addresses=self.own_addresses)
        self._numbers = itertools.count(1)
        self._source_ports = itertools.cycle(range(20000, 30000))
        self._warm_up()

    def bring(self, desired: DesiredState, changes: Changes | None = None) -> None:
        """One pass; the first is a full one."""
        with inside(self.namespaces["host"]):
            actual = self.target.read()
            plan = self.target.plan(desired, actual, changes)
            self.target.apply(plan.operations)
            self.target.applied(actual, plan)

    def plan(self, desired: DesiredState) -> Plan[Operation]:
        """What a full pass from what the kernel has would do."""
        with inside(self.namespaces["host"]):
            fresh = NftablesTarget(self.target.settings, addresses=self.own_addresses)
            plan = fresh.plan(desired, fresh.read(), None)
            fresh.connection.close()
            return plan

    def counters(self) -> dict[int, tuple[int, int]]:
        """Packets and bytes by rule identity."""
        with inside(self.namespaces["host"]):
            return self.target.counters()

    def own_addresses(self) -> dict[str, set[Cidr]]:
        """As a monitor of the host would know them."""
        with inside(self.namespaces["host"]):
            shown = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        found: dict[str, set[Cidr]] = {}
        for line in shown.splitlines():
            _, interface, _, address, *_ = line.split()
            found.setdefault(interface, set()).add(Cidr.host(address))
        return found

    def shot(self, sender: str, destination: str, port: int = 80, receiver: str = "", source_port: int = 0) -> Shot:
        """A datagram for who has the address, or for `receiver`."""
        return Shot(sender, destination, port, receiver or owner(destination), source_port)

    def arrives(self, sender: str, destination: str, port: int = 80, receiver: str = "", source_port: int = 0) -> bool:
        """Whether one datagram reaches who it is for."""
        shot = self.shot(sender, destination, port, receiver, source_port)
        return shot in self.arrived([shot])

    def answers(self, sender: str, destination: str, port: int = 80) -> bool:
        """Whether a datagram arrives, and one that is sent back too."""
        receiver = owner(destination)
        speaker = self._in(sender, _bound, next(self._source_ports), ":" in destination)
        with speaker:
            speaker.sendto(b"?", (destination, port))
            arrival = self._first_arrival(receiver)
            if arrival is None:
                return False
            listener, address = arrival
            with contextlib.suppress(PermissionError):  # the host's own policy refuses it
                listener.sendto(b"!", address)
            return bool(select.select([speaker], [], [], LOSS_AFTER)[0])

    def arrived(self, shots: Iterable[Shot]) -> set[Shot]:
        """Those of these that reach their receivers; each is a flow of its own."""
        sent: dict[bytes, Shot] = {}
        for shot in shots:
            number = next(self._numbers).to_bytes(8, "big")
            sent[number] = shot
            source_port = shot.source_port or next(self._source_ports)
            speaker = self._in(shot.sender, _bound, source_port, ":" in shot.destination)
            with speaker, contextlib.suppress(PermissionError):  # the host's own policy refuses it
                speaker.sendto(number, (shot.destination, shot.port))
        return {sent[number] for number, name in self._arrivals(sent) if sent[number].receiver == name}

    def forget_connections(self) -> None:
        """Every flow is a new one."""
        self.run("host", "conntrack", "-F")

    def run(self, name: str, *command: str) -> str:
        """What a command prints in a namespace."""
        with inside(self.namespaces[name]):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self.target.connection.close()
        for descriptor in self.namespaces.values():
            os.close(descriptor)

    def _in(self, name: str, function, *arguments):  # type: ignore[no-untyped-def]
        with inside(self.namespaces[name]):
            return function(*arguments)

    def _arrivals(self, sent: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
        """What arrives of what was sent now; stragglers of earlier shots were given up already."""
        until, expected = time.monotonic() + LOSS_AFTER, len(sent)
        while expected and (ready := select.select(self._listeners, [], [], max(0.0, until - time.monotonic()))[0]):
            for listener in ready:
                number = listener.recv(100)
                if number in sent:
                    yield number, self._listeners[listener]
                    expected -= 1

    def _first_arrival(self, receiver: str) -> tuple[socket.socket, tuple[object, ...]] | None:
        """Where the next datagram for a receiver arrives, and who sent it."""
        listeners = [listener for listener, name in self._listeners.items() if name == receiver]
        ready = select.select(listeners, [], [], LOSS_AFTER)[0]
        return (ready[0], ready[0].recvfrom(100)[1]) if ready else None

    def _build(self) -> None:
        with inside(self.namespaces["host"]):
            for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path(f"/proc/sys/net/{path}").write_text("1")
            _ip("link", "set", "lo", "up")
        for interface, name in zip(OWN, ("near", "far"), strict=True):
            self._wire(interface, name, OWN[interface], (24, 64))
        for name, interface in PODS.items():
            self._wire(interface, name, (), (32, 128))
        with inside(self.namespaces["host"]):
            for address in ADDRESSES["near"]:
                _ip("route", "add", "default", "via", address)
            subprocess.run(["nft", "-f", "-"], input=_translation(), text=True, check=True)

    def _wire(self, interface: str, name: str, own: Sequence[str], lengths: tuple[int, int]) -> None:
        where = f"/proc/{os.getpid()}/fd/{self.namespaces[name]}"
        with inside(self.namespaces["host"]):
            _ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", where)
            _ip("link", "set", interface, "up")
            for address, length in zip(own, lengths, strict=False):
                _ip("addr", "add", f"{address}/{length}", "dev", interface, "nodad")
            for address in () if own else ADDRESSES[name]:
                _ip("route", "add", address, "dev", interface)
        gateways = own or ("169.254.1.1", "fe80::1")
        with inside(self.namespaces[name]):
            _ip("link", "set", "lo", "up")
            _ip("link", "set", "eth0", "up")
            for address, length in zip(ADDRESSES[name], lengths, strict=True):
                _ip("addr", "add", f"{address}/{length}", "dev", "eth0", "nodad")
            if not own:
                _ip("route", "add", gateways[0], "dev", "eth0", "scope", "link")
            for gateway in gateways:
                _ip("route", "add", "default", "via", gateway, "dev", "eth0")
        if not own:
            with inside(self.namespaces["host"]):
                _ip("addr", "add", "fe80::1/64", "dev", interface, "nodad")
                Path(f"/proc/sys/net/ipv4/conf/{interface}/proxy_arp").write_text("1")
                Path(f"/proc/sys/net/ipv4/neigh/{interface}/proxy_delay").write_text("0")

    def _warm_up(self) -> None:
        """Carriers come up, and neighbours are resolved, in the kernel's own time."""
        pairs = [("host", one) for name in ADDRESSES for one in ADDRESSES[name]]
        pairs += [(name, one) for name in ADDRESSES for one in OWN["eth0"]]
        for sender, destination in pairs:
            assert any(self.arrives(sender, destination) for _ in range(50)), (sender, destination)


def owner(destination: str) -> str:
    """Who has an address; services are nobody's."""
    return next((name for name, addresses in ADDRESSES.items() if destination in addresses), "host")


def open_pods() -> DesiredState:
    """Two workloads that may send and receive everything, and policies by name that allow or deny a port."""
    state = DesiredState()
    everything = Policy(PolicyId("Profile", "", "open"), "", (Rule(Action.ALLOW, 0),), (Rule(Action.ALLOW, 0),))
    state.policies = {everything.id: everything}
    for name, interface in PODS.items():
        one = EndpointId("shop", name)
        own, governing = tuple(map(Cidr.host, ADDRESSES[name])), PolicyList((), (everything.id,))
        state.endpoints[one] = Endpoint(one, interface, own, governing, governing)
    return state


class Guarded:
    """A desired state that grows: workloads that nobody judges, and host endpoints."""

    def __init__(self) -> None:
        self.state = open_pods()
        self.profiles = tuple(one for one in self.state.policies)

    def tiers(self, action: Action, *ports: int, stage: Stage = Stage.NORMAL, end: Action = Action.DENY) -> Tiers:
        """One tier with one policy about these ports, or about everything."""
        span = Side(ports=tuple(PortRange(port, port) for port in sorted(ports)))
        rules = (Rule(action, 0, protocol=UDP, destination=span) if ports else Rule(action, 0),)
        name = f"{stage.value}-{action.value}-{'-'.join(map(str, ports))}".lower()
        policy = Policy(PolicyId("GlobalNetworkPolicy", "", name), "default", rules, rules, stage)
        self.state.policies[policy.id] = policy
        return (TierPolicies("default", (policy.id,), end if stage is Stage.NORMAL else Action.PASS),)

    def early(self, action: Action, *ports: int, stage: Stage = Stage.PRE_DNAT) -> Tiers:
        """As `tiers`, of an early stage."""
        return self.tiers(action, *ports, stage=stage)

    def endpoint(self, name: str, interface: str, is_open: bool = False, **lists: object) -> Guarded:
        """Add a host endpoint; `is_open` gives it a profile that allows everything."""
        if is_open:
            lists |= {way: PolicyList((), self.profiles) for way in ("ingress", "egress") if way not in lists}
        made = HostEndpoint(name=HostEndpointName(name), interface=interface, **lists)  # type: ignore[arg-type]
        self.state.host_endpoints[made.name] = made
        return self


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _listen(ports: Iterable[int]) -> list[socket.socket]:
    found = []
    for port in ports:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", port))
        found.append(listener)
    return found


def _bound(port: int, ipv6: bool) -> socket.socket:
    speaker = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    speaker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    speaker.bind(("", port))
    return speaker


def _translation() -> str:
    """What a service proxy would do."""
    lines = ["table inet proxy {"]
    node_ports, services = [], []
    for family, word in ((0, "ip"), (1, "ip6")):
        mine = ", ".join(own[family] for own in OWN.values())
        for port, (name, to) in NODE_PORTS.items():
            target = (OWN["eth0"] if name == "host" else ADDRESSES[name])[family]
            at = f"[{target}]:{to}" if family else f"{target}:{to}"
            node_ports.append(f"{word} daddr {{ {mine} }} udp dport {port} dnat {word} to {at}")
        for name, addresses in SERVICES.items():
            target = f"[{ADDRESSES[name][1]}]:80" if family else f"{ADDRESSES[name][0]}:80"
            services.append(f"{word} daddr {addresses[family]} udp dport 53 dnat {word} to {target}")
    lines += ["chain pre { type nat hook prerouting priority dstnat;", *node_ports, *services, "}"]
    lines += ["chain out { type nat hook output priority -100;", *services, "}", "}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def host_lab() -> Iterator[HostLab]:
    made = HostLab()
    yield made
    made.close()


@pytest.fixture
def lab(host_lab: HostLab) -> HostLab:
    """The lab, its table as if never used."""
    host_lab.bring(open_pods())
    host_lab.forget_connections()
    return host_lab


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()
