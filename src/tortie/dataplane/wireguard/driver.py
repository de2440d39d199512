"""What makes and configures WireGuard devices: the kernel, or where it cannot the program wireguard-go."""

from __future__ import annotations

import errno

from tortie.base.errors import KernelError
from tortie.dataplane.wireguard.userspace import Userspace
from tortie.netlink import links, wireguard
from tortie.netlink.batch import execute
from tortie.netlink.links import Link, NewLink
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wireguard import KIND, Change, Wireguard

_UNKNOWN_KIND = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT)


class Driver:
    """Devices of both makes; which one a device is of follows from its kind.

    Args:
        routes: a NETLINK_ROUTE socket; both are for the worker thread alone.
        generic: a NETLINK_GENERIC socket.
    """

    def __init__(self, routes: NetlinkSocket, generic: NetlinkSocket, userspace: Userspace) -> None:
        self._routes = routes
        self._generic = generic
        self._userspace = userspace

    def make(self, name: str) -> None:
        """Make a device. Raises KernelError, Unsupported, Unavailable."""
        try:
            execute(self._routes, links.create(NewLink(name), KIND))
        except KernelError as error:
            if error.errno not in _UNKNOWN_KIND:
                raise
            self._userspace.make(name)

    def read(self, link: Link, private: bytes | None, public: bytes) -> Wireguard:
        """What a device has. Raises KernelError, Unavailable.

        Args:
            private, public: the key pair that it should have.
        """
        if link.kind == KIND:
            return wireguard.read(self._generic, link.name)
        return self._userspace.read(link.name, private, public)

    def change(self, name: str, wanted: Change) -> None:
        """Carry out a change. Raises KernelError, Unavailable."""
        if self._userspace.has(name):
            self._userspace.change(name, wanted)
        else:
            wireguard.change(self._generic, name, wanted)
