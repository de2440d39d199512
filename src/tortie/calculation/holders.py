"""What resources say of prefixes: who holds which, as what. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import msgspec

from tortie.api.ipam import IPAMBlock, contradiction
from tortie.api.ippool import IPPool
from tortie.api.node import Node, NodeSpec
from tortie.base.addresses import Cidr
from tortie.calculation.macs import tunnel_mac
from tortie.desired.cluster import Encapsulation, Vtep, VtepId

HOST_AFFINITY = "host:"
_ENCAPSULATES = ("Always", "CrossSubnet")
_ADDRESS_TYPES = ("InternalIP", "ExternalIP")
"""Whose address stands for a node without a BGP address, best first."""


class Role(enum.IntEnum):
    """As what a node holds a prefix."""

    BLOCK = 0
    LENT = 1
    """An address that is not at the node of its block."""
    WORKLOAD = 2
    TUNNEL = 3
    HOST = 4


class Hold(msgspec.Struct, frozen=True, order=True, gc=False):
    """A node holds a prefix."""

    prefix: Cidr
    role: Role
    node: str


class PoolFacts(msgspec.Struct, frozen=True, order=True, gc=False):
    """How traffic of a pool travels; `across` encapsulates only what leaves a subnet."""

    cidr: Cidr
    encapsulation: str
    across: bool
    masqueraded: bool


class NodeFacts(msgspec.Struct, frozen=True, gc=False):
    """Where a node is.

    Args:
        addresses: the one of each family that others reach it by.
        subnets: of its BGP addresses, by family.
        ends: of VXLAN.
        holds: its own addresses, and those of its tunnels.
    """

    addresses: dict[int, Cidr]
    subnets: dict[int, Cidr]
    ends: tuple[Vtep, ...]
    holds: tuple[Hold, ...]


def pool_facts(pool: IPPool) -> PoolFacts:
    """Raises ValueError."""
    spec = pool.spec
    cidr = Cidr.parse(spec.cidr)
    way, across = Encapsulation.DIRECT, False
    if spec.allowed_uses == ("LoadBalancer",):
        way = Encapsulation.NONE
    elif spec.vxlan_mode in _ENCAPSULATES:
        way, across = Encapsulation.VXLAN, spec.vxlan_mode == "CrossSubnet"
    elif spec.ipip_mode in _ENCAPSULATES and cidr.family == 4:
        way, across = Encapsulation.IPIP, spec.ipip_mode == "CrossSubnet"
    return PoolFacts(cidr, way.value, across, spec.nat_outgoing)


def block_holds(block: IPAMBlock) -> tuple[Hold, ...]:
    """The block itself, and the addresses of it that are at other nodes. Raises ValueError."""
    if problem := contradiction(block):
        raise ValueError(problem)
    if block.deleted:
        return ()
    cidr = Cidr.parse(block.cidr)
    owner = (block.affinity or "").removeprefix(HOST_AFFINITY) if _is_of_host(block) else ""
    holds = {Hold(cidr, Role.BLOCK, owner)} if owner else set()
    holds |= {Hold(address, Role.LENT, node) for address, node in _lent(cidr, block, owner)}
    return tuple(sorted(holds))


def reached_at(spec: NodeSpec) -> dict[int, Cidr]:
    """The address of each family that other nodes reach a node by. Raises ValueError."""
    addresses = {one.family: one for one in map(Cidr.host, _bgp_addresses(spec))}
    for address in _other_addresses(spec):
        addresses.setdefault(address.family, address)
    return addresses


def node_facts(node: Node, here: str) -> NodeFacts:
    """Raises ValueError."""
    spec, name = node.spec, node.metadata.name
    texts = _bgp_addresses(spec)
    addresses = reached_at(spec)
    hosts = {*map(Cidr.host, texts), *(Cidr.host(one.address) for one in spec.addresses)}
    ends = tuple(_ends(node, addresses, here))
    tunnels = {*(one.address for one in ends), *map(Cidr.host, _tunnel_addresses(spec))}
    holds = [Hold(one, Role.HOST, name) for one in hosts] + [Hold(one, Role.TUNNEL, name) for one in tunnels]
    return NodeFacts(addresses, {one.family: one for one in map(Cidr.parse, texts)}, ends, tuple(sorted(holds)))


def _is_of_host(block: IPAMBlock) -> bool:
    return (block.affinity or "").startswith(HOST_AFFINITY)


def _lent(cidr: Cidr, block: IPAMBlock, owner: str) -> Iterator[tuple[Cidr, str]]:
    """Addresses that are held at another node than the block's, and that node, as far as it is known."""
    nodes = ((one.secondary or {}).get("node", "") for one in block.attributes or ())
    others = {index: node for index, node in enumerate(nodes) if node not in ("", owner)}
    for ordinal, index in enumerate(block.allocations) if others else ():
        if index is not None and index in others:
            yield Cidr(cidr.family, cidr.address + ordinal, cidr.bits), others[index]


def _bgp_addresses(spec: NodeSpec) -> list[str]:
    texts = (spec.bgp.ipv4_address, spec.bgp.ipv6_address) if spec.bgp else ()
    return [text for text in texts if text]


def _other_addresses(spec: NodeSpec) -> list[Cidr]:
    return [Cidr.host(one.address) for kind in _ADDRESS_TYPES for one in spec.addresses if one.type == kind]


def _tunnel_addresses(spec: NodeSpec) -> list[str]:
    """Of all encapsulations."""
    wireguard = spec.wireguard
    texts = (
        spec.ipv4_vxlan_tunnel_addr,
        spec.ipv6_vxlan_tunnel_addr,
        spec.bgp.ipv4_ipip_tunnel_addr if spec.bgp else "",
        *((wireguard.interface_ipv4_address, wireguard.interface_ipv6_address) if wireguard else ()),
    )
    return [text for text in texts if text]


def _ends(node: Node, addresses: dict[int, Cidr], here: str) -> Iterator[Vtep]:
    spec, name = node.spec, node.metadata.name
    told = {
        4: (spec.ipv4_vxlan_tunnel_addr, spec.vxlan_tunnel_mac_addr),
        6: (spec.ipv6_vxlan_tunnel_addr, spec.vxlan_tunnel_mac_addr_v6),
    }
    for family, (text, mac) in told.items():
        if text and family in addresses:
            identity = VtepId(name, family)
            own = mac.lower() or tunnel_mac(name, family)
            yield Vtep(identity, Cidr.host(text), own, addresses[family], local=name == here)
