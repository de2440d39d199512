"""Nodes of a cluster as their agents would be told of them: each calculated once, when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tortie.api.ipam import IPAMBlock
from tortie.api.node import Node
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.calculation.configurations import Configure
from tortie.calculation.crossing import Host, Surroundings
from tortie.calculation.graph import Calculation
from tortie.calculation.prefixes import Prefixes
from tortie.desired.cluster import ClusterRoute
from tortie.desired.endpoints import Endpoint
from tortie.desired.hosts import LOOPBACK, WILDCARD
from tortie.desired.settings import EndpointToHost, FilterSettings
from tortie.desired.state import DesiredState

KINDS = frozenset({"FelixConfiguration", "IPPool", "BGPConfiguration", "Service", "LiveMigration"})
"""What the way of a packet depends on, besides what policy depends on."""

SOMEWHERE = "an interface of the host"
"""Stands for the interface towards other hosts, of which the resources do not say what it is called."""


class View:
    """One node.

    Args:
        addresses: the node's own, of full length.
        known: name of the interface that has them, if resources say so.

    Attributes:
        uplinks: what the interface towards other hosts may be called.
    """

    def __init__(self, name: str, state: DesiredState, addresses: tuple[Cidr, ...], known: str) -> None:
        self.name = name
        self.state = state
        self.addresses = addresses
        self.settings = state.settings.filter if state.settings else FilterSettings()
        surroundings = Surroundings(
            addresses={known or SOMEWHERE: addresses},
            failsafes=self.settings.failsafes,
            prefixes=self.settings.interface_prefixes,
            external_nodes=self.settings.external_nodes,
            vxlan_port=self.settings.vxlan_port,
            reach_host=self.settings.endpoint_to_host is not EndpointToHost.DROP,
        )
        self.host = Host(state, surroundings)
        self.uplinks = (known,) if known else (SOMEWHERE, *self._guarded())
        self._routes = Prefixes()
        for prefix in state.cluster_routes:
            self._routes.add(prefix)

    def address(self, family: int) -> Cidr | None:
        """Its own of a family, if it has one."""
        return next((one for one in self.addresses if one.family == family), None)

    def workload(self, address: Cidr) -> Endpoint | None:
        """Who of this node has an address."""
        found = (one for one in self.state.endpoints.values() if one.active and address in one.addresses)
        return next(found, None)

    def route(self, address: Cidr) -> ClusterRoute | None:
        """The narrowest prefix of the cluster that an address is in."""
        found = list(self._routes.around(address))
        return self.state.cluster_routes[found[-1]] if found else None

    def _guarded(self) -> list[str]:
        """Interfaces of the host that have a guard of their own."""
        names = {one.interface for one in self.state.host_endpoints.values()} - {"", WILDCARD, LOOPBACK}
        return sorted(names)


class Nodes:
    """All nodes of a cluster with these resources.

    Args:
        blocks: of addresses. Routes lead to them; where there are none, to each workload.
        configure: what FelixConfigurations mean; without it they mean nothing.
    """

    def __init__(
        self, resources: Iterable[Resource], configure: Configure | None = None, blocks: Iterable[IPAMBlock] = ()
    ) -> None:
        self._resources = list(resources)
        self._configure = configure
        self._views: dict[str, View] = {}
        self._blocks = list(blocks)
        self.names = {one.metadata.name for one in self._resources if isinstance(one, Node)}

    def view(self, name: str) -> View:
        """One of them, whether or not there is a Node of this name."""
        if name not in self._views:
            self._views[name] = self._calculated(name)
        return self._views[name]

    def _calculated(self, name: str) -> View:
        calculation = Calculation(name, workload_routes=not self._blocks, configure=self._configure)
        node: Node | None = None
        taken: set[str] = set()
        for resource in self._resources:
            if isinstance(resource, Node) and resource.metadata.name == name:
                node = resource
            calculation.update(resource.key, _distinct(resource, name, taken))
        for block in self._blocks:
            calculation.update(ResourceKey("IPAMBlock", "", block.cidr), block)
        calculation.set_in_sync()
        state = DesiredState()
        state.apply(calculation.flush())
        addresses = _addresses(node) if node else ()
        return View(name, state, addresses, _interface(node, addresses) if node else "")


def _distinct(resource: Resource, node: str, taken: set[str]) -> Resource:
    """An endpoint of this node with an interface of its own: files may leave that out."""
    if not isinstance(resource, WorkloadEndpoint) or resource.spec.node != node:
        return resource
    name = resource.spec.interface_name
    if not name or name in taken:
        name = f"cali-{len(taken)}"
        spec = msgspec.structs.replace(resource.spec, interface_name=name)
        resource = msgspec.structs.replace(resource, spec=spec)
    taken.add(name)
    return resource


def _addresses(node: Node) -> tuple[Cidr, ...]:
    bgp = node.spec.bgp
    told: Sequence[str] = (
        *((bgp.ipv4_address, bgp.ipv6_address) if bgp else ()),
        *(one.address for one in node.spec.addresses),
    )
    return tuple(dict.fromkeys(Cidr.host(one.partition("/")[0]) for one in told if one))


def _interface(node: Node, addresses: Sequence[Cidr]) -> str:
    for one in node.spec.interfaces:
        if {Cidr.host(each.partition("/")[0]) for each in one.addresses} & set(addresses):
            return one.name
    return ""
