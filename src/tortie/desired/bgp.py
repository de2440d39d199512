"""What this node's BGP speaker shall do: its identity, its sessions and what it announces."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr


class Session(msgspec.Struct, frozen=True, order=True, gc=False):
    """One BGP session; its family is that of `peer`, and it carries that family's routes.

    Args:
        name: stable and unique: letters, digits and underscores.
        peer: the neighbour's address, of full length.
        peer_as: the neighbour's AS number.
        passive: wait for the neighbour to connect.
        port: the neighbour's TCP port.
    """

    name: str
    peer: Cidr
    peer_as: int
    passive: bool = False
    port: int = 179
    password: str | None = None


class Pool(msgspec.Struct, frozen=True, order=True, gc=False):
    """A pool: routes inside it are announced when `export` is set."""

    cidr: Cidr
    export: bool = True


class BGPNode(msgspec.Struct, frozen=True, gc=False):
    """All of it.

    Args:
        node: name of this node.
        router_id: dotted quad.
        as_number: this node's AS.
        address4, address6: this node's BGP addresses, of full length, where it has them.
        sessions: sorted by name.
        blocks: blocks of this node, announced as they are; longer routes inside them are not.
            Addresses borrowed from other nodes' blocks are outside these and announced as /32, /128.
        pools: sorted; nothing outside an exporting pool is announced.
    """

    node: str
    router_id: str
    as_number: int
    address4: Cidr | None = None
    address6: Cidr | None = None
    listen_port: int = 179
    sessions: tuple[Session, ...] = ()
    blocks: tuple[Cidr, ...] = ()
    pools: tuple[Pool, ...] = ()
