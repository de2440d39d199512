"""Hosts as network namespaces on one bridge: built by netlink in this process, torn down without a trace."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tortie.base.addresses import BITS, Cidr
from tortie.base.errors import KernelError
from tortie.lab.topology import Host, Topology
from tortie.netlink import addresses, links, route
from tortie.netlink.batch import Request, execute
from tortie.netlink.namespace import NAMED, create_namespace, delete_namespace, inside, open_namespace
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

BRIDGE = "fabric"
UPLINK = "eth0"
_DEFAULT = {family: Cidr(family, 0, 0) for family in BITS}

QUIET_SYSCTLS: Mapping[str, str] = {
    # Addresses are usable at once, and refusals are seen however many there are.
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}
"""What every namespace of a lab is set to, as paths under /proc/sys/net."""

HOST_SYSCTLS: Mapping[str, str] = {
    **QUIET_SYSCTLS,
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
}
"""What a machine that routes is set to by its administrator."""


def build(topology: Topology) -> None:
    """Make the fabric and all hosts, the members of etcd among them.

    Each host has `eth0` on the fabric's bridge and a default route to the fabric's own address, which
    also covers 169.254.1.1: a host answers ARP for that only when it has a route to it (measured).

    Raises:
        KernelError: EEXIST when a namespace of the lab is there already; what was made stays, `demolish` removes it.
    """
    hosts = (*topology.hosts, *topology.members)
    create_namespace(topology.fabric)
    for host in hosts:
        create_namespace(topology.host_namespace(host.name).name)
    _build_bridge(topology, hosts)
    for host in hosts:
        with inside(topology.host_namespace(host.name)):
            _set_up_host(topology, host)


def namespaces(topology: Topology) -> list[Path]:
    """Every namespace that belongs to the lab, by name, whether or not the lab remembers it."""
    return sorted(NAMED.glob(f"{topology.prefix}*"))


def demolish(topology: Topology) -> None:
    """Delete every namespace of the lab and with them the devices; nothing there is no error. Raises KernelError."""
    for path in namespaces(topology):
        delete_namespace(path.name)


def write_sysctls(settings: Mapping[str, str]) -> None:
    """Set sysctls of the calling thread's namespace; those that this kernel lacks are left out. Raises KernelError."""
    for name, value in settings.items():
        path = Path("/proc/sys/net") / name
        try:
            path.write_text(value)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise KernelError(f"set sysctl net/{name}", error.errno or errno.EIO) from error


def _build_bridge(topology: Topology, hosts: Sequence[Host]) -> None:
    with ExitStack() as stack:
        stack.enter_context(inside(topology.host_namespace("fabric")))
        socket = stack.enter_context(NetlinkSocket(NETLINK_ROUTE))
        # Between subnets somebody must route, as far as it knows: to hosts, not to what they have inside.
        write_sysctls(HOST_SYSCTLS if _is_routed(topology) else QUIET_SYSCTLS)
        execute(socket, links.change("lo", up=True), links.create_bridge(BRIDGE))
        bridge = _index(socket, BRIDGE)
        requests: list[Request] = []
        for number, host in enumerate(hosts, 1):
            descriptor = open_namespace(topology.host_namespace(host.name))
            stack.callback(os.close, descriptor)
            requests += _plug_in(f"port{number}", descriptor, bridge)
        for gateway, subnet in zip(topology.gateways(), map(Cidr.parse, topology.subnets), strict=True):
            requests.append(addresses.add(addresses.Address(bridge, gateway, subnet.length)))
        execute(socket, *requests, links.change(bridge, up=True))


def _plug_in(port: str, namespace: int, bridge: int) -> list[Request]:
    return [
        links.create_veth(links.NewLink(port), links.NewLink(UPLINK, namespace=namespace)),
        links.change(port, up=True, master=bridge),
    ]


def _set_up_host(topology: Topology, host: Host) -> None:
    # A link-local address under duplicate address detection solicits no neighbours for forwarded packets.
    write_sysctls({**HOST_SYSCTLS, f"ipv6/conf/{UPLINK}/accept_dad": "0"})
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        uplink = _index(socket, UPLINK)
        requests = [links.change("lo", up=True), links.change(uplink, up=True)]
        for address in host.addresses:
            length = topology.subnet(address).length
            requests.append(addresses.add(addresses.Address(uplink, Cidr.host(address), length)))
        subnets = {topology.subnet(address) for address in host.addresses}
        for gateway in topology.gateways():
            if topology.subnet(gateway.text) in subnets:
                requests.append(route.add(route.Route(_DEFAULT[gateway.family], uplink, gateway=gateway)))
        execute(socket, *requests)


def _is_routed(topology: Topology) -> bool:
    families = [Cidr.parse(subnet).family for subnet in topology.subnets]
    return len(set(families)) < len(families)


def _index(socket: NetlinkSocket, name: str) -> int:
    link = links.get_link(socket, name)
    if link is None:
        raise KernelError(f"find link {name}", errno.ENODEV)
    return link.index
