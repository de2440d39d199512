"""Names of workload endpoints read back, and what cannot be read back is not made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.endpointnames import (
    host_interface_name,
    name_of_workload_endpoint,
    parse_workload_endpoint_name,
    workload_endpoint_name,
    workload_endpoint_prefix,
)
from tortie.api.workloadendpoint import WorkloadEndpointSpec

PARTS = st.from_regex(r"[a-z0-9.]([a-z0-9.-]{0,12}[a-z0-9.])?", fullmatch=True)


@given(PARTS, PARTS, PARTS, PARTS)
def test_every_name_reads_back(node: str, orchestrator: str, workload: str, endpoint: str) -> None:
    parts = (node, orchestrator, workload, endpoint)
    name = workload_endpoint_name(*parts)
    assert parse_workload_endpoint_name(name) == parts
    assert name.startswith(workload_endpoint_prefix(node, orchestrator, workload))


@given(st.text("a-", max_size=24))
def test_a_name_is_read_in_one_way_only(text: str) -> None:
    parts = parse_workload_endpoint_name(text)
    assert parts is None or workload_endpoint_name(*parts) == text


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (
            WorkloadEndpointSpec(orchestrator="k8s", node="n-1", pod="web-7d9f", endpoint="eth0"),
            "n--1-k8s-web--7d9f-eth0",
        ),
        (
            WorkloadEndpointSpec(orchestrator="cni", node="n-1", container_id="3fa9c1", endpoint="eth0"),
            "n--1-cni-3fa9c1-eth0",
        ),
        (WorkloadEndpointSpec(orchestrator="libnetwork", node="n-1", endpoint="ep0"), "n--1-libnetwork-libnetwork-ep0"),
        (
            WorkloadEndpointSpec(orchestrator="openstack", node="n-1", workload="vm7", endpoint="port12"),
            "n--1-openstack-vm7-port12",
        ),
    ],
)
def test_the_orchestrator_decides_which_field_names_the_workload(spec: WorkloadEndpointSpec, name: str) -> None:
    assert name_of_workload_endpoint(spec) == name


@pytest.mark.parametrize("part", ["", "-a", "a-", "-"])
def test_ambiguous_parts_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match="workload endpoint"):
        workload_endpoint_name("n1", "k8s", part, "eth0")


@pytest.mark.parametrize("name", ["", "a", "a-b-c", "a-b-c-d-e", "a-b-c-", "a---b-c-d", "-a-b-c-d"])
def test_what_is_no_name_has_no_parts(name: str) -> None:
    assert parse_workload_endpoint_name(name) is None


def test_the_name_of_the_hosts_end_is_that_of_other_implementations() -> None:
    assert host_interface_name("cali", "default", "podA", "ignored") == "cali7f94ce7c295"
    assert host_interface_name("cali", "", "", "3fa9c1aabbccddeeff") == "cali3fa9c1aabbc"
