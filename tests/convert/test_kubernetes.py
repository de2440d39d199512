"""Which documents are Kubernetes', and which conversion each takes."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.profile import Profile
from tortie.base.errors import InvalidResource
from tortie.convert.kubernetes import can_convert, convert, is_kubernetes


def _document(version: str, kind: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web", **metadata}}


def _cluster_wide(version: str, kind: str, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    version = f"policy.networking.k8s.io/{version}"
    spec = {"subject": {"namespaces": {}}, **spec}
    return {"apiVersion": version, "kind": kind, "metadata": metadata or {"name": "web"}, "spec": spec}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("networking.k8s.io/v1", True),
        ("projectcalico.org/v3", False),
        ("crd.projectcalico.org/v1", False),
        ("example.com/v1", False),
        ("", False),
        (1, False),
        (None, False),
    ],
)
def test_kubernetes_own_groups_are_known(version: object, expected: bool) -> None:
    assert is_kubernetes({"apiVersion": version}) is expected


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (_document("v1", "Namespace"), "Profile kns.web"),
        (_document("v1", "ServiceAccount", namespace="shop"), "Profile ksa.shop.web"),
        (_document("v1", "ServiceAccount"), "Profile ksa.till.web"),
        (_document("networking.k8s.io/v1", "NetworkPolicy", namespace="shop"), "NetworkPolicy shop/knp.default.web"),
        (_document("networking.k8s.io/v1", "NetworkPolicy"), "NetworkPolicy knp.default.web"),
        (_cluster_wide("v1alpha2", "ClusterNetworkPolicy", tier="Admin", priority=1), "GlobalNetworkPolicy kcnp.web"),
        (_cluster_wide("v1alpha1", "AdminNetworkPolicy", priority=1), "GlobalNetworkPolicy kanp.web"),
        (
            _cluster_wide("v1alpha1", "BaselineAdminNetworkPolicy", metadata={"name": "default"}),
            "GlobalNetworkPolicy kbanp.default",
        ),
    ],
)
def test_each_kind_becomes_a_resource(document: dict[str, Any], key: str) -> None:
    assert str(convert(document, namespace="till").resource.key) == key


def test_a_node_becomes_one_when_it_has_the_annotations() -> None:
    document = _document("v1", "Node", annotations={"projectcalico.org/IPv4Address": "10.0.0.1/24"})
    assert str(convert(document).resource.key) == "Node web"


def test_warnings_are_handed_on() -> None:
    document = _document("networking.k8s.io/v1", "NetworkPolicy") | {"spec": {"ingress": [{"x": 1}]}}
    assert len(convert(document).broken) == 1


def test_a_label_cannot_take_the_place_of_the_name() -> None:
    labels = {"projectcalico.org/name": "other", "kubernetes.io/metadata.name": "other", "a": "b"}
    resource = convert(_document("v1", "Namespace", labels=labels)).resource
    assert isinstance(resource, Profile)
    assert resource.spec.labels_to_apply == {
        "pcns.a": "b",
        "pcns.kubernetes.io/metadata.name": "web",
        "pcns.projectcalico.org/name": "web",
    }


def test_a_namespace_can_be_selected_by_its_name_as_on_a_kubernetes_server() -> None:
    resource = convert(_document("v1", "Namespace")).resource
    assert isinstance(resource, Profile)
    assert resource.spec.labels_to_apply["pcns.kubernetes.io/metadata.name"] == "web"


def test_kinds_that_can_be_converted_are_known() -> None:
    assert can_convert(_document("v1", "Namespace"))
    assert can_convert(_cluster_wide("v1alpha2", "ClusterNetworkPolicy"))
    assert not can_convert(_cluster_wide("v1alpha1", "ClusterNetworkPolicy"))
    assert not can_convert({})


@pytest.mark.parametrize("identity", [("v1", "Pod"), ("apps/v1", "Deployment"), ("networking.k8s.io/v1", "Ingress")])
def test_other_kinds_are_refused_by_name(identity: tuple[str, str]) -> None:
    with pytest.raises(InvalidResource, match=f"{' '.join(identity)}: kind: is not a Kubernetes kind"):
        convert(_document(*identity))


@pytest.mark.parametrize(
    ("version", "kind", "right"),
    [
        ("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io/v1"),
        ("policy.networking.k8s.io/v1alpha1", "ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"),
    ],
)
def test_of_a_kind_of_another_version_the_right_one_is_told(version: str, kind: str, right: str) -> None:
    with pytest.raises(InvalidResource, match=f"{kind}.*: apiVersion: is '{version}' \\(use {right}\\)"):
        convert(_document(version, kind))


@pytest.mark.parametrize("kind", ["Namespace", "ServiceAccount"])
def test_labels_of_the_wrong_type_are_refused(kind: str) -> None:
    with pytest.raises(InvalidResource, match=r"metadata\.labels"):
        convert(_document("v1", kind, labels={"a": 1}))
    with pytest.raises(InvalidResource, match=r"metadata\.labels"):
        convert(_document("v1", kind, labels={1: "a"}))
