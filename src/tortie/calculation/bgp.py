"""What this node's BGP speaker shall do, from nodes, peers, filters, pools, services and confirmed blocks."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from tortie.api.bgp import BGPConfiguration, BGPPeer
from tortie.api.bgpfilter import BGPFilter
from tortie.api.endpointslice import EndpointSlice
from tortie.api.ipam import BlockAffinity
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.resource import Resource, ResourceKey
from tortie.api.service import Service
from tortie.base.addresses import Cidr
from tortie.calculation.advertising import Advertising
from tortie.calculation.bgpfilters import read_filter
from tortie.calculation.bgpsettings import Settings, as_number, port_of, read_settings
from tortie.calculation.peering import Peer, Speakers, sessions_of
from tortie.calculation.problems import Problems
from tortie.desired.bgp import BGPNode, Pool
from tortie.desired.bgpfilter import Filter

HASHED = "hash"
"""Router id that is made of the node's name."""

EXCLUSION = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Label of nodes that announce no addresses of services, when it is `true`."""

_PROGRAMMED = frozenset({("", "Enabled"), ("", "EnabledNoEncapOnly"), ("ipip", "Enabled"), ("ipip", "EnabledIPIPOnly")})
"""Encapsulations of pools whose routes BGP programs, by `programClusterRoutes`; the others are the agent's."""

Source = Resource | BlockAffinity
Read = TypeVar("Read")


class _Pool(msgspec.Struct, frozen=True, gc=False):
    """What BGP must know of a pool; `encapsulation` is `ipip`, `vxlan` or empty."""

    cidr: Cidr
    export: bool
    encapsulation: str


