"""Controllers, address management, the cluster itself, requests for status, claims and migrations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.blockaffinity import BlockAffinity, BlockAffinitySpec
from tortie.api.defaults import with_defaults
from tortie.api.ipamconfiguration import IPAMConfiguration
from tortie.api.kinds import KINDS
from tortie.api.resource import Metadata, Resource
from tortie.api.validation import problems

AFFINITY = {"state": "confirmed", "node": "n1", "type": "host", "cidr": "10.0.0.0/26"}


def read(kind: str, spec: dict[str, Any], name: str = "default") -> Resource:
    namespace = {"namespace": "a"} if KINDS[kind].namespaced else {}
    return codec.decode(kind, msgspec.json.encode({"metadata": {"name": name, **namespace}, "spec": spec}))


def paths(kind: str, spec: dict[str, Any], name: str = "default") -> list[str]:
    found = problems(with_defaults(read(kind, spec, name)), lambda text: "it is bad" if "bad" in text else None)
    return [problem.path.removeprefix("spec.") for problem in found]


def filled(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return dict(codec.to_mapping(with_defaults(read(kind, spec)))["spec"])


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("KubeControllersConfiguration", b'"spec":{"controllers":{}},"status":{}}'),
        ("IPAMConfiguration", b'"spec":{"strictAffinity":false,"autoAllocateBlocks":true}}'),
        ("ClusterInformation", b'"spec":{}}'),
        ("BlockAffinity", b'"spec":{"state":"","node":"","cidr":"","deleted":"false"}}'),
        (
            "CalicoNodeStatus",
            b'"spec":{},"status":{"lastUpdated":null,"agent":{"birdV4":{},"birdV6":{}},'
            b'"bgp":{"numberEstablishedV4":0,"numberNotEstablishedV4":0,"numberEstablishedV6":0,'
            b'"numberNotEstablishedV6":0},"routes":{}}}',
        ),
    ],
)
def test_what_is_stored_even_when_empty(kind: str, stored: bytes) -> None:
    assert codec.encode(read(kind, {})).endswith(stored)


@pytest.mark.parametrize("deleted", [True, False])
def test_the_flag_of_a_claim_is_a_text_in_store_and_a_boolean_for_people(deleted: bool) -> None:
    claim = BlockAffinity(metadata=Metadata(name="n"), spec=BlockAffinitySpec(deleted=deleted))
    stored = codec.encode(claim)
    assert msgspec.json.decode(stored)["spec"]["deleted"] == str(deleted).lower()
    assert codec.decode("BlockAffinity", stored) == claim
    assert codec.to_mapping(claim)["spec"]["deleted"] is deleted
    assert read("BlockAffinity", {"deleted": deleted}, "n") == claim


def test_controllers_that_are_on_are_filled_in_and_the_others_stay_off() -> None:
    spec = {"controllers": {"node": {"hostEndpoint": {}, "leakGracePeriod": "0s"}, "loadBalancer": {}, "migration": {}}}
    assert filled("KubeControllersConfiguration", spec) == {
        "logSeverityScreen": "Info",
        "healthChecks": "Enabled",
        "etcdV3CompactionPeriod": "10m0s",
        "prometheusMetricsPort": 9094,
        "controllers": {
            "node": {
                "reconcilerPeriod": "5m0s",
                "syncLabels": "Enabled",
                "hostEndpoint": {"autoCreate": "Disabled", "createDefaultHostEndpoint": "Enabled"},
                "leakGracePeriod": "0s",
            },
            "loadBalancer": {"assignIPs": "AllServices"},
            "migration": {"policyNameMigrator": "Enabled"},
        },
    }


def test_a_port_of_zero_is_kept() -> None:
    assert filled("KubeControllersConfiguration", {"prometheusMetricsPort": 0})["prometheusMetricsPort"] == 0


def test_blocks_are_allocated_unless_told_otherwise() -> None:
    for spec, expected in (({}, True), ({"autoAllocateBlocks": False}, False)):
        resource = read("IPAMConfiguration", spec)
        assert isinstance(resource, IPAMConfiguration)
        assert resource.spec.auto_allocate_blocks is expected


@pytest.mark.parametrize("kind", ["ClusterInformation", "IPAMConfiguration", "KubeControllersConfiguration"])
def test_there_is_one_of_its_kind(kind: str) -> None:
    assert paths(kind, {}) == []
    assert paths(kind, {}, "other") == ["metadata.name"]


def template(**given: Any) -> dict[str, Any]:
    return {"controllers": {"node": {"hostEndpoint": {"templates": [given]}}}}


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("KubeControllersConfiguration", {"prometheusMetricsPort": 65536}, "prometheusMetricsPort"),
        ("KubeControllersConfiguration", {"etcdV3CompactionPeriod": "10"}, "etcdV3CompactionPeriod"),
        (
            "KubeControllersConfiguration",
            {"controllers": {"policy": {"reconcilerPeriod": "x"}}},
            "controllers.policy.reconcilerPeriod",
        ),
        (
            "KubeControllersConfiguration",
            template(interfacePattern="("),
            "controllers.node.hostEndpoint.templates[0].interfacePattern",
        ),
        (
            "KubeControllersConfiguration",
            template(nodeSelector="bad"),
            "controllers.node.hostEndpoint.templates[0].nodeSelector",
        ),
        ("IPAMConfiguration", {"autoAllocateBlocks": False}, "autoAllocateBlocks"),
        ("IPAMConfiguration", {"maxBlocksPerHost": 1}, "maxBlocksPerHost"),
        ("IPAMConfiguration", {"maxBlocksPerHost": 1_000_001, "strictAffinity": True}, "maxBlocksPerHost"),
        ("IPAMConfiguration", {"ipCooldownSeconds": 1201}, "ipCooldownSeconds"),
        ("IPAMConfiguration", {"kubeVirtVMAddressPersistence": "On"}, "kubeVirtVMAddressPersistence"),
        ("BlockAffinity", {**AFFINITY, "state": "gone"}, "state"),
        ("BlockAffinity", {**AFFINITY, "cidr": "10.0.0.1/26"}, "cidr"),
        ("BlockAffinity", {**AFFINITY, "node": ""}, "node"),
        ("BlockAffinity", {**AFFINITY, "type": "rack"}, "type"),
        ("CalicoNodeStatus", {"node": "n", "classes": ["BGP"]}, "updatePeriodSeconds"),
        ("CalicoNodeStatus", {"node": "n", "classes": ["BGP"], "updatePeriodSeconds": 86_401}, "updatePeriodSeconds"),
        ("CalicoNodeStatus", {"node": "n", "classes": [], "updatePeriodSeconds": 0}, "classes"),
        ("CalicoNodeStatus", {"node": "n", "classes": ["BGP", "BGP"], "updatePeriodSeconds": 0}, "classes[1]"),
        ("CalicoNodeStatus", {"classes": ["Agent"], "updatePeriodSeconds": 0}, "node"),
        ("LiveMigration", {"source": {}}, "source"),
        ("LiveMigration", {"target": {"selector": "a", "workloadEndpoint": {}}}, "target"),
        ("LiveMigration", {"target": {"selector": "bad"}}, "target.selector"),
    ],
)
def test_values_have_limits(kind: str, spec: dict[str, Any], path: str) -> None:
    assert paths(kind, spec) == [path]


def test_a_migration_names_both_ends_in_stored_order() -> None:
    workload = {"hostname": "h1", "orchestratorID": "openstack", "workloadID": "vm7"}
    spec = {"source": {"workload": workload}, "target": {"workloadEndpoint": {**workload, "endpointID": "port12"}}}
    assert paths("LiveMigration", spec) == []
    assert codec.encode(read("LiveMigration", spec)).endswith(b'"spec":' + msgspec.json.encode(spec) + b"}")
