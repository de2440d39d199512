"""Which kinds an agent watches."""

from __future__ import annotations

from tortie.datastore.reading import INFORMATION

WATCHED_KINDS = (
    INFORMATION.kind,
    "FelixConfiguration",
    "Node",
    "IPPool",
    "BGPConfiguration",
    "BGPPeer",
    "BGPFilter",
    "Tier",
    "Profile",
    "GlobalNetworkSet",
    "NetworkSet",
    "GlobalNetworkPolicy",
    "NetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "WorkloadEndpoint",
    "HostEndpoint",
    "Pod",
    "EndpointSlice",
    "Service",
    "BlockAffinity",
    "IPAMBlock",
    "LiveMigration",
)
"""What the calculation reads, and what says whether it may be carried out."""
