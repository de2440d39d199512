"""What happens to links, addresses and routes, as it happens: tables kept by events (linux/rtnetlink.h)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tortie.base.errors import KernelError
from tortie.netlink.address_table import AddressTable
from tortie.netlink.addresses import RTM_DELADDR, RTM_NEWADDR, Address, decode_address
from tortie.netlink.links import RTM_DELLINK, RTM_NEWLINK, Link, decode_link
from tortie.netlink.route import RTM_DELROUTE, RTM_NEWROUTE, Route, decode_route
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from tortie.netlink.wire import Message

RTNLGRP_LINK = 1
RTNLGRP_IPV4_IFADDR = 5
RTNLGRP_IPV4_ROUTE = 7
RTNLGRP_IPV6_IFADDR = 9
RTNLGRP_IPV6_ROUTE = 11
GROUPS = (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE)

_AF_BRIDGE = 7
_READS_PER_TURN = 64


class LinkEvent(msgspec.Struct, frozen=True, gc=False):
    """Something about the link of this name changed; `link` is what it is now, None when it is gone.

    A rename is two events: the old name is gone, the new one is there.
    """

    name: str
    link: Link | None


class AddressEvent(msgspec.Struct, frozen=True, gc=False):
    """The device of this index has got or lost an address."""

    index: int


class RouteEvent(msgspec.Struct, frozen=True, gc=False):
    """A route was added, replaced or deleted.

    The kernel does not report IPv4 routes that it drops because their link goes down or away.

    Args:
        port: who asked for it: compare with `NetlinkSocket.port` to ignore one's own changes.
    """

    route: Route
    gone: bool
    port: int


class Resync(msgspec.Struct, frozen=True, gc=False):
    """Events were lost: read links, addresses and routes again; the monitor pauses until `Monitor.resynchronised`."""


Event = LinkEvent | AddressEvent | RouteEvent | Resync


class LinkTable:
    """Links by name, as the events heard so far tell. One thread takes them in; others may read.

    While two devices seem to have one name (events of two renames crossing), the one heard of last has it.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Link] = {}
        self._names: dict[int, str] = {}

    def get(self, name: str) -> Link | None:
        """The link of this name, or None."""
        return self._by_name.get(name)

    def name_of(self, index: int) -> str:
        """The name of the link of this index; empty if there is none."""
        return self._names.get(index, "")

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._by_name.values()))

    def note(self, link: Link, *, gone: bool = False) -> list[LinkEvent]:
        """Take in one report; returns what differs from before."""
        old_name = self._names.get(link.index)
        if gone:
            return self._remove(link.index)
        if old_name == link.name and self._by_name.get(link.name) == link:
            return []
        events = self._remove(link.index) if old_name not in (None, link.name) else []
        self._names[link.index] = link.name
        self._by_name[link.name] = link
        return [*events, LinkEvent(link.name, link)]

    def replace(self, links: Iterable[Link]) -> list[LinkEvent]:
        """Take in a complete list; returns what differs from before."""
        present = list(links)
        missing = self._names.keys() - {link.index for link in present}
        events = [event for index in sorted(missing) for event in self._remove(index)]
        return events + [event for link in present for event in self.note(link)]

    def _remove(self, index: int) -> list[LinkEvent]:
        name = self._names.pop(index, "")
        link = self._by_name.get(name)
        if link is None or link.index != index:
            return []
        del self._by_name[name]
        return [LinkEvent(name, None)]


class Monitor:
    """Feeds events of one network namespace to a callback, from an event loop.

    Create it in a thread that is in the namespace and before the first list, so that nothing falls in between.

    Args:
        listener: called in the event loop for each event; `links` and `addresses` already contain it.
    """

    def __init__(
        self, listener: Callable[[Event], None], links: LinkTable | None = None, addresses: AddressTable | None = None
    ) -> None:
        self.links = links if links is not None else LinkTable()
        self.addresses = addresses if addresses is not None else AddressTable()
        self._listener = listener
        self._socket = NetlinkSocket(NETLINK_ROUTE, GROUPS)
        self._socket.set_blocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, links: Iterable[Link], addresses: Iterable[Address] = ()) -> None:
        """Begin with complete lists, then follow events; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self.resynchronised(links, addresses)

    def resynchronised(self, links: Iterable[Link], addresses: Iterable[Address] = ()) -> None:
        """Take in complete lists, read after `Resync` was heard, and go on from there."""
        assert self._loop is not None, "not started"
        for event in self.links.replace(links):
            self._listener(event)
        for index in sorted(self.addresses.replace(addresses)):
            self._listener(AddressEvent(index))
        self._loop.add_reader(self._socket.fileno(), self._read)

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop and close the socket."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_READS_PER_TURN):
            try:
                answers = self._socket.receive()
            except KernelError as error:
                if error.errno == errno.EAGAIN:
                    return
                if error.errno != errno.ENOBUFS:
                    raise
                self._pause()
                return
            for answer in answers:
                for event in interpret(answer, self.links, self.addresses):
                    self._listener(event)

    def _pause(self) -> None:
        """Events were lost: what was queued before is worthless, what comes from now on waits for a complete list."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        while True:
            try:
                self._socket.receive()
            except KernelError as error:
                if error.errno == errno.EAGAIN:
                    break
                if error.errno != errno.ENOBUFS:
                    raise
        self._listener(Resync())


def interpret(message: Message, links: LinkTable, addresses: AddressTable) -> list[Event]:
    """What one message means, after taking it into the tables. Raises TruncatedMessage."""
    if message.type in (RTM_NEWLINK, RTM_DELLINK):
        if message.payload[:1] == bytes([_AF_BRIDGE]):
            return []
        return [*links.note(decode_link(message), gone=message.type == RTM_DELLINK)]
    if message.type in (RTM_NEWADDR, RTM_DELADDR):
        address = decode_address(message)
        is_new = address is not None and addresses.note(address, gone=message.type == RTM_DELADDR)
        return [AddressEvent(address.index)] if address is not None and is_new else []
    if message.type in (RTM_NEWROUTE, RTM_DELROUTE):
        route = decode_route(message)
        return [RouteEvent(route, message.type == RTM_DELROUTE, message.port)] if route else []
    return []
