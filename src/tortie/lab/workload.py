"""Workloads: their namespaces, and two ways to connect one to a host: through a CNI plugin, and directly."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tortie.api.endpointnames import host_interface_name
from tortie.base.addresses import Cidr
from tortie.base.errors import NotFound, TortieError
from tortie.cni.wiring import Cable, unwire, wire
from tortie.lab.fabric import QUIET_SYSCTLS, UPLINK, write_sysctls
from tortie.lab.state import Attachment
from tortie.lab.topology import Host, Topology, Workload, own_addresses
from tortie.netlink import links, neighbours, route
from tortie.netlink.batch import Request, execute
from tortie.netlink.namespace import create_namespace, delete_namespace, inside
from tortie.netlink.neighbours import Neighbour
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

INTERFACE = "eth0"
PREFIX = "cali"
_PLUGIN_PATIENCE = 60.0
_STATIC_METRIC = 2048
"""Above that of a workload's own route: what is left on the host that it moves to must not win."""


class PluginFailed(TortieError):
    """A CNI plugin ended with an error; the message is what it printed."""


class Attacher(Protocol):
    """A way to connect workloads to hosts."""

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        """Connect a workload, with these addresses or (none given) with ones of the attacher's choice."""

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        """Undo it; no error when it is undone already."""


class CniAttacher(msgspec.Struct, frozen=True):
    """Runs a CNI plugin as a container runtime would: from the host's namespace, one ADD and one DEL each.

    Args:
        plugin: path of the program.
        config: the network configuration for a host; `runtimeConfig.ips` is added when addresses are asked for.
    """

    plugin: Path
    config: Callable[[Host], Mapping[str, Any]]

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        """Raises PluginFailed."""
        container = uuid.uuid4().hex
        output = self._run("ADD", topology, workload, host, container, addresses)
        result = msgspec.json.decode(output, type=CniResult)
        assigned = tuple(str(ipaddress.ip_interface(one.address).ip) for one in result.ips)
        name = next((one.name for one in result.interfaces if not one.sandbox), "")
        return Attachment(host.name, assigned, name, container)

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        """Raises PluginFailed."""
        self._run("DEL", topology, workload, topology.host(attachment.host), attachment.container_id, ())

    def _run(
        self, command: str, topology: Topology, workload: Workload, host: Host, container: str, addresses: Sequence[str]
    ) -> bytes:
        environment = plugin_environment(command, container, topology.workload_namespace(workload.name), workload)
        config = dict(self.config(host))
        labels = [{"key": key, "value": value} for key, value in sorted(workload.labels.items())]
        config["args"] = {"cni": {"labels": labels}}
        if addresses:
            config["runtimeConfig"] = {**config.get("runtimeConfig", {}), "ips": list(addresses)}
        with inside(topology.host_namespace(host.name)):
            done = subprocess.run(
                [self.plugin],
                input=msgspec.json.encode(config),
                env=environment,
                capture_output=True,
                check=False,
                timeout=_PLUGIN_PATIENCE,
            )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise PluginFailed(f"{command} of {workload.name} on {host.name}: exit status {done.returncode}: {said}")
        return done.stdout


class CniInterface(msgspec.Struct, frozen=True):
    """An interface in the result of ADD; without sandbox it is the host's end."""

    name: str
    mac: str = ""
    sandbox: str = ""


class CniAddress(msgspec.Struct, frozen=True):
    """An address in the result of ADD, with its prefix length."""

    address: str


class CniResult(msgspec.Struct, frozen=True):
    """The result of ADD (CNI specification 1.0.0, section 5)."""

    interfaces: tuple[CniInterface, ...] = ()
    ips: tuple[CniAddress, ...] = ()


class DirectAttacher(msgspec.Struct, frozen=True):
    """Makes the cable and the routes itself: a lab without any agent.

    Args:
        routes: whether the other hosts get a route to the workload too.
    """

    routes: bool = True

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        """Raises KernelError."""
        chosen = tuple(addresses) or own_addresses(topology, workload.name)
        interface = attach_directly(topology, workload, host, chosen)
        if self.routes:
            route_from_others(topology, host, chosen)
        return Attachment(host.name, chosen, interface)

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        """Routes of other hosts stay until the workload is attached elsewhere. Raises KernelError."""
        with inside(topology.host_namespace(attachment.host)):
            unwire(attachment.interface)


def attach_directly(topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> str:
    """Wire a workload to a host and route its addresses there, as an agent would; the name of the host's end.

    Raises:
        KernelError: nothing of the pair is left behind when wiring failed.
    """
    interface = host_interface_name(PREFIX, workload.namespace, workload.name, "")
    own = tuple(Cidr.host(address) for address in addresses)
    with inside(topology.host_namespace(host.name)), NetlinkSocket(NETLINK_ROUTE) as socket:
        mac = wire(Cable(interface, INTERFACE, topology.workload_namespace(workload.name), own))
        write_sysctls({f"ipv4/conf/{interface}/proxy_arp": "1", f"ipv4/neigh/{interface}/proxy_delay": "0"})
        link = links.get_link(socket, interface)
        if link is None:
            raise NotFound(f"interface {interface}")
        execute(socket, *(route.replace(route.device_route(address, link.index)) for address in own))
        # A solicitation that leaves before the device has its link-local address is lost, and repeated after a second.
        execute(socket, *(neighbours.replace(Neighbour(link.index, address, mac)) for address in own))
    return interface


def create(topology: Topology, workload: Workload) -> None:
    """Make the workload's namespace, unconnected but for loopback. Raises KernelError."""
    path = topology.workload_namespace(workload.name)
    create_namespace(path.name)
    with inside(path), NetlinkSocket(NETLINK_ROUTE) as socket:
        write_sysctls(QUIET_SYSCTLS)
        execute(socket, links.change("lo", up=True))


def delete(topology: Topology, workload: Workload) -> None:
    """Delete the workload's namespace and its devices. Raises KernelError."""
    delete_namespace(topology.workload_namespace(workload.name).name)


def plugin_environment(command: str, container: str, namespace: Path, workload: Workload) -> dict[str, str]:
    """What a kubelet's runtime gives a plugin (CNI specification 1.0.0, section 2)."""
    arguments = {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": workload.namespace,
        "K8S_POD_NAME": workload.name,
        "K8S_POD_INFRA_CONTAINER_ID": container,
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": str(namespace),
        "CNI_IFNAME": INTERFACE,
        "CNI_PATH": os.defpath,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in arguments.items()),
    }


def route_from_others(topology: Topology, owner: Host, addresses: Sequence[str]) -> None:
    """Give every other host static routes to addresses through their owner. Raises KernelError, NotFound."""
    for host in topology.hosts:
        if host.name == owner.name:
            continue
        with inside(topology.host_namespace(host.name)), NetlinkSocket(NETLINK_ROUTE) as socket:
            uplink = links.get_link(socket, UPLINK)
            if uplink is None:
                raise NotFound(f"interface {UPLINK}")
            execute(socket, *_routes_via(owner, uplink.index, addresses))


def _routes_via(owner: Host, uplink: int, addresses: Sequence[str]) -> list[Request]:
    return [
        route.replace(route.Route(address, uplink, gateway=Cidr.host(gateway), metric=_STATIC_METRIC))
        for address in map(Cidr.host, addresses)
        if (gateway := owner.address(address.family))
    ]
