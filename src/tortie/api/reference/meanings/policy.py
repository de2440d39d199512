"""What the fields of policies, their rules, tiers and profiles mean."""

from __future__ import annotations

from tortie.api.policy import GlobalNetworkPolicySpec, NetworkPolicySpec
from tortie.api.profile import ProfileSpec
from tortie.api.reference.meaning import Meanings, WhenAbsent
from tortie.api.rules import (
    ICMP,
    EntityRule,
    HTTPMatch,
    HTTPPath,
    Rule,
    RuleMetadata,
    ServiceAccountMatch,
    ServiceMatch,
)
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicySpec, StagedNetworkPolicySpec
from tortie.api.tier import TierSpec, TierStatus

_POLICY = {
    "tier": "The tier that the policy stands in; it must exist.",
    "order": "Its place among the policies of its tier, the smaller first; those without come last, by name.",
    "ingress": "Rules for what comes to the selected endpoints, tried in order.",
    "egress": "Rules for what the selected endpoints send, tried in order.",
    "selector": "Labels of the endpoints that the policy applies to; empty selects all.",
    "types": "The directions that the policy decides: one without rules then allows nothing of it.",
    "service_account_selector": "Labels of the service accounts whose pods it applies to; empty selects all.",
    "performance_hints": "Wishes about cost, without effect on what is allowed.",
}
_GLOBAL = {
    "do_not_track": "Decide before connection tracking, without it: answers need a rule of their own.",
    "pre_dnat": "Decide before addresses of services are translated, on host endpoints only.",
    "apply_on_forward": "On host endpoints, decide forwarded packets too, not only the host's own.",
    "namespace_selector": "Labels of the namespaces whose endpoints it applies to; empty selects all, and hosts.",
}
_STAGED = {
    "staged_action": "What enforcing would do: write this policy (Set), delete that of the same name (Delete); "
    "Learn and Ignore are marks of tools."
}

_POLICY_ABSENT = {
    "order": "after all that have one",
    "selector": "all()",
    "types": "Ingress unless there are egress rules only; Egress when there are egress rules",
}

MEANINGS: Meanings = {
    NetworkPolicySpec: _POLICY,
    GlobalNetworkPolicySpec: _POLICY | _GLOBAL,
    StagedNetworkPolicySpec: _STAGED | _POLICY,
    StagedGlobalNetworkPolicySpec: _STAGED | _POLICY | _GLOBAL,
    TierSpec: {
        "order": "Its place among the tiers, the smaller first; equal ones by name.",
        "default_action": "What happens to traffic of an endpoint that policies of this tier select, but none decides.",
    },
    TierStatus: {"conditions": "Observations of controllers, such as Ready."},
    ProfileSpec: {
        "ingress": "Rules for what comes to the endpoints that name the profile, tried after every tier has passed.",
        "egress": "Rules for what these endpoints send, tried after every tier has passed.",
        "labels_to_apply": "Labels that these endpoints inherit; a label of their own wins.",
    },
    Rule: {
        "action": "What is done with a match: Allow and Deny decide, Log only notes, Pass goes on to the next tier.",
        "ip_version": "The family of the packets.",
        "protocol": "The protocol of the packets, by name (in any case) or number.",
        "icmp": "Type and code of ICMP packets.",
        "not_protocol": "The protocol that the packets must not have.",
        "not_icmp": "Type and code that the packets must not have.",
        "source": "Where the packets come from.",
        "destination": "Where the packets go.",
        "http": "Properties of HTTP requests, for L7 proxies only.",
        "metadata": "What is noted about the rule.",
    },
    RuleMetadata: {"annotations": "Free keys and values for people and tools."},
    ICMP: {
        "type": "The type of the message, such as 8, an echo request.",
        "code": "The code within the type.",
    },
    EntityRule: {
        "nets": "Prefixes that hold the address; one match is enough.",
        "selector": "Labels of the endpoint or network set that has the address.",
        "namespace_selector": "Labels of its namespace; `global()` stands for what belongs to none.",
        "services": "A Kubernetes Service whose backends, addresses and ports together, are meant.",
        "ports": "Port numbers, ranges and names; one match is enough.",
        "not_nets": "Prefixes that must not hold the address.",
        "not_selector": "Labels that the endpoint or network set must not have.",
        "not_ports": "Port numbers, ranges and names that must not match.",
        "service_accounts": "Service accounts whose pods are meant.",
    },
    ServiceMatch: {
        "name": "Name of the Service.",
        "namespace": "Namespace of the Service; in a namespaced policy, empty means the policy's own.",
    },
    ServiceAccountMatch: {
        "names": "Names of service accounts; one match is enough.",
        "selector": "Labels of service accounts.",
    },
    HTTPMatch: {
        "methods": "HTTP methods; one match is enough, and none means any.",
        "paths": "Paths of requests; one match is enough, and none means any.",
    },
    HTTPPath: {
        "exact": "The whole path.",
        "prefix": "The beginning of the path.",
    },
}

WHEN_ABSENT: WhenAbsent = {
    NetworkPolicySpec: _POLICY_ABSENT,
    GlobalNetworkPolicySpec: _POLICY_ABSENT,
    StagedNetworkPolicySpec: _POLICY_ABSENT,
    StagedGlobalNetworkPolicySpec: _POLICY_ABSENT,
    Rule: {"ip_version": "both", "protocol": "any"},
    ICMP: {"type": "any", "code": "any"},
}
