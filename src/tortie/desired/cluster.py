"""Where the addresses of the cluster are: which node has them, how packets get there, and the ends of tunnels."""

from __future__ import annotations

import enum

import msgspec

from tortie.base.addresses import Cidr


class Kinds(enum.Flag):
    """What a prefix is; several at once where resources say so. None at all is a pool of which nothing is in use."""

    POOL = 0
    LOCAL_WORKLOAD = enum.auto()
    REMOTE_WORKLOAD = enum.auto()
    LOCAL_HOST = enum.auto()
    REMOTE_HOST = enum.auto()
    LOCAL_TUNNEL = enum.auto()
    REMOTE_TUNNEL = enum.auto()


class Encapsulation(enum.Enum):
    """How packets between the nodes of a pool travel."""

    NONE = "none"
    """In no pool, or in one that is not for workloads."""
    DIRECT = "direct"
    """As they are."""
    IPIP = "ipip"
    VXLAN = "vxlan"


class ClusterRoute(msgspec.Struct, frozen=True, gc=False):
    """Where one prefix is: a pool, a block, an address that is elsewhere than its block, of a host or of a tunnel.

    Args:
        node: who has it; empty for a pool.
        address: of that node, of full length and the prefix's family, where it has one.
        masqueraded: it is not known outside of the pools.
        same_subnet: its pool encapsulates only what leaves a subnet, and that node is in the subnet of this one.
        borrowed: its block is another node's than its own.
        attached: an endpoint of this node has it.
    """

    destination: Cidr
    kinds: Kinds
    encapsulation: Encapsulation = Encapsulation.NONE
    node: str = ""
    address: Cidr | None = None
    masqueraded: bool = False
    same_subnet: bool = False
    borrowed: bool = False
    attached: bool = False


class VtepId(msgspec.Struct, frozen=True, order=True, gc=False):
    """A node's end of the VXLAN of one family."""

    node: str
    family: int


class Vtep(msgspec.Struct, frozen=True, gc=False):
    """An end of a VXLAN.

    Args:
        address: inside, of full length.
        mac: lower-case.
        parent: the node's own address, which outer packets go to.
        local: this node's own.
    """

    id: VtepId
    address: Cidr
    mac: str
    parent: Cidr
    local: bool = False
