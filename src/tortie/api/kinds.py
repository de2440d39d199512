"""The table of kinds."""

from __future__ import annotations

from difflib import get_close_matches

from tortie.api.bgp import BGPConfiguration, BGPPeer
from tortie.api.bgpfilter import BGPFilter
from tortie.api.blockaffinity import BlockAffinity
from tortie.api.caliconodestatus import CalicoNodeStatus
from tortie.api.clusterinformation import ClusterInformation
from tortie.api.endpointslice import EndpointSlice
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.ipamconfiguration import IPAMConfiguration
from tortie.api.ippool import IPPool
from tortie.api.ipreservation import IPReservation
from tortie.api.kubecontrollers import KubeControllersConfiguration
from tortie.api.livemigration import LiveMigration
from tortie.api.networkset import GlobalNetworkSet, NetworkSet
from tortie.api.node import Node
from tortie.api.pod import Pod
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Resource
from tortie.api.service import Service
from tortie.api.stagedkubernetespolicy import StagedKubernetesNetworkPolicy
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy
from tortie.api.tier import Tier
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.errors import InvalidResource, Problem

KINDS: dict[str, type[Resource]] = {
    kind.kind: kind
    for kind in (
        BGPConfiguration,
        BGPFilter,
        BGPPeer,
        BlockAffinity,
        CalicoNodeStatus,
        ClusterInformation,
        EndpointSlice,
        FelixConfiguration,
        GlobalNetworkPolicy,
        GlobalNetworkSet,
        HostEndpoint,
        IPAMConfiguration,
        IPPool,
        IPReservation,
        KubeControllersConfiguration,
        LiveMigration,
        NetworkPolicy,
        NetworkSet,
        Node,
        Pod,
        Profile,
        Service,
        StagedGlobalNetworkPolicy,
        StagedKubernetesNetworkPolicy,
        StagedNetworkPolicy,
        Tier,
        WorkloadEndpoint,
    )
}
"""Kind name to resource type, for every kind that a datastore holds; Kubernetes' own have its `api_version`."""


HABITS: dict[str, type[Resource]] = {
    "policy": NetworkPolicy,
    "policies": NetworkPolicy,
    "pol": NetworkPolicy,
    "pols": NetworkPolicy,
    "netpol": NetworkPolicy,
    "netpols": NetworkPolicy,
    "gnps": GlobalNetworkPolicy,
    "bgpp": BGPPeer,
    "bgpps": BGPPeer,
    "bp": BGPPeer,
    "bps": BGPPeer,
    "no": Node,
    "nos": Node,
    "pro": Profile,
    "pros": Profile,
}
"""What people also call a kind; not among the short names that an API server would be told."""

KEPT_AS = {
    **dict.fromkeys(("namespace", "namespaces", "ns"), "kns.NAME"),
    **dict.fromkeys(("serviceaccount", "serviceaccounts", "sa"), "ksa.NAMESPACE.NAME"),
}
"""What people call kinds of Kubernetes that become profiles, and how those are named."""


def find_kind(name: str) -> type[Resource]:
    """The kind that a person calls by its name, plural or short name, in any case.

    Raises:
        InvalidResource: no kind is called that; the remedy lists near names.
    """
    spellings = {spelling.lower(): kind for kind in KINDS.values() for spelling in _spellings(kind)}
    found = spellings.get(name.lower()) or HABITS.get(name.lower())
    if profile := KEPT_AS.get(name.lower()):
        raise InvalidResource(Problem(name, "kind", f"is kept as Profile {profile}", "get profiles shows them"))
    if found is None:
        near = get_close_matches(name.lower(), spellings, n=3, cutoff=0.6)
        kinds = sorted({spellings[spelling].kind for spelling in near}) or sorted(KINDS)
        raise InvalidResource(Problem(name, "kind", "is not a kind of resource", f"try {', '.join(kinds)}"))
    return found


def _spellings(kind: type[Resource]) -> tuple[str, ...]:
    return (kind.kind, kind.plural, *kind.aliases)
