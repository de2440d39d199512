"""CHECK: whether a workload's cable is as ADD's result says. Blocking; runs in the host's network namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.cni.errors import CONTAINER_UNKNOWN, INVALID_NETWORK_CONFIG, NOT_AS_ADDED, CniError
from tortie.cni.wiring import GATEWAY4, GATEWAY6
from tortie.netlink import addresses, links, route
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

_DEFAULT = {4: Cidr(4, 0, 0), 6: Cidr(6, 0, 0)}
_GATEWAY = {4: GATEWAY4, 6: GATEWAY6}


class PreviousInterface(msgspec.Struct, frozen=True):
    """An interface of a result; without sandbox it is the host's."""

    name: str = ""
    mac: str = ""
    sandbox: str = ""


class PreviousAddress(msgspec.Struct, frozen=True):
    """An address of a result, and which of its interfaces has it."""

    address: str = ""
    interface: int | None = None


class Previous(msgspec.Struct, frozen=True):
    """The result of the whole chain of plugins, as the runtime has kept it."""

    interfaces: tuple[PreviousInterface, ...] = ()
    ips: tuple[PreviousAddress, ...] = ()

    def interface(self, name: str, netns: str) -> PreviousInterface | None:
        """The workload's interface of this name."""
        return next((one for one in self.interfaces if one.name == name and one.sandbox == netns), None)

    def addresses_of(self, interface: PreviousInterface) -> tuple[Cidr, ...]:
        """Its addresses, and those of none. Raises ValueError."""
        position = self.interfaces.index(interface)
        return tuple(Cidr.host(one.address) for one in self.ips if one.interface in (None, position))


class Expected(msgspec.Struct, frozen=True):
    """What should be there.

    Args:
        mac: of the workload's end; empty is any.
    """

    host_interface: str
    interface: str
    netns: Path
    mac: str
    addresses: tuple[Cidr, ...]


def expected(previous: dict[str, Any] | None, interface: str, netns: str, host_interface: str) -> Expected:
    """Read a result. Raises CniError."""
    if previous is None:
        raise CniError(INVALID_NETWORK_CONFIG, "the configuration has no prevResult", "CHECK needs the result of ADD")
    try:
        result = msgspec.convert(previous, Previous)
        found = result.interface(interface, netns)
        own = result.addresses_of(found) if found else ()
    except (msgspec.ValidationError, ValueError) as error:
        raise CniError(INVALID_NETWORK_CONFIG, "prevResult cannot be read", str(error)) from error
    if found is None:
        raise CniError(INVALID_NETWORK_CONFIG, f"prevResult names no interface {interface} in {netns}")
    return Expected(host_interface, interface, Path(netns), found.mac.lower(), own)


def check_cable(wanted: Expected) -> None:
    """Raises CniError: what is not as it should be."""
    with NetlinkSocket(NETLINK_ROUTE) as host:
        link = links.get_link(host, wanted.host_interface)
    if link is None or not link.up:
        raise _differs(f"{wanted.host_interface} is {'down' if link else 'missing'} on the host")
    try:
        with inside(wanted.netns), NetlinkSocket(NETLINK_ROUTE) as socket:
            _check_workload(wanted, socket)
    except KernelError as error:
        raise CniError(CONTAINER_UNKNOWN, "the network namespace cannot be looked at", str(error)) from error


def _check_workload(wanted: Expected, socket: NetlinkSocket) -> None:
    link = links.get_link(socket, wanted.interface)
    if link is None or not link.up:
        raise _differs(f"{wanted.interface} is {'down' if link else 'missing'} in the workload")
    if wanted.mac and link.mac != wanted.mac:
        raise _differs(f"{wanted.interface} has hardware address {link.mac}, not {wanted.mac}")
    there = {one.address for one in addresses.list_addresses(socket, link.index)}
    if missing := [one.text for one in wanted.addresses if one not in there]:
        raise _differs(f"{wanted.interface} lacks {', '.join(missing)}")
    for family in sorted({one.family for one in wanted.addresses}):
        if not _has_default(socket, family, link.index):
            raise _differs(f"the workload has no IPv{family} default route by {wanted.interface}")


def _has_default(socket: NetlinkSocket, family: int, index: int) -> bool:
    return any(
        one.destination == _DEFAULT[family] and one.index == index and one.gateway == _GATEWAY[family]
        for one in route.list_routes(socket, family)
    )


def _differs(problem: str) -> CniError:
    return CniError(NOT_AS_ADDED, "the workload is not as it was attached", problem)
