"""BGPPeers as resources, read once into what the calculation of sessions needs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.api.bgp import BGPPeer
from tortie.api.bgp_extensions import BGPExtensions, read_extensions
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import as_number, password, seconds
from tortie.desired.bgp import Bfd, NextHop, Password
from tortie.selector.parser import parse
from tortie.selector.selector import Selector

_NEXT_HOPS = {"Self": NextHop.SELF, "Keep": NextHop.KEEP}


class PeerSpec(msgspec.Struct, frozen=True, gc=False):
    """One BGPPeer.

    Args:
        node, where: the node, or the selector of the nodes, that it is for; all when both are empty.
        whom: selector of the nodes to peer with, or None when it names an address or nothing.
        address, port: of the neighbour; port 0 when none is given.
        peer_as, local_as: numbers that are given.
        mirrored: whether the other end is set up too, where it is a node.
        keeps_outside: whether next hops are kept towards other ASes.
        The rest is what a session has of the same name.
    """

    node: str
    where: Selector | None
    whom: Selector | None
    address: Cidr | None
    port: int
    peer_as: int | None
    local_as: int | None
    mirrored: bool
    keeps_outside: bool
    next_hop: NextHop
    source: bool
    password: Password | None
    hops: int | None
    restart_time: int | None
    keepalive: int | None
    allowed_local_as: int | None
    gateway: Cidr | None
    filters: tuple[str, ...]
    bfd: Bfd | None
    carries_ipv4: bool

    @property
    def is_global(self) -> bool:
        """Whether it is for all nodes."""
        return not self.node and self.where is None

    def covers(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it is for this node."""
        if self.node:
            return self.node == name
        return self.where is None or self.where.matches(labels)

    def next_hop_towards(self, *, internal: bool) -> NextHop:
        """What becomes of next hops on a session inside one AS, or between two."""
        return NextHop.KEEP if self.keeps_outside and not internal else self.next_hop


def read_peer(peer: BGPPeer) -> PeerSpec:
    """Everything that it says.

    Raises:
        ValueError: a part of it cannot be read or carried out.
    """
    spec, extensions = peer.spec, read_extensions(peer.metadata.annotations)
    if spec.local_workload_selector:
        raise ValueError("localWorkloadSelector: peering with workloads is not carried out by this release")
    address, port = split_address(spec.peer_ip) if spec.peer_ip else (None, 0)
    return PeerSpec(
        node=spec.node,
        where=parse(spec.node_selector) if spec.node_selector else None,
        whom=parse(spec.peer_selector) if spec.peer_selector and address is None else None,
        address=address,
        port=port,
        peer_as=_number(spec.as_number),
        local_as=_number(spec.local_as_number),
        mirrored=spec.reverse_peering != "Manual",
        keeps_outside=spec.keep_original_next_hop,
        next_hop=_NEXT_HOPS.get(spec.next_hop_mode or "", NextHop.AUTO),
        source=spec.source_address != "None",
        password=password(spec.password),
        hops=spec.ttl_security or None,
        restart_time=seconds(spec.max_restart_time),
        keepalive=seconds(spec.keepalive_time) or None,
        allowed_local_as=spec.num_allowed_local_as_numbers,
        gateway=Cidr.host(spec.reachable_by) if spec.reachable_by else None,
        filters=spec.filters,
        bfd=bfd_of(extensions),
        carries_ipv4=extensions.extended_next_hop,
    )


def bfd_of(extensions: BGPExtensions) -> Bfd | None:
    """What is asked of BFD; None for nothing."""
    if not extensions.bfd:
        return None
    return Bfd(extensions.interval, extensions.multiplier, direct=extensions.bfd == "SingleHop")


def split_address(text: str) -> tuple[Cidr, int]:
    """Read `10.0.0.1`, `10.0.0.1:179`, `fd00::1` or `[fd00::1]:179`; port 0 when none is given.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
        return Cidr.host(address.rstrip("]")), int(port or 0)
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return Cidr.host(address), int(port)
    return Cidr.host(text), 0


def _number(value: int | str | None) -> int | None:
    return None if value is None else as_number(value)
