"""Two hosts and four workloads, driven in this process: resources as text in, packets of both families through."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from model.network import Node

from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.resource import Resource, ResourceKey
from tortie.calculation.graph import Calculation
from tortie.calculation.permissions import Permissions
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.prober import Patience
from tortie.lab.topology import Topology, Workload
from tortie.netlink.namespace import inside

NAMES = ("w0", "w1", "w2", "w3")
HOSTS = {"w0": "h1", "w1": "h1", "w2": "h2", "w3": "h2"}
SHARED, OWN = 1100, {name: 3000 + number for number, name in enumerate(NAMES)}
OUT = {name: 4000 + number for number, name in enumerate(NAMES)}
"""Ports with a name at which nobody listens, so that they can be sent from."""
PORTS = (80, 81, 1001, SHARED, *OWN.values())
HOST_PORTS = (22, 80, 2379, 5473, 6443, 8055, 8056)
WEB = 8055
"""The port of hosts that all of them call `web`."""
SERVICES = {f"s{name[1]}": (f"10.96.0.{name[1]}", f"fd00:96::{name[1]}") for name in NAMES}
"""Addresses that hosts translate to those of the workload with the same digit, once `offer_services` was called."""
ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {host}-k8s-{name}-eth0, namespace: shop, labels: {{name: {name}}}}}
spec:
  orchestrator: k8s
  node: {host}
  pod: {name}
  endpoint: eth0
  interfaceName: {interface}
  ipNetworks: [{networks}]
  profiles: [open]
  allowSpoofedSourcePrefixes: [{spoofed}]
  ports:
    - {{name: shared, protocol: TCP, port: 1100}}
    - {{name: {name}-port, protocol: TCP, port: {port}}}
    - {{name: {name}-port-udp, protocol: UDP, port: {port}}}
    - {{name: {name}-port-sctp, protocol: SCTP, port: {port}}}
    - {{name: {name}-out, protocol: TCP, port: {out}}}
    - {{name: {name}-out-udp, protocol: UDP, port: {out}}}
    - {{name: {name}-out-sctp, protocol: SCTP, port: {out}}}
"""
HOST_ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {host}, labels: {{host: {host}}}}}
spec:
  node: {host}
  interfaceName: "{interface}"
  expectedIPs: [{addresses}]
  profiles: [{profiles}]
  ports: [{{name: web, protocol: TCP, port: 8055}}]
