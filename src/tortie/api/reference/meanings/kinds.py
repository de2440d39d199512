"""What each kind is for."""

from __future__ import annotations

ABOUT = {
    "BGPConfiguration": "How nodes speak BGP: for all of them in the object named `default`, for one in `node.<name>`.",
    "BGPFilter": "Which routes are taken from BGP peers and given to them, and how they are changed. A BGPPeer names "
    "the filters of its sessions.",
    "BGPPeer": "BGP sessions of nodes with routers, with other nodes or with local workloads, beside the mesh between "
    "all nodes.",
    "BlockAffinity": "The claim of a node on a block of addresses. Address management keeps claims of its own; this is "
    "a copy for people.",
    "CalicoNodeStatus": "Asks a node for the state of its BGP daemon, its sessions and routes; the node writes the "
    "answer into the status.",
    "ClusterInformation": "What the cluster says of itself; there is one, named `default`, and the system keeps it.",
    "EndpointSlice": "Some of the backends of a Service, as Kubernetes describes them. Rules with `services` match "
    "them; the label `kubernetes.io/service-name` says whose they are.",
    "FelixConfiguration": "How the agents of nodes behave: for all of them in the object named `default`, for one in "
    "`node.<name>`, for some in any other that has a `nodeSelector`. The narrower wins, field by field.",
    "GlobalNetworkPolicy": "What traffic endpoints of the whole cluster, hosts included, may send and receive.",
    "GlobalNetworkSet": "Prefixes with labels, so that rules can select addresses outside the cluster as they select "
    "endpoints; for the whole cluster.",
    "HostEndpoint": "An interface of a host, so that policy can select and guard it. With one, traffic of the host is "
    "denied unless policy, a profile or a failsafe port allows it.",
    "IPAMConfiguration": "How addresses are given out; there is one, named `default`.",
    "IPPool": "A prefix that the addresses of workloads and tunnels are taken from, and how traffic within and out of "
    "it is carried.",
    "IPReservation": "Addresses that are not to be given out, though they are in a pool.",
    "KubeControllersConfiguration": "Which of the cluster-wide controllers run, and how; only the object named "
    "`default` is read.",
    "LiveMigration": "A virtual machine on its way from one host to another; written by orchestrators, not by people.",
    "NetworkPolicy": "What traffic the endpoints of one namespace may send and receive.",
    "NetworkSet": "Prefixes with labels, so that rules can select addresses outside the cluster as they select "
    "endpoints; of one namespace, whose labels they inherit.",
    "Node": "A host of the cluster: its addresses and its identity in BGP.",
    "Pod": "A Kubernetes pod, of which only what concerns its network is kept. It hands its labels, service account "
    "and named ports on to its workload endpoints.",
    "Profile": "Labels that endpoints inherit, and rules that are tried after every tier has passed. Endpoints name "
    "their profiles.",
    "Service": "A Kubernetes service, kept as it was written. Rules with `services` match its backends, those of its "
    "EndpointSlices.",
    "StagedGlobalNetworkPolicy": "A GlobalNetworkPolicy that is evaluated and reported, not enforced.",
    "StagedKubernetesNetworkPolicy": "A Kubernetes NetworkPolicy that is evaluated and reported, not enforced.",
    "StagedNetworkPolicy": "A NetworkPolicy that is evaluated and reported, not enforced.",
    "Tier": "A stage of policy evaluation. Tiers are tried in their order; a tier whose policies select an endpoint, "
    "but decide nothing, ends with its default action.",
    "WorkloadEndpoint": "The interface of one container or virtual machine: where it is, and its addresses. Made by "
    "the CNI plugin and other orchestrators.",
}
"""A paragraph for each kind."""
