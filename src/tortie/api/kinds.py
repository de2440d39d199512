"""The table of kinds."""

from __future__ import annotations

from tortie.api.bgp import BGPConfiguration, BGPPeer
from tortie.api.ippool import IPPool
from tortie.api.ipreservation import IPReservation
from tortie.api.networkset import GlobalNetworkSet, NetworkSet
from tortie.api.node import Node
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Resource
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import WorkloadEndpoint

KINDS: dict[str, type[Resource]] = {
    kind.kind: kind
    for kind in (
        BGPConfiguration,
        BGPPeer,
        GlobalNetworkPolicy,
        GlobalNetworkSet,
        IPPool,
        IPReservation,
        NetworkPolicy,
        NetworkSet,
        Node,
        Profile,
        Tier,
        WorkloadEndpoint,
    )
}
"""Kind name to resource type, for every kind that a datastore holds."""