"""
BASE = """
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: open}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: default}
spec: {defaultAction: Deny}
"""
_ASKED = re.compile(r"(\w+)(?:@(\d+))?>(\w+)(?::(\d+))?(?:/(tcp|udp|icmp|sctp))?")


class Net:
    """Two hosts whose packet filters are driven in this process."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._nodes = [_permissive(Node(place), place.host.name) for place in lab.places()]
        self._known: dict[ResourceKey, Resource] = {}
        for name in NAMES:
            lab.prober.listen(name, *PORTS)
        for host in lab.topology.hosts:
            lab.prober.listen(host.name, *HOST_PORTS)

    def bring(self, *resources: str | Resource, absent: str = "") -> None:
        """These are all that there is, besides endpoints that everybody may reach, all but one; every flow is new."""
        endpoints = (self.endpoint(name) for name in NAMES if name != absent)
        texts = [one for one in resources if isinstance(one, str)]
        wanted = self._loaded("\n---\n".join((BASE, *endpoints, *texts)))
        wanted |= {one.key: one for one in resources if not isinstance(one, str)}
        updates = [(key, wanted.get(key)) for key in self._known.keys() | wanted.keys()]
        changed = [(key, value) for key, value in updates if self._known.get(key) != value]
        for node in self._nodes:
            node.thread.submit(node.bring, sorted(changed, key=lambda update: update[0])).result()
            node.thread.submit(node.forget_connections).result()
        self._known = wanted

    def objects(self, host: str) -> int:
        """How many chains and sets our table on a host has."""
        with inside(self._lab.namespace(host)):
            shown = subprocess.run(["nft", "list", "table", "inet", "tortie"], check=True, capture_output=True)
        return len(re.findall(rb"^\t(?:chain|set|map) ", shown.stdout, re.MULTILINE))

    def expect(self, open: str = "", closed: str = "") -> None:
        """Of `w0@1024>w1:80/udp` and the like in both families: any port to port 80 by TCP unless said otherwise."""
        wanted = dict.fromkeys(self._probes(open), True) | dict.fromkeys(self._probes(closed), False)
        first = self._lab.prober.run(list(wanted), Patience(0.08, 2))
        lost = [one.probe for one in first if wanted[one.probe] and not one.allowed]
        again = self._lab.prober.run(lost, Patience(1.0, 3)) if lost else []
        wrong = [one for one in first if one.allowed and not wanted[one.probe]]
        unexpected = [str(one) for one in (*wrong, *again) if one.allowed != wanted[one.probe]]
        assert not unexpected, unexpected

    def addresses(self, name: str) -> tuple[str, str]:
        """Of IPv4 and IPv6: those of a workload, a host or a service."""
        if name in SERVICES:
            return SERVICES[name]
        if name in NAMES:
            four, six = sorted(self._lab.attachment(name).addresses, key=lambda one: ":" in one)
            return four, six
        host = self._lab.topology.host(name)
        return host.address(4), host.address(6)

    def endpoint(self, name: str, spoofed: str = "") -> str:
        """A workload's, with the sources that it may use besides its own."""
        attachment = self._lab.attachment(name)
        networks = ", ".join(f'"{one}/{128 if ":" in one else 32}"' for one in attachment.addresses)
        return ENDPOINT.format(
            name=name,
            host=HOSTS[name],
            interface=attachment.interface,
            networks=networks,
            port=OWN[name],
            out=OUT[name],
            spoofed=spoofed,
        )

    def host_endpoint(self, host: str, interface: str = "eth0", is_open: bool = False) -> str:
        """One that guards an interface of a host, with its label `host`."""
        addresses = ", ".join(f'"{one}"' for one in self.addresses(host))
        profiles = "open" if is_open else ""
        return HOST_ENDPOINT.format(host=host, interface=interface, addresses=addresses, profiles=profiles)

    def offer_services(self) -> None:
        """Make every host translate the addresses of services, as a service proxy does."""
        lines = ["table inet proxy {"]
        for chain, hook in (("pre", "prerouting priority dstnat"), ("out", "output priority -100")):
            lines.append(f"chain {chain} {{ type nat hook {hook};")
            for service, addresses in SERVICES.items():
                for word, address, to in zip(("ip", "ip6"), addresses, self.addresses(f"w{service[1]}"), strict=True):
                    lines.append(f"{word} daddr {address} dnat {word} to {to}")
            lines.append("}")
        for host in self._lab.topology.hosts:
            with inside(self._lab.namespace(host.name)):
                subprocess.run(["nft", "-f", "-"], input="\n".join([*lines, "}"]), text=True, check=True)

    def withdraw_services(self) -> None:
        """Take that back."""
        for host in self._lab.topology.hosts:
            self._lab.exec(host.name, ["nft", "delete", "table", "inet", "proxy"])

    def carries(self, source: str, to: str, protocol: int) -> list[bool]:
        """Whether packets of a protocol without ports arrive, in IPv4 and IPv6."""
        return [
            self._carries(source, to, protocol, kind, address)
            for kind, address in zip((socket.AF_INET, socket.AF_INET6), self.addresses(to), strict=True)
        ]

    def _carries(self, source: str, to: str, protocol: int, kind: socket.AddressFamily, address: str) -> bool:
        with inside(self._lab.namespace(to)):
            listener = socket.socket(kind, socket.SOCK_RAW, protocol)
        with inside(self._lab.namespace(source)):
            speaker = socket.socket(kind, socket.SOCK_RAW, protocol)
        with listener, speaker:
            listener.settimeout(0.2)
            with suppress(PermissionError):  # the sender's own policy refuses it
                speaker.sendto(b"x", (address, 0))
            try:
                return bool(listener.recv(100))
            except TimeoutError:
                return False

    def arrives(self, source: str, to: str, family: int, address: str) -> bool:
        """Whether a datagram that bears this source address arrives."""
        kind, free = (
            (socket.AF_INET, (socket.SOL_IP, socket.IP_TRANSPARENT)) if family == 4 else (socket.AF_INET6, (41, 75))
        )
        with inside(self._lab.namespace(source)):
            speaker = socket.socket(kind, socket.SOCK_DGRAM)
        with inside(self._lab.namespace(to)):
            listener = socket.socket(kind, socket.SOCK_DGRAM)
        with speaker, listener:
            speaker.setsockopt(*free, 1)
            speaker.bind((address, 0))
            listener.bind((self.addresses(to)[family == 6], 7000))
            listener.settimeout(0.3)
            speaker.sendto(b"x", (self.addresses(to)[family == 6], 7000))
            try:
                return listener.recv(1) == b"x"
            except TimeoutError:
                return False

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def _loaded(self, text: str) -> dict[ResourceKey, Resource]:
        found = (with_defaults(load_resource(one)) for one in read_documents(text))
        return {one.key: one for one in found}

    def _probes(self, text: str) -> Iterator[Probe]:
        asked = text.split()
        for one in asked:
            found = _ASKED.fullmatch(one)
            assert found, one
            source, own, to, port, transport = found.groups()
            for address in self.addresses(to):
                yield Probe(source, address, Transport(transport or "tcp"), int(port or 80), int(own or 0))


def _permissive(node: Node, name: str) -> Node:
    """Where the operator lets workloads ask for sources of others."""
    node.calculation = Calculation(name, Permissions(source_spoofing=True))
    node.calculation.set_in_sync()
    return node


@contextmanager
def net(topology: Topology) -> Iterator[Net]:
    """The workloads on the hosts of a topology; gone after the block."""
    with Lab(with_workloads(topology)) as lab:
        for place in lab.places():
            with inside(place.namespace):
                Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").write_text("0")
        found = Net(lab)
        try:
            yield found
        finally:
            found.close()


def with_workloads(topology: Topology) -> Topology:
    """The same with the four workloads."""
    return msgspec.structs.replace(
        topology, workloads=tuple(Workload(name, host, "shop") for name, host in HOSTS.items())
    )


def policy(name: str, spec: str, kind: str = "NetworkPolicy", tier: str = "default") -> str:
    """A policy; `spec` in flow style, without its braces."""
    named = name if tier == "default" else f"{tier}.{name}"
    place = "" if kind.startswith(("Global", "StagedGlobal")) else ", namespace: shop"
    return f"""
apiVersion: projectcalico.org/v3
kind: {kind}
metadata: {{name: {named}{place}}}
spec: {{tier: {tier}, {spec}}}
"""


def tier(name: str, order: int, action: str = "Deny") -> str:
    return f"""
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {{name: {name}}}
spec: {{order: {order}, defaultAction: {action}}}
"""


def sets(**members: str) -> str:
    """Network sets, each with a label of its name."""
    return "\n---\n".join(
        f"""
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {{name: {name}, namespace: shop, labels: {{set: {name}}}}}
spec: {{nets: [{nets}]}}
"""
        for name, nets in members.items()
    )
