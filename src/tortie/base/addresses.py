"""Addresses and prefixes of both families as plain integers; text only at the edges."""

from __future__ import annotations

import ipaddress
import socket

import msgspec

BITS = {4: 32, 6: 128}


class Cidr(msgspec.Struct, frozen=True, order=True, gc=False):
    """A prefix of either family, always masked. A single address is a prefix of full length.

    Args:
        family: 4 or 6.
        address: the network address as an unsigned integer.
        length: prefix length, 0 to 32 or 128.
    """

    family: int
    address: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Cidr:
        """Read `10.0.0.0/8`, `fd00::/8` or a bare address; host bits are masked away.

        Raises:
            ValueError: the text is neither a prefix nor an address.
        """
        single = _single(text)
        if single is not None:
            return single
        network = ipaddress.ip_interface(text).network
        return cls(network.version, int(network.network_address), network.prefixlen)

    @classmethod
    def host(cls, text: str) -> Cidr:
        """Read one address, with or without a prefix length, as a prefix of full length."""
        single = _single(text)
        if single is not None:
            return single
        interface = ipaddress.ip_interface(text)
        return cls(interface.version, int(interface.ip), BITS[interface.version])

    @classmethod
    def from_bytes(cls, packed: bytes, length: int | None = None) -> Cidr:
        """The inverse of `packed`: 4 or 16 bytes in network order."""
        family = 4 if len(packed) == 4 else 6
        bits = BITS[family]
        size = bits if length is None else length
        value = int.from_bytes(packed, "big")
        return cls(family, value >> (bits - size) << (bits - size), size)

    @property
    def bits(self) -> int:
        """Width of an address of this family."""
        return 32 if self.family == 4 else 128

    @property
    def is_host(self) -> bool:
        """Whether this is one single address."""
        return self.length == self.bits

    @property
    def last(self) -> int:
        """The highest address of the prefix."""
        return self.address | ((1 << (self.bits - self.length)) - 1)

    @property
    def packed(self) -> bytes:
        """The network address in network byte order, 4 or 16 bytes."""
        return self.address.to_bytes(4 if self.family == 4 else 16, "big")

    @property
    def text(self) -> str:
        """The address without its prefix length, in RFC 5952 form."""
        return socket.inet_ntop(socket.AF_INET if self.family == 4 else socket.AF_INET6, self.packed)

    def contains(self, other: Cidr) -> bool:
        """Whether every address of `other` is in this prefix."""
        return (
            self.family == other.family
            and self.length <= other.length
            and (other.address >> (self.bits - self.length)) == (self.address >> (self.bits - self.length))
        )

    def overlaps(self, other: Cidr) -> bool:
        """Whether the two prefixes share an address."""
        return self.contains(other) or other.contains(self)

    def __str__(self) -> str:
        return f"{self.text}/{self.length}"


def packed_host(text: str) -> bytes | None:
    """The 4 or 16 bytes of a single address with or without its full length, ten times faster than `Cidr.parse`.

    Returns:
        None for prefixes, and for what is no address.
    """
    address, slash, length = text.partition("/")
    try:
        if length == "32" or not (slash or ":" in text):
            return socket.inet_pton(socket.AF_INET, address)
        if length == "128" or not slash:
            return socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        # Not plainly an address; the slow way says what is wrong.
        return None
    return None


def _single(text: str) -> Cidr | None:
    """Read an address or prefix of full length, as nearly all are; None for anything else."""
    packed = packed_host(text)
    if packed is None:
        return None
    family = 4 if len(packed) == 4 else 6
    return Cidr(family, int.from_bytes(packed, "big"), BITS[family])
