"""A workload on two cables at once: which of them its packets leave by, and what it says of itself on one."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, NotFound
from tortie.cni.wiring import GATEWAY4, GATEWAY6
from tortie.netlink import links, route
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

CABLES = ("eth0", "eth1")
"""Names of a workload's end, in turns."""

_HALVES = {
    4: (Cidr.parse("0.0.0.0/1"), Cidr.parse("128.0.0.0/1")),
    6: (Cidr.parse("::/1"), Cidr.parse("8000::/1")),
}
"""More specific than a default route, which does not count as long as they are there."""
_DEFAULT = {4: Cidr(4, 0, 0), 6: Cidr(6, 0, 0)}
_GATEWAY = {4: GATEWAY4, 6: GATEWAY6}


class Guest(msgspec.Struct, frozen=True):
    """A workload in its namespace, with addresses of these families."""

    namespace: Path
    families: tuple[int, ...]

    def cables(self) -> list[str]:
        """Those that it has. Raises KernelError."""
        with inside(self.namespace), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
            return [link.name for link in links.list_links(rtnetlink) if link.name in CABLES]

    def hold(self, cable: str) -> None:
        """What it sends leaves by this cable, whatever its default route says. Raises KernelError, NotFound."""
        self._receive_by_all()
        self._route(cable, {family: _HALVES[family] for family in self.families})

    def release(self) -> None:
        """What it sends leaves by its default route again; no packet is without a way in between."""
        with inside(self.namespace), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
            for family in self.families:
                for one in route.list_routes(rtnetlink, family):
                    if one.destination in _HALVES[family]:
                        execute(rtnetlink, route.delete(one))

    def use(self, cable: str) -> None:
        """Its default routes lead through this cable. Raises KernelError, NotFound."""
        self._route(cable, {family: (_DEFAULT[family],) for family in self.families})

    def send(self, cable: str, frame: bytes) -> None:
        """Put a frame on a cable as it is. Raises KernelError."""
        try:
            with inside(self.namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
                sender.bind((cable, 0))
                sender.send(frame)
        except OSError as error:
            raise KernelError(f"send by {cable}", error.errno or 0) from error

    def _receive_by_all(self) -> None:
        """What arrives by the other cable than it is answered by is not forged."""
        with inside(self.namespace):
            for one in ("all", "default", *self.cables()):
                Path(f"/proc/sys/net/ipv4/conf/{one}/rp_filter").write_text("0")

    def _route(self, cable: str, destinations: dict[int, tuple[Cidr, ...]]) -> None:
        with inside(self.namespace), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
            link = links.get_link(rtnetlink, cable)
            if link is None:
                raise NotFound(f"interface {cable}")
            if 4 in destinations:
                execute(rtnetlink, route.replace(route.device_route(GATEWAY4, link.index)))
            for family, wanted in destinations.items():
                ways = (route.Route(one, link.index, gateway=_GATEWAY[family]) for one in wanted)
                execute(rtnetlink, *map(route.replace, ways))
