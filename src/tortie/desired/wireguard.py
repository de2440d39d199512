"""Peers of WireGuard: the other nodes that have a key, and what of the cluster is at them."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr


class WireguardPeerId(msgspec.Struct, frozen=True, order=True, gc=False):
    """A node, and the family that its device carries within that same family."""

    node: str
    family: int


class WireguardPeer(msgspec.Struct, frozen=True, gc=False):
    """A node with a key that nobody else has.

    Args:
        key: public, 32 bytes.
        endpoint: the node's own address, which encrypted packets go to.
        workloads: prefixes of its workloads and tunnels, sorted.
        hosts: its own addresses, sorted.
    """

    id: WireguardPeerId
    key: bytes
    endpoint: Cidr
    workloads: tuple[Cidr, ...] = ()
    hosts: tuple[Cidr, ...] = ()
