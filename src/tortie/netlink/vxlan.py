"""VXLAN devices, and where their frames go: forwarding entries (RFC 7348, linux/if_link.h, linux/neighbour.h)."""

from __future__ import annotations

import struct

import msgspec

from tortie.base.addresses import Cidr
from tortie.netlink import links
from tortie.netlink.batch import Request
from tortie.netlink.links import NewLink, packed_mac
from tortie.netlink.neighbours import RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    Message,
    as_address,
    as_u32,
    attribute,
    attributes,
    be16,
    u8,
    u32,
    unpack,
)

KIND = "vxlan"

_ID = 1
_LINK = 3
_LOCAL = {4: 4, 6: 17}
_LEARNING = 7
_PORT = 15
_INFO = 18
_INFO_DATA = 2
_NDA_DST = 1
_NDA_LLADDR = 2
_AF_BRIDGE = 7
_NTF_SELF = 2
_NUD_FIXED = 0x80 | 0x40
"""Permanent, and never asked for."""
_IFINFO = struct.Struct("=BxHiII")
_NDMSG = struct.Struct("=BxHiHBB")
_BE16 = struct.Struct(">H")


class Vxlan(msgspec.Struct, frozen=True, gc=False):
    """What cannot be changed of a device once it is made.

    Args:
        vni: network identifier, 24 bits.
        parent: index of the device that outer packets leave by.
        local: their source address.
        port: their UDP destination port.
        learning: whether it learns where frames go from those that arrive.
    """

    vni: int
    parent: int
    local: Cidr | None
    port: int
    learning: bool = False


class Forwarding(msgspec.Struct, frozen=True, order=True, gc=False):
    """Frames to a hardware address go to that host."""

    index: int
    mac: str
    address: Cidr


def create(link: NewLink, vxlan: Vxlan) -> Request:
    """Make a device; it is down. EEXIST when the name, or the network on that port, is taken."""
    local = vxlan.local
    data = (
        u32(_ID, vxlan.vni),
        u32(_LINK, vxlan.parent) if vxlan.parent else b"",
        attribute(_LOCAL[local.family], local.packed) if local else b"",
        u8(_LEARNING, vxlan.learning),
        be16(_PORT, vxlan.port),
    )
    return links.create(link, KIND, b"".join(data))


def list_vxlans(socket: NetlinkSocket) -> list[tuple[links.Link, Vxlan]]:
    """Every VXLAN device of the namespace. Raises KernelError."""
    return [found for one in links.dump_links(socket) if (found := decode_vxlan(one)) is not None]


def decode_vxlan(message: Message) -> tuple[links.Link, Vxlan] | None:
    """Read RTM_NEWLINK; None for a device of another kind. Raises TruncatedMessage."""
    link = links.decode_link(message)
    if link.kind != KIND:
        return None
    information = attributes(attributes(message.payload, _IFINFO.size).get(_INFO, b""))
    data = attributes(information.get(_INFO_DATA, b""))
    local = next((as_address(data[kind]) for kind in _LOCAL.values() if kind in data), None)
    return link, Vxlan(
        vni=as_u32(data[_ID]) if _ID in data else 0,
        parent=as_u32(data[_LINK]) if _LINK in data else 0,
        local=local,
        port=unpack(_BE16, data[_PORT])[0] if _PORT in data else 0,
        learning=bool(data.get(_LEARNING, b"\0")[:1].strip(b"\0")),
    )


def forward(entry: Forwarding) -> Request:
    """Add an entry, or replace that of the same hardware address."""
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _pack(entry), "forward frames to", entry.mac)


def forget(entry: Forwarding) -> Request:
    """Remove an entry. ENOENT when there is none such."""
    return Request(RTM_DELNEIGH, 0, _pack(entry), "forward no frames to", entry.mac)


def list_forwarding(socket: NetlinkSocket, index: int) -> list[Forwarding]:
    """The entries of one VXLAN device. Raises KernelError."""
    answers = socket.dump(RTM_GETNEIGH, _NDMSG.pack(_AF_BRIDGE, 0, index, 0, 0, 0), "list forwarding entries")
    found = (decode_forwarding(one) for one in answers)
    return [one for one in found if one is not None and one.index == index]


def decode_forwarding(message: Message) -> Forwarding | None:
    """Read RTM_NEWNEIGH of a bridge; None for an entry that leads to no host. Raises TruncatedMessage."""
    family, _, index, _, _, _ = unpack(_NDMSG, message.payload)
    found = attributes(message.payload, _NDMSG.size)
    if family != _AF_BRIDGE or _NDA_DST not in found or _NDA_LLADDR not in found:
        return None
    return Forwarding(index, found[_NDA_LLADDR].hex(":"), as_address(found[_NDA_DST]))


def _pack(entry: Forwarding) -> bytes:
    header = _NDMSG.pack(_AF_BRIDGE, 0, entry.index, _NUD_FIXED, _NTF_SELF, 0)
    return header + attribute(_NDA_LLADDR, packed_mac(entry.mac)) + attribute(_NDA_DST, entry.address.packed)
