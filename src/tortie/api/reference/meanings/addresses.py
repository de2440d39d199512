"""What the fields of pools, reservations, block affinities and the settings of address management mean."""

from __future__ import annotations

from tortie.api.blockaffinity import BlockAffinitySpec
from tortie.api.ipamconfiguration import IPAMConfigurationSpec
from tortie.api.ippool import IPPoolSpec, IPPoolStatus
from tortie.api.ipreservation import IPReservationSpec
from tortie.api.reference.meaning import Meanings, WhenAbsent

MEANINGS: Meanings = {
    IPPoolSpec: {
        "cidr": "The prefix that addresses are taken from; it must not change.",
        "vxlan_mode": "When traffic between nodes is carried in VXLAN: never, always, or only across subnets.",
        "ipip_mode": "When traffic between nodes is carried in IP-in-IP: never, always, or only across subnets.",
        "nat_outgoing": "Whether traffic that leaves the pools takes the node's address as its source.",
        "disabled": "Whether no more addresses are taken from the pool; those in use stay.",
        "disable_bgp_export": "Whether the pool's blocks are kept from BGP peers.",
        "block_size": "Prefix length of the blocks that nodes take from the pool: IPv4 20 to 32, IPv6 116 to 128; "
        "it must not change.",
        "node_selector": "Labels of the nodes that may take blocks.",
        "namespace_selector": "Labels of the namespaces whose pods may use the pool; empty selects all.",
        "allowed_uses": "What addresses are for; LoadBalancer stands alone, and stays.",
        "assignment_mode": "Whether addresses are given out to whoever asks for any, or only to who names the pool.",
    },
    IPPoolStatus: {"conditions": "Observations of controllers, such as Allocatable."},
    IPReservationSpec: {"reserved_cidrs": "Prefixes and addresses that are not given out; those in use stay."},
    IPAMConfigurationSpec: {
        "strict_affinity": "Whether a node may use its own blocks only, and never borrow from another's.",
        "max_blocks_per_host": "Blocks that one node may hold.",
        "auto_allocate_blocks": "Whether a node takes another block when its own are full.",
        "kubevirt_vm_address_persistence": "Whether a virtual machine of KubeVirt keeps its addresses when its pod is "
        "replaced.",
        "ip_cooldown_seconds": "Seconds that a released address rests before it is given out again.",
    },
    BlockAffinitySpec: {
        "state": "How far the claim has come; only a confirmed one counts.",
        "node": "The node, or the virtual owner, that claims the block.",
        "type": "Whether a host or a virtual owner claims it.",
        "cidr": "The block.",
        "deleted": "A mark of claims on their way out, in datastores of Kubernetes.",
    },
}

WHEN_ABSENT: WhenAbsent = {
    IPPoolSpec: {
        "block_size": "26 for IPv4, 122 for IPv6",
        "allowed_uses": "Workload and Tunnel; Workload alone with a namespaceSelector",
    },
    IPAMConfigurationSpec: {
        "max_blocks_per_host": "20",
        "kubevirt_vm_address_persistence": "Enabled",
        "ip_cooldown_seconds": "0",
    },
}
