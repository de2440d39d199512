"""Addresses of network devices (linux/if_addr.h)."""

from __future__ import annotations

import socket as sockets
import struct

import msgspec

from tortie.base.addresses import Cidr
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import NLM_F_CREATE, NLM_F_REPLACE, Message, as_address, attribute, attributes, u32, unpack

RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22

FAMILIES = {4: int(sockets.AF_INET), 6: int(sockets.AF_INET6)}
"""The kernel's number of each address family."""

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_IFA_F_NODAD = 0x02
_SCOPE_LINK = 253
_IFADDR = struct.Struct("=BBBBI")


class Address(msgspec.Struct, frozen=True, order=True, gc=False):
    """An address on a device.

    Args:
        index: the device.
        address: of full length.
        length: prefix length of the network that it is in.
    """

    index: int
    address: Cidr
    length: int


def add(address: Address) -> Request:
    """Give a device an address; usable at once (no duplicate address detection). No error if it has it."""
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, _pack(address), f"add address {address.address.text}")


def delete(address: Address) -> Request:
    """Take an address from a device. EADDRNOTAVAIL when it has none such."""
    return Request(RTM_DELADDR, 0, _pack(address), f"delete address {address.address.text}")


def list_addresses(socket: NetlinkSocket, index: int = 0) -> list[Address]:
    """Addresses of both families on one device, or on all (0). Raises KernelError."""
    header = _IFADDR.pack(0, 0, 0, 0, index)
    return [
        found
        for one in socket.dump(RTM_GETADDR, header, "list addresses")
        if (found := decode_address(one)) is not None and index in (0, found.index)
    ]


def decode_address(message: Message) -> Address | None:
    """Read RTM_NEWADDR or RTM_DELADDR; None for families other than IPv4 and IPv6. Raises TruncatedMessage."""
    family, length, _, _, index = unpack(_IFADDR, message.payload)
    found = attributes(message.payload, _IFADDR.size)
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if family not in FAMILIES.values() or packed is None:
        return None
    return Address(index, as_address(packed), length)


def _pack(address: Address) -> bytes:
    family, packed = address.address.family, address.address.packed
    scope = _SCOPE_LINK if family == 6 and address.address.address >> 118 == 0x3FA else 0
    header = _IFADDR.pack(FAMILIES[family], address.length, 0, scope, address.index)
    flags = u32(_IFA_FLAGS, _IFA_F_NODAD) if family == 6 else b""
    return header + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed) + flags
