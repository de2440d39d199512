"""Addresses and prefixes as texts of resources spell them, host bits kept."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
"""An address together with the length of its prefix."""

_PREFIX = re.compile(r"[0-9A-Fa-f:.]+(?:/(?:0|[1-9][0-9]{0,2}))?")
_PEER_WITH_PORT = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:]*)):(?P<port>[0-9]{1,5})")


def read_prefix(text: str) -> Interface | None:
    """An address with or without a prefix length, host bits kept; None when it is neither.

    Zones, netmasks and leading zeros are refused.
    """
    if _PREFIX.fullmatch(text) is None:
        return None
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        return None


def is_port_number(value: int) -> bool:
    """1 to 65535."""
    return 1 <= value <= 65535


def read_peer(text: str) -> Interface | None:
    """The address of `10.0.0.1`, `10.0.0.1:179`, `fd00::1` or `[fd00::1]:179`; None when it is none of these."""
    match = _PEER_WITH_PORT.fullmatch(text)
    if match is None or (match["plain"] is not None and "." not in match["plain"]):
        return read_prefix(text) if "/" not in text else None
    address = match["bracketed"] or match["plain"] or ""
    return read_prefix(address) if is_port_number(int(match["port"])) and "/" not in address else None


def is_masked(interface: Interface) -> bool:
    """Whether no bit is set behind the prefix length."""
    return interface.ip == interface.network.network_address


def versions(texts: Iterable[str]) -> set[int]:
    """Families of the addresses and prefixes that can be read."""
    return {interface.version for interface in map(read_prefix, texts) if interface is not None}
