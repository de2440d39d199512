"""Neighbour entries: which hardware address has an IP address, and addresses answered for (linux/neighbour.h)."""

from __future__ import annotations

import struct

import msgspec

from tortie.base.addresses import Cidr
from tortie.netlink.addresses import FAMILIES
from tortie.netlink.batch import Request
from tortie.netlink.links import packed_mac
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import NLM_F_CREATE, NLM_F_REPLACE, Message, as_address, attribute, attributes, unpack

RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29
RTM_GETNEIGH = 30

_NDA_DST = 1
_NDA_LLADDR = 2
_NTF_PROXY = 8
_NUD_PERMANENT = 0x80
_NDMSG = struct.Struct("=BxHiHBB")


class Neighbour(msgspec.Struct, frozen=True, order=True, gc=False):
    """One entry.

    Args:
        index: the device.
        address: of full length.
        mac: lower-case; empty for a proxy entry, or one that is not resolved.
        permanent: made by hand, never expires.
        proxy: the host answers for this address itself.
    """

    index: int
    address: Cidr
    mac: str = ""
    permanent: bool = True
    proxy: bool = False


def replace(neighbour: Neighbour) -> Request:
    """Add a permanent or a proxy entry, or replace that of the same address."""
    name = f"replace neighbour {neighbour.address.text}"
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _pack(neighbour), name)


def delete(neighbour: Neighbour) -> Request:
    """Remove an entry. ENOENT when there is none such."""
    return Request(RTM_DELNEIGH, 0, _pack(neighbour), f"delete neighbour {neighbour.address.text}")


def list_neighbours(socket: NetlinkSocket, *, proxy: bool = False) -> list[Neighbour]:
    """Entries of both families: learnt and permanent ones, or else the proxied ones. Raises KernelError."""
    header = _NDMSG.pack(0, 0, 0, 0, _NTF_PROXY if proxy else 0, 0)
    answers = socket.dump(RTM_GETNEIGH, header, "list neighbours")
    return [found for one in answers if (found := decode_neighbour(one)) is not None]


def decode_neighbour(message: Message) -> Neighbour | None:
    """Read RTM_NEWNEIGH or RTM_DELNEIGH; None for families other than IPv4 and IPv6. Raises TruncatedMessage."""
    family, _, index, state, flags, _ = unpack(_NDMSG, message.payload)
    found = attributes(message.payload, _NDMSG.size)
    if family not in FAMILIES.values() or _NDA_DST not in found:
        return None
    mac = found.get(_NDA_LLADDR, b"").hex(":")
    proxy = bool(flags & _NTF_PROXY)
    return Neighbour(index, as_address(found[_NDA_DST]), mac, bool(state & _NUD_PERMANENT) or proxy, proxy)


def _pack(neighbour: Neighbour) -> bytes:
    family, packed = FAMILIES[neighbour.address.family], neighbour.address.packed
    flags = _NTF_PROXY if neighbour.proxy else 0
    header = _NDMSG.pack(family, 0, neighbour.index, _NUD_PERMANENT, flags, 0)
    mac = attribute(_NDA_LLADDR, packed_mac(neighbour.mac)) if neighbour.mac else b""
    return header + attribute(_NDA_DST, packed) + mac
