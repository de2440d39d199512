"""What the fields of StagedKubernetesNetworkPolicy mean."""

from __future__ import annotations

from tortie.api.reference.meaning import Meanings, WhenAbsent
from tortie.api.stagedkubernetespolicy import (
    EgressRule,
    IngressRule,
    IPBlock,
    LabelRequirement,
    LabelSelector,
    PolicyPeer,
    PolicyPort,
    StagedKubernetesNetworkPolicySpec,
)

MEANINGS: Meanings = {
    StagedKubernetesNetworkPolicySpec: {
        "staged_action": "What enforcing would do: write this policy (Set), delete that of the same name (Delete); "
        "Learn and Ignore are marks of tools.",
        "pod_selector": "Labels of the pods that the policy applies to; an empty one selects all of the namespace.",
        "ingress": "What may come to these pods; what no rule allows is denied.",
        "egress": "What these pods may send; what no rule allows is denied.",
        "policy_types": "The directions that the policy decides.",
    },
    LabelSelector: {
        "match_labels": "Labels that must all be there with these values.",
        "match_expressions": "Requirements that must all be met.",
    },
    LabelRequirement: {
        "key": "Key of the label.",
        "operator": "Whether the label has one of the values (In, NotIn), or is there (Exists, DoesNotExist).",
        "values": "Values for In and NotIn; the other operators take none.",
    },
    IngressRule: {
        "ports": "Ports of the selected pods; none means all.",
        "from_": "Who may come in; none means anybody.",
    },
    EgressRule: {
        "ports": "Ports of the destination; none means all.",
        "to": "Where the pods may go; none means anywhere.",
    },
    PolicyPort: {
        "protocol": "Protocol of the port.",
        "port": "A number, or the name of a container's port; none means every port of the protocol.",
        "end_port": "End of a range that begins with `port`, itself included.",
    },
    PolicyPeer: {
        "pod_selector": "Labels of pods, of the policy's namespace unless `namespaceSelector` is given.",
        "namespace_selector": "Labels of the namespaces whose pods are meant.",
        "ip_block": "A prefix of addresses.",
    },
    IPBlock: {
        "cidr": "The prefix.",
        "except_": "Parts of it that are not meant.",
    },
}

WHEN_ABSENT: WhenAbsent = {
    StagedKubernetesNetworkPolicySpec: {"policy_types": "Ingress, and Egress when there are egress rules"},
    PolicyPort: {"protocol": "TCP"},
}
