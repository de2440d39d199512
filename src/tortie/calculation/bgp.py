"""What this node's BGP speaker shall do, from nodes, peers, pools and confirmed blocks."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from tortie.api.bgp import BGPConfiguration, BGPPeer
from tortie.api.ipam import BlockAffinity
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.resource import Resource, ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.peering import Peer, Settings, as_number, sessions_of
from tortie.calculation.problems import Problems
from tortie.desired.bgp import BGPNode, Pool

DEFAULT = "default"
DEFAULT_AS = 64512
DEFAULT_PORT = 179

Source = Resource | BlockAffinity
Read = TypeVar("Read")


class BGP:
    """Recalculated as a whole when one of its sources changes; they change rarely."""

    def __init__(self, node: str, problems: Problems) -> None:
        self._node = node
        self._problems = problems
        self._nodes: dict[str, Node] = {}
        self._configurations: dict[str, BGPConfiguration] = {}
        self._peers: dict[str, BGPPeer] = {}
        self._pools: dict[str, Pool] = {}
        self._blocks: set[Cidr] = set()
        self._told: BGPNode | None = None
        self._dirty = False

    def put(self, key: ResourceKey, value: Source | None) -> None:
        """Add, replace or, with None, remove one source; kinds that do not matter are ignored."""
        match key.kind, value:
            case "Node", _:
                self._replace(self._nodes, key, value if isinstance(value, Node) else None)
            case "BGPConfiguration", _:
                self._replace(self._configurations, key, value if isinstance(value, BGPConfiguration) else None)
            case "BGPPeer", _:
                self._replace(self._peers, key, value if isinstance(value, BGPPeer) else None)
            case "IPPool", _:
                self._replace(self._pools, key, self._pool(key, value))
            case "BlockAffinity", _ if key.namespace == self._node:
                self._put_block(key, value)

    def flush(self) -> BGPNode | msgspec.UnsetType | None:
        """The state when it changed since the last flush, UNSET when it did not."""
        if not self._dirty:
            return msgspec.UNSET
        self._dirty = False
        wanted = self._calculate()
        if wanted == self._told:
            return msgspec.UNSET
        self._told = wanted
        return wanted

    def shared_addresses(self) -> Iterator[str]:
        """BGP addresses that several nodes say are theirs."""
        owners: dict[str, list[str]] = {}
        for name, node in sorted(self._nodes.items()):
            bgp = node.spec.bgp
            for address in (bgp.ipv4_address, bgp.ipv6_address) if bgp else ():
                if address:
                    owners.setdefault(address.partition("/")[0], []).append(name)
        for address, names in sorted(owners.items()):
            if len(names) > 1:
                yield f"address {address} is that of several nodes: {', '.join(names)}"

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not any((self._nodes, self._configurations, self._peers, self._pools, self._blocks, self._told))

    def _replace(self, table: dict[str, Read], key: ResourceKey, value: Read | None) -> None:
        if value != table.get(key.name):
            self._dirty = True
        if value is None:
            table.pop(key.name, None)
        else:
            table[key.name] = value

    def _pool(self, key: ResourceKey, value: Source | None) -> Pool | None:
        if not isinstance(value, IPPool):
            return None
        try:
            return Pool(Cidr.parse(value.spec.cidr), export=not value.spec.disable_bgp_export)
        except ValueError as error:
            self._problems.note(key, error)
            return None

    def _put_block(self, key: ResourceKey, value: Source | None) -> None:
        try:
            block = Cidr.parse(key.name)
        except ValueError as error:
            self._problems.note(key, error)
            return
        held = isinstance(value, BlockAffinity) and value.state == "confirmed" and not value.deleted
        if held != (block in self._blocks):
            self._dirty = True
            (self._blocks.add if held else self._blocks.discard)(block)

    def _calculate(self) -> BGPNode | None:
        settings = self._settings()
        read = {name: self._read_node(name, node, settings) for name, node in sorted(self._nodes.items())}
        peers = {name: peer for name, peer in read.items() if peer is not None}
        me = peers.get(self._node)
        if me is None:
            return None
        return BGPNode(
            node=self._node,
            router_id=me.address4.text if me.address4 else _router_id(self._node),
            as_number=me.as_number,
            address4=me.address4,
            address6=me.address6,
            listen_port=me.port,
            sessions=sessions_of(me, peers, self._peers, settings, self._problems),
            blocks=tuple(sorted(self._blocks)),
            pools=tuple(sorted(set(self._pools.values()))),
        )

    def _settings(self) -> Settings:
        configuration = self._configurations.get(DEFAULT)
        if configuration is None:
            return Settings(DEFAULT_AS, DEFAULT_PORT, mesh=True)
        spec = configuration.spec
        try:
            own_as = DEFAULT_AS if spec.as_number is None else as_number(spec.as_number)
        except ValueError as error:
            self._problems.note(configuration.key, error)
            own_as = DEFAULT_AS
        return Settings(own_as, spec.listen_port or DEFAULT_PORT, mesh=spec.node_to_node_mesh_enabled is not False)

    def _read_node(self, name: str, node: Node, settings: Settings) -> Peer | None:
        """The node as a speaker, or None when it has no BGP address."""
        bgp = node.spec.bgp
        if bgp is None or not (bgp.ipv4_address or bgp.ipv6_address):
            return None
        own = self._configurations.get(f"node.{name}")
        try:
            return Peer(
                name=name,
                labels=node.metadata.labels,
                address4=Cidr.host(bgp.ipv4_address) if bgp.ipv4_address else None,
                address6=Cidr.host(bgp.ipv6_address) if bgp.ipv6_address else None,
                as_number=settings.as_number if bgp.as_number is None else as_number(bgp.as_number),
                port=(own.spec.listen_port if own else 0) or settings.port,
                reflector=bool(bgp.route_reflector_cluster_id),
            )
        except ValueError as error:
            self._problems.note(node.key, error)
            return None


def _router_id(node: str) -> str:
    """A stable identity for a node without an IPv4 address."""
    return str(ipaddress.IPv4Address(hashlib.sha256(node.encode()).digest()[:4]))
