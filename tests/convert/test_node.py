"""Nodes of Kubernetes: labels and addresses are taken, the rest from Calico's annotations, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.node import Node, NodeAddress, NodeBGP, NodeInterface, NodeWireguard, OrchRef
from tortie.api.resource import Metadata
from tortie.base.errors import InvalidResource
from tortie.convert.node import BGP, PREFIX, SPEC, STATUS, WIREGUARD
from tortie.convert.node import node as convert


def node(given: dict[str, Any]) -> Node:
    resource = convert(given).resource
    assert isinstance(resource, Node)
    return resource


OWN = {"IPv4Address": "10.0.0.1/24"}


def document(annotations: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    annotated = {PREFIX + key: value for key, value in (OWN if annotations is None else annotations).items()}
    metadata = {"name": "a", "labels": {"os": "linux"}, "annotations": annotated}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, **more}


def test_name_and_labels_are_kept_and_annotations_are_not() -> None:
    found = node(document())
    assert found.metadata == Metadata(name="a", labels={"os": "linux"})
    assert found.spec.orch_refs == (OrchRef(node_name="a", orchestrator="k8s"),)


def test_addresses_are_its_own_and_those_that_kubernetes_knows() -> None:
    known = [
        {"type": "InternalIP", "address": "192.0.2.1"},
        {"type": "Hostname", "address": "a"},
        {"type": "ExternalIP", "address": "198.51.100.1"},
    ]
    annotations = OWN | {"IPv6Address": "fd00::1/64"}
    assert node(document(annotations, status={"addresses": known})).spec.addresses == (
        NodeAddress(address="10.0.0.1", type="CalicoNodeIP"),
        NodeAddress(address="fd00::1", type="CalicoNodeIP"),
        NodeAddress(address="192.0.2.1", type="InternalIP"),
        NodeAddress(address="198.51.100.1", type="ExternalIP"),
    )


def test_bgp_addresses_keep_their_lengths() -> None:
    bgp = node(document(OWN | {"ASNumber": "65001", "RouteReflectorClusterID": "1.2.3.4"})).spec.bgp
    assert bgp == NodeBGP(ipv4_address="10.0.0.1/24", as_number="65001", route_reflector_cluster_id="1.2.3.4")


def test_pod_prefixes_and_interfaces_are_read() -> None:
    interfaces = '[{"name": "eth0", "addresses": ["10.0.0.1"]}]'
    found = node(document(OWN | {"Interfaces": interfaces}, spec={"podCIDRs": ["10.1.0.0/24"]}))
    assert found.spec.interfaces == (NodeInterface(name="eth0", addresses=("10.0.0.1",)),)
    assert found.status.pod_cidrs == ("10.1.0.0/24",)


@given(st.sets(st.sampled_from(sorted((*BGP.values(), *SPEC.values(), *WIREGUARD.values(), *STATUS.values())))))
def test_every_annotation_is_one_field_and_no_other(names: set[str]) -> None:
    found = node(document(OWN | {name: f"fd00::{index}" for index, name in enumerate(sorted(names))}))
    wireguard = found.spec.wireguard or NodeWireguard()
    told = {
        name
        for table, part in ((BGP, found.spec.bgp), (SPEC, found.spec), (WIREGUARD, wireguard), (STATUS, found.status))
        for field, name in table.items()
        if getattr(part, field)
    }
    assert told == names | OWN.keys()


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({}, "has no projectcalico.org/IPv4Address"),
        ({"ASNumber": "65001"}, "has no projectcalico.org/IPv4Address"),
        ({"IPv4Address": "here"}, "here"),
        (OWN | {"Interfaces": "{"}, "projectcalico.org/Interfaces]: cannot be read"),
    ],
)
def test_one_that_would_lose_its_addresses_is_refused(annotations: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidResource, match=r"Node a: metadata.annotations") as refused:
        node(document(annotations))
    assert said in str(refused.value)


def test_null_is_the_same_as_absent() -> None:
    assert node(document(status=None, spec=None)) == node(document())
    assert node(document(status={"addresses": None}, spec={"podCIDRs": None})) == node(document())
