"""Workload endpoints need no name, since it follows from what they are; another name is refused with the right one."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.defaults import with_defaults
from tortie.api.resource import Metadata
from tortie.api.validation import problems
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.errors import Problem


def endpoint(name: str = "", **changed: Any) -> WorkloadEndpoint:
    fields = {"orchestrator": "k8s", "node": "n-1", "pod": "web-0", "endpoint": "eth0", **changed}
    spec = WorkloadEndpointSpec(ip_networks=("10.0.0.1/32",), interface_name="cali1", **fields)
    return with_defaults(WorkloadEndpoint(metadata=Metadata(name=name, namespace="shop"), spec=spec))


def found(resource: WorkloadEndpoint) -> list[Problem]:
    return problems(resource, lambda selector: None)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "n--1-k8s-web--0-eth0"),
        ({"orchestrator": "cni", "container_id": "3fa9"}, "n--1-cni-3fa9-eth0"),
        ({"orchestrator": "libnetwork"}, "n--1-libnetwork-libnetwork-eth0"),
        ({"orchestrator": "openstack", "workload": "vm"}, "n--1-openstack-vm-eth0"),
    ],
)
def test_a_name_that_is_left_out_is_filled_in(changed: dict[str, str], name: str) -> None:
    named = endpoint(**changed)
    assert named.metadata.name == name
    assert found(named) == []
    assert with_defaults(named) == named


def test_another_name_is_refused_with_what_it_should_be() -> None:
    (problem,) = found(endpoint("web"))
    assert (problem.path, problem.remedy) == ("metadata.name", "must be n--1-k8s-web--0-eth0, or left out")


@pytest.mark.parametrize("name", ["", "web"])
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pod": ""}, "pod"),
        ({"pod": "-web"}, "pod"),
        ({"orchestrator": "cni"}, "containerID"),
        ({"orchestrator": "vm"}, "workload"),
        ({"orchestrator": ""}, "orchestrator"),
        ({"node": ""}, "node"),
        ({"endpoint": ""}, "endpoint"),
    ],
)
def test_a_field_that_the_name_lacks_is_named(name: str, changed: dict[str, str], field: str) -> None:
    assert f"spec.{field}" in [problem.path for problem in found(endpoint(name, **changed))]
