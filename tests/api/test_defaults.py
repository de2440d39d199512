"""Defaults are filled in as they are stored, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api.builtin import ALLOW_PROFILE, TIERS
from tortie.api.codec import decode, to_mapping
from tortie.api.defaults import with_defaults
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource
from tortie.api.validation import problems


def filled(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    resource = decode(kind, msgspec.json.encode({"metadata": {"name": "n", "namespace": "a"}, "spec": spec}))
    return to_mapping(with_defaults(resource))


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("NetworkPolicy", {}, {"tier": "default", "types": ["Ingress"]}),
        ("NetworkPolicy", {"egress": [{"action": "Deny"}]}, {"types": ["Egress"]}),
        (
            "NetworkPolicy",
            {"ingress": [{"action": "Deny"}], "egress": [{"action": "Deny"}]},
            {"types": ["Ingress", "Egress"]},
        ),
        ("GlobalNetworkPolicy", {"types": ["Egress"], "tier": "ops"}, {"types": ["Egress"], "tier": "ops"}),
        (
            "NetworkPolicy",
            {"egress": [{"action": "Allow", "protocol": "udplite", "notProtocol": "6"}]},
            {"egress": [{"action": "Allow", "protocol": "UDPLite", "notProtocol": 6}]},
        ),
        (
            "Profile",
            {"egress": [{"action": "Allow", "destination": {"ports": ["80", "1:2", "web"], "notPorts": ["443"]}}]},
            {"egress": [{"action": "Allow", "destination": {"ports": [80, "1:2", "web"], "notPorts": [443]}}]},
        ),
        ("Tier", {}, {"order": 1_000_000, "defaultAction": "Deny"}),
        ("Tier", {"order": 0, "defaultAction": "Pass"}, {"order": 0, "defaultAction": "Pass"}),
        (
            "IPPool",
            {"cidr": "10.0.0.0/16"},
            {
                "cidr": "10.0.0.0/16",
                "vxlanMode": "Never",
                "ipipMode": "Never",
                "blockSize": 26,
                "nodeSelector": "all()",
                "allowedUses": ["Workload", "Tunnel"],
                "assignmentMode": "Automatic",
            },
        ),
        ("IPPool", {"cidr": "FD00:0::/64"}, {"cidr": "fd00::/64", "blockSize": 122}),
        ("IPPool", {"cidr": "10.0.0.1/16"}, {"cidr": "10.0.0.1/16"}),
        ("IPPool", {"cidr": "10.0.0.0/255.255.0.0"}, {"cidr": "10.0.0.0/255.255.0.0"}),
        ("IPPool", {"cidr": "10.0.0.0/16", "namespaceSelector": "all()"}, {"allowedUses": ["Workload"]}),
        ("BGPConfiguration", {"asNumber": "1.10"}, {"asNumber": 65546, "logSeverityScreen": "Info"}),
        ("BGPPeer", {"asNumber": "64512", "localASNumber": "65536.1"}, {"asNumber": 64512, "localASNumber": "65536.1"}),
        ("Node", {"bgp": {"asNumber": "7"}}, {"bgp": {"asNumber": 7}}),
        (
            "WorkloadEndpoint",
            {"ports": [{"name": "p", "protocol": "tcp", "port": 1}]},
            {"ports": [{"name": "p", "protocol": "TCP", "port": 1, "hostPort": 0, "hostIP": ""}]},
        ),
    ],
)
def test_empty_fields_are_filled_and_given_ones_kept(
    kind: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    spec = filled(kind, given)["spec"]
    assert {name: spec.get(name) for name in expected} == expected


def test_policies_and_workloads_carry_labels_of_their_own() -> None:
    assert filled("NetworkPolicy", {"tier": "ops"})["metadata"]["labels"] == {"projectcalico.org/tier": "ops"}
    assert filled("WorkloadEndpoint", {"orchestrator": "k8s"})["metadata"]["labels"] == {
        "projectcalico.org/namespace": "a",
        "projectcalico.org/orchestrator": "k8s",
    }


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_filling_in_twice_changes_nothing(kind: str, instances: Callable[[type], st.SearchStrategy[Any]]) -> None:
    @settings(max_examples=settings.default.max_examples // 3)
    @given(st.data())
    def unchanged(data: st.DataObject) -> None:
        once = with_defaults(data.draw(instances(KINDS[kind])))
        assert with_defaults(once) == once

    unchanged()


@pytest.mark.parametrize("resource", [*TIERS, ALLOW_PROFILE])
def test_what_is_built_in_is_complete_and_valid(resource: Resource) -> None:
    assert with_defaults(resource) == resource
    assert problems(resource, lambda text: None) == []
