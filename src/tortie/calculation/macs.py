"""Hardware addresses of tunnel devices: the same on every node without anybody telling. Pure."""

from __future__ import annotations

import hashlib

_LOCAL = b"f"
"""First byte: locally administered, and of one station (IEEE 802)."""
_SUFFIX = {4: "", 6: "-v6"}


def tunnel_mac(node: str, family: int) -> str:
    """Of a node's VXLAN device, where its Node names none: as Calico has it, so that both can share a network."""
    digest = hashlib.sha1((node + _SUFFIX[family]).encode(), usedforsecurity=False).digest()
    return (_LOCAL + digest[:5]).hex(":")
