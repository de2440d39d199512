"""Services, slices of their endpoints and pods are loaded as Kubernetes' users write them."""

from __future__ import annotations

import pytest

from tortie.api.codec import to_mapping
from tortie.api.documents import LAST_APPLIED, Document, load_resource, read_documents
from tortie.api.endpointslice import EndpointSlice
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, creationTimestamp: null}
spec:
  type: ClusterIP
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1]
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http, protocol: TCP}]
  sessionAffinity: None
  internalTrafficPolicy: Cluster
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- addresses: [10.65.0.1]
  conditions: {ready: false, serving: true, terminating: true}
  targetRef: {kind: Pod, name: web-0, namespace: shop}
  nodeName: n1
  zone: z1
  hints: {forZones: [{name: z1}]}
ports: [{name: "", port: 8080, protocol: TCP}, {name: all}]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels: {app: web}
  annotations: {LAST: "{\\"env\\": \\"secret\\"}", other: kept}
  managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {"k:{secret}": {}}}}]
spec:
  nodeName: n1
  serviceAccountName: web
  containers:
  - name: web
    image: web:1
    env: [{name: PASSWORD, value: secret}]
    ports: [{name: http, containerPort: 8080}]
status: {phase: Running, podIP: 10.65.0.1, podIPs: [{ip: 10.65.0.1}], qosClass: BestEffort}
""".replace("LAST", LAST_APPLIED)


def document(text: str) -> Document:
    (found,) = read_documents(text, "web.yaml")
    return found


@pytest.mark.parametrize("text", [SERVICE, SLICE])
def test_services_and_slices_are_kept_whole(text: str) -> None:
    written = document(text)
    kept = to_mapping(load_resource(written))
    kept.get("metadata", {})["creationTimestamp"] = None
    for field, value in written.mapping.items():
        if field not in ("metadata", "ports"):
            assert kept[field] == value


def test_of_a_pod_only_what_concerns_its_network_is_kept() -> None:
    written = document(POD)
    pod = load_resource(written)
    assert "secret" not in str(pod)
    assert to_mapping(pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-0",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {"other": "kept"},
        },
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "web",
            "containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {"phase": "Running", "podIP": "10.65.0.1", "podIPs": [{"ip": "10.65.0.1"}]},
    }


@pytest.mark.parametrize(
    ("text", "wrong", "meant"),
    [
        (SERVICE + "  trafficDistributon: PreferClose\n", "spec.trafficDistributon", "trafficDistribution"),
        (POD.replace("nodeName:", "nodeNam:"), "spec.nodeNam", "nodeName"),
        (POD.replace("labels:", "lables:"), "metadata.lables", "labels"),
        (POD.replace("spec:", "spce:"), "spce", "spec"),
    ],
)
def test_a_misspelt_field_is_refused_with_what_was_meant(text: str, wrong: str, meant: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        load_resource(document(text))
    assert [(one.path, one.problem, one.remedy) for one in caught.value.problems] == [
        (wrong, "is not a field", f"did you mean {meant}?")
    ]


def test_fields_that_do_not_concern_the_network_are_no_mistake() -> None:
    """Those that Kubernetes 1.35 to 1.37 added, too."""
    fields = "  schedulingGroup: {podGroupName: a}\n  evictionResponders: [{name: a}]\n  hostnameOverride: a\nstatus:\n"
    newer = "status:\n  volumeHealth: [{name: a}]\n  nodeAllocatableResourceClaimStatuses: [{}]\n"
    text = POD.partition("status:")[0] + fields.replace("status:\n", newer)
    assert to_mapping(load_resource(document(text)))["spec"]["nodeName"] == "n1"


def test_every_wrong_type_is_told_with_its_place() -> None:
    text = SLICE.replace("[10.65.0.1]", "10.65.0.1").replace("port: 8080", "port: http")
    with pytest.raises(InvalidResource) as caught:
        load_resource(document(text))
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (6, "endpoints[0].addresses"),
        (12, "ports[0].port"),
    ]


def test_a_kind_of_kubernetes_has_its_own_version() -> None:
    with pytest.raises(InvalidResource, match="use v1"):
        load_resource(document(SERVICE.replace("v1", "projectcalico.org/v3", 1)))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("addressType: IPv4", "addressType: IPv6", "endpoints[0].addresses[0]: '10.65.0.1' is not valid"),
        ("addressType: IPv4", "addressType: ip", "addressType: 'ip' is not valid (one of IPv4, IPv6, FQDN)"),
        ("[10.65.0.1]", "[10.65.0.0/24]", "endpoints[0].addresses[0]: '10.65.0.0/24' is not valid"),
        ("[10.65.0.1]", "[]", "endpoints[0].addresses: is required"),
        ("port: 8080", "port: 80800", "ports[0].port: 80800 is not valid"),
        ("protocol: TCP", "protocol: tcp", "ports[0].protocol: 'tcp' is not valid (one of TCP, UDP, SCTP)"),
    ],
)
def test_what_would_have_no_effect_is_refused(old: str, new: str, problem: str) -> None:
    slice = load_resource(document(SLICE.replace(old, new)))
    assert isinstance(slice, EndpointSlice)
    (found,) = problems(slice, lambda text: None)
    assert problem in str(found)


def test_names_of_hosts_are_addresses_of_their_type() -> None:
    text = SLICE.replace("addressType: IPv4", "addressType: FQDN").replace("[10.65.0.1]", "[web.example]")
    assert problems(load_resource(document(text)), lambda text: None) == []
