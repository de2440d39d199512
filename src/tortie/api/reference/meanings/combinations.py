"""In words, what is tested by searches between fields: what a `Constraint` says of itself is not repeated here."""

from __future__ import annotations

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPeer
from tortie.api.bgp_extensions import ANNOTATIONS
from tortie.api.endpointslice import EndpointSlice
from tortie.api.felixconfiguration import FelixConfigurationSpec
from tortie.api.ippool import IPPoolSpec
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.rules import Rule
from tortie.api.stagedkubernetespolicy import IPBlock, StagedKubernetesNetworkPolicySpec
from tortie.api.stagedpolicy import (
    StagedGlobalNetworkPolicy,
    StagedGlobalNetworkPolicySpec,
    StagedNetworkPolicy,
    StagedNetworkPolicySpec,
)
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec

_RULES = (
    "`http` is for ingress rules only",
    "`services` can match the source of an ingress rule and the destination of an egress rule only",
)
_CLUSTER_RULES = (*_RULES, "`services` must name a namespace in what belongs to the whole cluster")
_DELETION = ("with stagedAction Delete, nothing but the tier may be given",)

_EXTENSIONS = tuple(f"annotation `{name}` is {words}" for name, words in ANNOTATIONS.items())

SEARCHES: dict[type, tuple[str, ...]] = {
    BGPConfiguration: (*_EXTENSIONS, "these annotations count in the object named `default`, for the mesh"),
    BGPPeer: _EXTENSIONS,
    BGPConfigurationSpec: ("`prefixAdvertisements` name communities that `communities` define, or write them out",),
    EndpointSlice: ("addresses are of the type that `addressType` says",),
    FelixConfigurationSpec: ("`routeTableRanges` hold 65535 tables at most, together",),
    GlobalNetworkPolicy: _CLUSTER_RULES,
    IPBlock: ("every part in `except` is inside `cidr`",),
    IPPoolSpec: (
        "`cidr` has no bits behind its prefix, and is outside the link-local ranges",
        "`ipipMode` is for IPv4 only",
        "`blockSize` is from 20 to 32 for IPv4 and from 116 to 128 for IPv6",
        "`cidr` is at least one block large, unless the pool is disabled",
    ),
    NetworkPolicy: _RULES,
    Profile: _CLUSTER_RULES,
    Rule: (
        "ports need a protocol that has ports (TCP, UDP, SCTP); names of ports need none",
        "a rule does not mix prefixes of IPv4 and IPv6, and they fit its `ipVersion`",
    ),
    StagedGlobalNetworkPolicy: _CLUSTER_RULES,
    StagedGlobalNetworkPolicySpec: _DELETION,
    StagedKubernetesNetworkPolicySpec: _DELETION,
    StagedNetworkPolicy: _RULES,
    StagedNetworkPolicySpec: _DELETION,
    Tier: ("order and default action of the built-in tiers are fixed",),
    WorkloadEndpoint: (
        "its name is `NODE-ORCHESTRATOR-WORKLOAD-ENDPOINT`, of fields that neither begin nor end with a dash, each "
        "dash in them doubled; WORKLOAD is `pod` for `k8s`, `containerID` for `cni`",
    ),
    WorkloadEndpointSpec: ("`ipNATs` lead to addresses of the endpoint",),
}
"""What must be true, by struct."""