class BGP:
    """Recalculated as a whole when one of its sources changes; they change rarely. Services are not among these.

    Args:
        node: its name.
        problems: told why a resource has no effect.
        router_id: a dotted quad, `hash` for one made of the node's name, or empty for the node's IPv4 address.
    """

    def __init__(self, node: str, problems: Problems, router_id: str = "") -> None:
        self._node = node
        self._router_id = router_id
        self._advertising = Advertising(node, problems)
        self._problems = problems
        self._nodes: dict[str, Node] = {}
        self._configurations: dict[str, BGPConfiguration] = {}
        self._peers: dict[str, BGPPeer] = {}
        self._filters: dict[str, BGPFilter] = {}
        self._pools: dict[str, _Pool] = {}
        self._blocks: set[Cidr] = set()
        self._told: BGPNode | None = None
        self._noted: set[ResourceKey] = set()
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
            case "BGPFilter", _:
                self._replace(self._filters, key, value if isinstance(value, BGPFilter) else None)
            case "Service", _:
                self._advertising.put_service(key, value if isinstance(value, Service) else None)
            case "EndpointSlice", _:
                self._advertising.put_slice(key, value if isinstance(value, EndpointSlice) else None)
            case "IPPool", _:
                self._replace(self._pools, key, self._pool(key, value))
            case "BlockAffinity", _ if key.namespace == self._node:
                self._put_block(key, value)

    def flush(self) -> BGPNode | msgspec.UnsetType | None:
        """The state when it changed since the last flush, UNSET when it did not."""
        if self._dirty:
            self._dirty = False
            wanted = self._calculate()
        elif self._advertising.is_dirty and self._told is not None:
            wanted = msgspec.structs.replace(self._told, services=self._advertising.flush())
        else:
            return msgspec.UNSET
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
        held = (self._nodes, self._configurations, self._peers, self._filters, self._pools, self._blocks, self._told)
        return not any(held) and self._advertising.is_empty()

    def _replace(self, table: dict[str, Read], key: ResourceKey, value: Read | None) -> None:
        # A source that comes again takes with it what was found wrong with it before.
        if value != table.get(key.name) or key in self._noted:
            self._dirty = True
        if value is None:
            table.pop(key.name, None)
        else:
            table[key.name] = value

    def _pool(self, key: ResourceKey, value: Source | None) -> _Pool | None:
        if not isinstance(value, IPPool):
            return None
        try:
            return _Pool(Cidr.parse(value.spec.cidr), not value.spec.disable_bgp_export, _encapsulation(value))
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
        problems = Problems()
        settings = read_settings(self._configurations, self._node, problems)
        nodes = self._speakers(settings, problems)
        filters = self._read_filters(problems)
        me = nodes.get(self._node)
        speakers = Speakers(me, nodes.values(), settings, filters) if me else None
        sessions = sessions_of(speakers, self._peers, problems) if speakers else ()
        self._tell(problems)
        if me is None:
            return None
        self._advertising.configure(settings.ranges, excluded=me.labels.get(EXCLUSION) == "true")
        return BGPNode(
            node=self._node,
            router_id=self._identity(me),
            as_number=me.as_number,
            address4=me.address4,
            address6=me.address6,
            listen_port=me.port,
            sessions=sessions,
            blocks=tuple(sorted(self._blocks)),
            pools=tuple(sorted(set(self._desired_pools(settings)))),
            bind=settings.bind,
            cluster_id=me.cluster_id,
            programs_ipip=("ipip", settings.programming) in _PROGRAMMED,
            filters=tuple(filters[name] for name in sorted(filters)),
            advertisements=settings.advertisements,
            services=self._advertising.flush(),
            ignored_interfaces=settings.ignored_interfaces,
            log_severity=settings.severity,
            normal_priority4=settings.priority4,
            normal_priority6=settings.priority6,
        )

    def _tell(self, found: Problems) -> None:
        """What this calculation found is told instead of what the one before did."""
        for key in self._noted - found.current.keys():
            self._problems.forget(key)
        for key, problem in found.current.items():
            self._problems.note(key, problem)
        self._noted = set(found.current)

    def _desired_pools(self, settings: Settings) -> Iterator[Pool]:
        for pool in self._pools.values():
            program = (pool.encapsulation, settings.programming) in _PROGRAMMED
            yield Pool(pool.cidr, export=pool.export, program=program)

    def _read_filters(self, problems: Problems) -> dict[str, Filter]:
        read = {}
        for name, filter in self._filters.items():
            try:
                read[name] = read_filter(filter)
            except ValueError as error:
                problems.note(filter.key, error)
        return read

    def _speakers(self, settings: Settings, problems: Problems) -> dict[str, Peer]:
        read = ((name, self._read_node(node, settings, problems)) for name, node in sorted(self._nodes.items()))
        return {name: peer for name, peer in read if peer is not None}

    def _read_node(self, node: Node, settings: Settings, problems: Problems) -> Peer | None:
        """The node as a speaker, or None when it has no BGP address."""
        bgp, name = node.spec.bgp, node.metadata.name
        if bgp is None or not (bgp.ipv4_address or bgp.ipv6_address):
            return None
        try:
            return Peer(
                name=name,
                labels=node.metadata.labels,
                address4=Cidr.host(bgp.ipv4_address) if bgp.ipv4_address else None,
                address6=Cidr.host(bgp.ipv6_address) if bgp.ipv6_address else None,
                as_number=settings.as_number if bgp.as_number is None else as_number(bgp.as_number),
                port=port_of(self._configurations, name, settings),
                cluster_id=_quad(bgp.route_reflector_cluster_id) if bgp.route_reflector_cluster_id else "",
            )
        except ValueError as error:
            problems.note(node.key, error)
            return None

    def _identity(self, me: Peer) -> str:
        if self._router_id not in ("", HASHED):
            return self._router_id
        return _hashed(self._node) if self._router_id or me.address4 is None else me.address4.text


def _quad(text: str) -> str:
    """Raises ValueError."""
    return str(ipaddress.IPv4Address(text))


def _hashed(node: str) -> str:
    """A stable identity that needs no IPv4 address."""
    return str(ipaddress.IPv4Address(hashlib.sha256(node.encode()).digest()[:4]))


def _encapsulation(pool: IPPool) -> str:
    if pool.spec.vxlan_mode not in ("", "Never"):
        return "vxlan"
    return "ipip" if pool.spec.ipip_mode not in ("", "Never") else ""
