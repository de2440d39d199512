"""What the packet filter must know of the cluster's network besides policy, from nodes, pools and BGP's settings."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from tortie.api.bgp import BGPConfiguration
from tortie.api.ippool import IPPool
from tortie.api.node import Node, NodeSpec
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.holders import reached_at
from tortie.calculation.ipsets import SetOutput
from tortie.calculation.localnetwork import LocalNetwork
from tortie.calculation.packedsets import PackedSets
from tortie.calculation.problems import Problems
from tortie.desired.network import NO_NETWORK, NODES, VXLAN_PEERS, Network, Tunnels, code_point_set
from tortie.desired.policy import SetId

Read = TypeVar("Read")

_ENCAPSULATES = ("Always", "CrossSubnet")


class _Pool(msgspec.Struct, frozen=True, gc=False):
    cidr: Cidr
    ipip: bool
    vxlan: bool
    masqueraded: bool
    for_workloads: bool


class _Node(msgspec.Struct, frozen=True, gc=False):
    addresses: tuple[Cidr, ...]
    vxlan: tuple[Cidr, ...]
    wireguard: tuple[int, ...]
    own: tuple[Cidr, ...] = ()
    ipip_end: Cidr | None = None
    wireguard_ends: tuple[Cidr, ...] = ()
    vxlan_ends: tuple[int, ...] = ()


_NOBODY = _Node((), (), ())


class ClusterNetwork:
    """Recalculated when one of its sources changes."""

    def __init__(self, node: str, problems: Problems, local: LocalNetwork) -> None:
        self._node = node
        self._problems = problems
        self._local = local
        self._nodes: dict[str, _Node] = {}
        self._pools: dict[str, _Pool] = {}
        self._services: tuple[Cidr, ...] = ()
        self._sets = PackedSets()
        self._told = NO_NETWORK
        self._dirty = False

    def put(self, key: ResourceKey, value: object) -> None:
        """Add, replace or, with None, remove one source; kinds that do not matter are ignored."""
        try:
            match key.kind:
                case "Node":
                    self._put_node(key.name, _node(value) if isinstance(value, Node) else None)
                case "IPPool":
                    self._put_pool(key.name, _pool(value) if isinstance(value, IPPool) else None)
                case "BGPConfiguration" if key.name == "default":
                    self._put_services(_services(value) if isinstance(value, BGPConfiguration) else ())
        except ValueError as error:
            self._problems.note(key, error)
            self.put(key, None)

    def flush(self, output: SetOutput) -> Network | msgspec.UnsetType:
        """The network when it changed since the last flush; what became of its sets is added to the output."""
        if not (self._local.take_changes() or self._dirty):
            return msgspec.UNSET
        self._dirty = False
        code_points = self._local.code_points()
        wanted = self._wanted(tuple(sorted(code_points)))
        members = self._peers() | {code_point_set(value): held for value, held in code_points.items()}
        self._sets.flush({one: members[one] for one in wanted.set_ids()}, output)
        if wanted == self._told:
            return msgspec.UNSET
        self._told = wanted
        return wanted

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._nodes or self._pools or self._services) and self._told == NO_NETWORK and self._sets.is_empty()

    def _put_node(self, name: str, node: _Node | None) -> None:
        self._dirty |= self._nodes.get(name) != node
        _replace(self._nodes, name, node)

    def _put_pool(self, name: str, pool: _Pool | None) -> None:
        self._dirty |= self._pools.get(name) != pool
        _replace(self._pools, name, pool)

    def _put_services(self, services: tuple[Cidr, ...]) -> None:
        self._dirty |= self._services != services
        self._services = services

    def _wanted(self, code_points: tuple[int, ...]) -> Network:
        pools = [pool for pool in self._pools.values() if pool.for_workloads]
        tunnels, here = self._tunnels(), self._nodes.get(self._node)
        return Network(
            tunnels=tunnels,
            pools=tuple(sorted({pool.cidr for pool in pools})),
            masqueraded=tuple(sorted({pool.cidr for pool in pools if pool.masqueraded})),
            services=self._services,
            floating=self._local.floating(),
            code_points=code_points,
            own=here.own if here and (tunnels.ipip or tunnels.wireguard) else (),
            ipip_end=here.ipip_end if here and tunnels.ipip else None,
            wireguard_ends=here.wireguard_ends if here else (),
        )

    def _tunnels(self) -> Tunnels:
        """What pools ask for, and what this node still has an end of: others may still use it."""
        here = self._nodes.get(self._node, _NOBODY)
        asked = {pool.cidr.family for pool in self._pools.values() if pool.vxlan}
        return Tunnels(
            ipip=here.ipip_end is not None or any(pool.ipip for pool in self._pools.values()),
            vxlan=tuple(sorted(asked.union(here.vxlan_ends))),
            wireguard=here.wireguard,
        )

    def _peers(self) -> dict[SetId, list[Cidr]]:
        others = [node for name, node in self._nodes.items() if name != self._node]
        return {
            NODES: [address for node in others for address in node.addresses],
            VXLAN_PEERS: [address for node in others for address in node.vxlan],
        }


def _node(node: Node) -> _Node:
    """Raises ValueError."""
    spec = node.spec
    texts = (spec.bgp.ipv4_address, spec.bgp.ipv6_address) if spec.bgp else ()
    addresses = tuple(Cidr.host(text) for text in texts if text)
    ends = {4: spec.ipv4_vxlan_tunnel_addr, 6: spec.ipv6_vxlan_tunnel_addr}
    inside = spec.bgp.ipv4_ipip_tunnel_addr if spec.bgp else ""
    keys = {4: node.status.wireguard_public_key, 6: node.status.wireguard_public_key_v6}
    return _Node(
        addresses,
        tuple(one for family, one in sorted(reached_at(spec).items()) if ends[family]),
        tuple(family for family in (4, 6) if keys[family]),
        tuple(one for _, one in sorted(reached_at(spec).items())),
        Cidr.host(inside) if inside else None,
        _wireguard_ends(spec),
        tuple(family for family in reached_at(spec) if ends[family]),
    )


def _wireguard_ends(spec: NodeSpec) -> tuple[Cidr, ...]:
    ends = spec.wireguard
    texts = (ends.interface_ipv4_address, ends.interface_ipv6_address) if ends else ()
    return tuple(Cidr.host(text) for text in texts if text)


def _pool(pool: IPPool) -> _Pool:
    """Raises ValueError."""
    cidr = Cidr.parse(pool.spec.cidr)
    return _Pool(
        cidr,
        ipip=pool.spec.ipip_mode in _ENCAPSULATES and cidr.family == 4,
        vxlan=pool.spec.vxlan_mode in _ENCAPSULATES,
        masqueraded=pool.spec.nat_outgoing,
        for_workloads=pool.spec.allowed_uses != ("LoadBalancer",),
    )


def _services(configuration: BGPConfiguration) -> tuple[Cidr, ...]:
    """Raises ValueError."""
    spec = configuration.spec
    lists = spec.service_cluster_ips, spec.service_external_ips, spec.service_load_balancer_ips
    return tuple(sorted({Cidr.parse(one.cidr) for entries in lists for one in entries}))


def _replace(table: dict[str, Read], name: str, value: Read | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
