"""Generic netlink: families of commands by name, and the header of a command (linux/genetlink.h)."""

from __future__ import annotations

import errno
import struct

from tortie.base.errors import KernelError
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import attributes, text, unpack

NETLINK_GENERIC = 16

_CONTROL = 16
_GET_FAMILY = 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_HEADER = struct.Struct("=BBH")
_SHORT = struct.Struct("=H")


def command(number: int, attributes_: bytes, version: int = 1) -> bytes:
    """The payload of a message."""
    return _HEADER.pack(number, version, 0) + attributes_


def family_number(socket: NetlinkSocket, name: str) -> int:
    """The message type of a family. Raises KernelError: ENOENT when this kernel has none such."""
    payload = command(_GET_FAMILY, text(_FAMILY_NAME, name))
    for answer in socket.request(_CONTROL, 0, payload, f"find the netlink family {name}"):
        found = attributes(answer.payload, _HEADER.size)
        if _FAMILY_ID in found:
            number: int = unpack(_SHORT, found[_FAMILY_ID])[0]
            return number
    raise KernelError(f"find the netlink family {name}", errno.ENOENT)
