"""The difference between two desired states, as calculation emits it.

References are created before they are used and removed after: a consumer applies the fields of a
delta in the order in which they stand here.
"""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.bgp import BGPNode
from tortie.desired.cluster import ClusterRoute, Vtep, VtepId
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.network import Network
from tortie.desired.policy import Policy, PolicyId, SetId
from tortie.desired.routes import Route
from tortie.desired.sets import IPSet, SetChange
from tortie.desired.settings import NodeSettings
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId


class Delta(msgspec.Struct, frozen=True, gc=False):
    """One flush of the calculation.

    Args:
        settings: what the operator chose, when that changed.
        sets: new sets, or old ones to be replaced by exactly this.
        set_changes: differences to sets that exist.
        network: what is known of the network besides policy, when that changed.
        policies: new or changed policies and profiles.
        endpoints: new or changed local endpoints.
        host_endpoints: new or changed host endpoints of this node.
        vteps: new or changed ends of VXLAN.
        wireguard_peers: new or changed peers of WireGuard.
        routes: new or changed routes (replacing the one to the same destination).
        cluster_routes: new or changed prefixes of the cluster.
        bgp: the BGP speaker's state when it changed; None takes it away.
        removed_*: what is gone, each after everything that referred to it.
    """

    settings: NodeSettings | msgspec.UnsetType = msgspec.UNSET
    sets: tuple[IPSet, ...] = ()
    set_changes: tuple[SetChange, ...] = ()
    network: Network | msgspec.UnsetType = msgspec.UNSET
    policies: tuple[Policy, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    vteps: tuple[Vtep, ...] = ()
    wireguard_peers: tuple[WireguardPeer, ...] = ()
    routes: tuple[Route, ...] = ()
    cluster_routes: tuple[ClusterRoute, ...] = ()
    bgp: BGPNode | msgspec.UnsetType | None = msgspec.UNSET
    removed_cluster_routes: tuple[Cidr, ...] = ()
    removed_routes: tuple[Cidr, ...] = ()
    removed_wireguard_peers: tuple[WireguardPeerId, ...] = ()
    removed_vteps: tuple[VtepId, ...] = ()
    removed_host_endpoints: tuple[HostEndpointName, ...] = ()
    removed_endpoints: tuple[EndpointId, ...] = ()
    removed_policies: tuple[PolicyId, ...] = ()
    removed_sets: tuple[SetId, ...] = ()

    def __bool__(self) -> bool:
        return any(
            value is not msgspec.UNSET and (name in ("bgp", "network", "settings") or value)
            for name, value in zip(self.__struct_fields__, msgspec.structs.astuple(self), strict=True)
        )
