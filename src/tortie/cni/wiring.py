"""The cable: a veth pair between host and workload, its addresses and routes inside the workload.

The workload reaches everything through a gateway that exists on no device: 169.254.1.1 and the
link-local address of the host's end, both with a fixed hardware address. Each end knows the other's
addresses as permanent neighbours, so that the first packet waits for nobody. Blocking; runs in a
worker thread that lives in the host's network namespace.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.netlink import addresses, links, neighbours, route
from tortie.netlink.batch import Request, execute
from tortie.netlink.namespace import inside, open_namespace
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

HOST_MAC = "ee:ee:ee:ee:ee:ee"
GATEWAY4 = Cidr.host("169.254.1.1")
GATEWAY6 = Cidr.host("fe80::ecee:eeff:feee:eeee")
"""The link-local address that the kernel derives from HOST_MAC (RFC 4291, appendix A)."""

_DEFAULT = {4: Cidr(4, 0, 0), 6: Cidr(6, 0, 0)}
_SYSCTL = Path("/proc/sys/net")


class Cable(msgspec.Struct, frozen=True):
    """What to wire.

    Args:
        host_interface: name of the host's end; an old one of that name is removed.
        interface: name of the workload's end.
        netns: path of the workload's network namespace.
        addresses: the workload's, of full length.
        mtu: bytes; 0 is the kernel's default.
        mac: hardware address of the workload's end; empty is a random one.
        queues: of either end, in each direction; 0 is the kernel's default.
        forwarding: whether the workload may forward; None leaves that as it is.
    """

    host_interface: str
    interface: str
    netns: Path
    addresses: tuple[Cidr, ...]
    mtu: int = 0
    mac: str = ""
    queues: int = 0
    forwarding: bool | None = None


def wire(cable: Cable) -> str:
    """Make the pair and set up both ends; returns the workload's hardware address.

    Raises:
        KernelError: nothing of the pair is left behind.
    """
    workload = open_namespace(cable.netns)
    try:
        with NetlinkSocket(NETLINK_ROUTE) as host:
            unwire(cable.host_interface, host)
            execute(host, *_pair(cable, workload))
            try:
                mac = _set_up_workload(cable, workload)
                _set_up_host(cable, mac, host)
            except KernelError:
                unwire(cable.host_interface, host)
                raise
        return mac
    finally:
        os.close(workload)


def unwire(host_interface: str, socket: NetlinkSocket | None = None) -> None:
    """Remove the pair; absence is no error. The kernel takes some 10 ms."""
    if socket is None:
        with NetlinkSocket(NETLINK_ROUTE) as own:
            unwire(host_interface, own)
        return
    try:
        execute(socket, links.delete(host_interface))
    except KernelError as error:
        if error.errno != errno.ENODEV:
            raise


def _pair(cable: Cable, workload: int) -> list[Request]:
    return [
        links.create_veth(
            links.NewLink(cable.host_interface, mac=HOST_MAC, mtu=cable.mtu, queues=cable.queues),
            links.NewLink(cable.interface, workload, cable.mac, cable.mtu, cable.queues),
        )
    ]


def _set_up_workload(cable: Cable, workload: int) -> str:
    with inside(workload), NetlinkSocket(NETLINK_ROUTE) as socket:
        _prepare_workload(cable)
        execute(socket, links.change("lo", up=True), links.change(cable.interface, up=True))
        link = links.get_link(socket, cable.interface)
        if link is None:
            raise KernelError(f"find interface {cable.interface}", errno.ENODEV, "it vanished while being set up")
        execute(socket, *_workload_requests(cable.addresses, link.index))
        return link.mac


def _prepare_workload(cable: Cable) -> None:
    _write_sysctl(f"ipv6/conf/{cable.interface}/accept_dad", "0")
    if any(address.family == 6 for address in cable.addresses):
        # Some runtimes make namespaces without IPv6.
        _write_sysctl("ipv6/conf/lo/disable_ipv6", "0")
        _write_sysctl(f"ipv6/conf/{cable.interface}/disable_ipv6", "0")
    if cable.forwarding is not None:
        _write_sysctl("ipv4/ip_forward", str(int(cable.forwarding)))
        _write_sysctl("ipv6/conf/all/forwarding", str(int(cable.forwarding)))


def _workload_requests(own: tuple[Cidr, ...], index: int) -> list[Request]:
    requests = [addresses.add(addresses.Address(index, address, address.bits)) for address in own]
    families = {address.family for address in own}
    if 4 in families:
        requests.append(route.replace(route.device_route(GATEWAY4, index)))
    for family in sorted(families):
        gateway = GATEWAY4 if family == 4 else GATEWAY6
        requests.append(neighbours.replace(neighbours.Neighbour(index, gateway, HOST_MAC)))
        requests.append(route.replace(route.Route(_DEFAULT[family], index, gateway=gateway)))
    return requests


def _set_up_host(cable: Cable, mac: str, socket: NetlinkSocket) -> None:
    # Without duplicate address detection the link-local gateway answers at once.
    _write_sysctl(f"ipv6/conf/{cable.host_interface}/accept_dad", "0")
    execute(socket, links.change(cable.host_interface, up=True))
    link = links.get_link(socket, cable.host_interface)
    if link is None:
        raise KernelError(f"find interface {cable.host_interface}", errno.ENODEV, "it vanished while being set up")
    # A solicitation that is lost while the link comes up is repeated only after a second.
    known = (neighbours.Neighbour(link.index, address, mac) for address in cable.addresses)
    execute(socket, *(neighbours.replace(neighbour) for neighbour in known))


def _write_sysctl(name: str, value: str) -> None:
    """Set one; a host without IPv6 has no such files."""
    try:
        (_SYSCTL / name).write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise KernelError(f"set sysctl net/{name}", error.errno or errno.EIO) from error
