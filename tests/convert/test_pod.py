"""Pods as workload endpoints: who has one, its name, labels, addresses and ports; nothing that a pod may not choose."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.codec import decode, encode
from tortie.api.pod import Container, ContainerPort, Pod, PodIP, PodSpec, PodStatus
from tortie.api.resource import Metadata
from tortie.api.workloadendpoint import IPNAT, EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.errors import InvalidResource
from tortie.convert.pod import workload_endpoint

CNI = "cni.projectcalico.org/"


def pod(
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    status: PodStatus | None = None,
    deleted: bool = False,
    **spec: Any,
) -> Pod:
    metadata = Metadata(
        name="web",
        namespace="shop",
        labels=labels or {},
        annotations=annotations or {},
        deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None,
    )
    return Pod(metadata=metadata, spec=PodSpec(**{"node_name": "n1"} | spec), status=status or PodStatus())


def endpoint(given: Pod, *warned: str) -> WorkloadEndpoint:
    converted = workload_endpoint(given)
    assert converted is not None
    assert len(converted.warnings) == len(warned)
    assert all(part in str(warning) for part, warning in zip(warned, converted.warnings, strict=True))
    assert isinstance(converted.resource, WorkloadEndpoint)
    return converted.resource


def spec_of(given: Pod, *warned: str) -> WorkloadEndpointSpec:
    return endpoint(given, *warned).spec


@pytest.mark.parametrize("spec", [{"host_network": True}, {"node_name": ""}])
def test_pods_of_the_hosts_network_and_of_no_host_have_none(spec: dict[str, Any]) -> None:
    assert workload_endpoint(pod(**spec)) is None


def test_the_name_says_where_and_what_and_the_interface_has_its_hash() -> None:
    found = endpoint(pod())
    assert str(found.key) == "WorkloadEndpoint shop/n1-k8s-web-eth0"
    assert found.spec.interface_name == "cali551b05c3e54"
    other = workload_endpoint(pod(), interface_prefix="tap")
    assert other is not None
    assert isinstance(other.resource, WorkloadEndpoint)
    assert other.resource.spec.interface_name == "tap551b05c3e54"


def test_identity_is_the_pods() -> None:
    metadata = msgspec.structs.replace(
        pod().metadata, uid="u", resource_version="7", generate_name="web-", creation_timestamp="2026-01-01T00:00:00Z"
    )
    found = endpoint(msgspec.structs.replace(pod(), metadata=metadata)).metadata
    assert (found.uid, found.resource_version, found.generate_name) == ("u", "7", "web-")
    assert found.creation_timestamp == metadata.creation_timestamp


def test_a_service_account_gives_a_profile_and_a_label() -> None:
    found = endpoint(pod(service_account_name="till"))
    assert found.spec.profiles == ("kns.shop", "ksa.shop.till")
    assert found.metadata.labels["projectcalico.org/serviceaccount"] == "till"


@pytest.mark.parametrize(("length", "labelled"), [(62, True), (63, False)])
def test_a_long_name_of_a_service_account_gives_no_label(length: int, labelled: bool) -> None:
    found = endpoint(pod(service_account_name="a" * length))
    assert ("projectcalico.org/serviceaccount" in found.metadata.labels) is labelled
    assert found.spec.profiles[1] == f"ksa.shop.{'a' * length}"


@pytest.mark.parametrize("account", ["", "a" * 63, "till"])
def test_a_pod_cannot_say_where_it_belongs(account: str) -> None:
    chosen = {
        "projectcalico.org/namespace": "other",
        "projectcalico.org/orchestrator": "other",
        "projectcalico.org/serviceaccount": "other",
        "pcns.team": "other",
        "pcsa.team": "other",
        "app": "web",
    }
    labels = endpoint(pod(labels=chosen, service_account_name=account)).metadata.labels
    assert "other" not in labels.values()
    assert labels["app"] == "web"


@pytest.mark.parametrize(
    ("status", "annotations", "networks"),
    [
        (PodStatus(pod_ip="10.0.0.1"), {}, ["10.0.0.1/32"]),
        (PodStatus(pod_ip="10.0.0.1", pod_ips=(PodIP(ip="10.0.0.2"),)), {}, ["10.0.0.2/32"]),
        (PodStatus(pod_ip="10.0.0.1"), {f"{CNI}podIP": "10.0.0.2/32"}, ["10.0.0.1/32"]),
        (PodStatus(), {f"{CNI}podIP": "10.0.0.1", f"{CNI}podIPs": "10.0.0.2, fd00::2"}, ["10.0.0.2/32", "fd00::2/128"]),
        (PodStatus(), {f"{CNI}podIP": "10.0.0.1/32", "vpc.amazonaws.com/pod-ips": "10.0.0.3"}, ["10.0.0.1/32"]),
        (PodStatus(), {"vpc.amazonaws.com/pod-ips": "10.0.0.3"}, ["10.0.0.3/32"]),
        (PodStatus(), {}, []),
    ],
)
def test_addresses_are_those_of_the_first_place_that_has_any(
    status: PodStatus, annotations: dict[str, str], networks: list[str]
) -> None:
    assert list(spec_of(pod(annotations, status=status)).ip_networks) == networks


@pytest.mark.parametrize(
    ("phase", "deleted", "annotations", "has_addresses"),
    [
        ("Running", False, {}, True),
        ("Succeeded", False, {}, False),
        ("Failed", False, {}, False),
        ("Running", True, {}, True),
        ("Running", True, {f"{CNI}podIP": ""}, False),
        ("Running", False, {f"{CNI}podIP": ""}, True),
        ("Running", True, {f"{CNI}podIP": "10.0.0.1/32"}, True),
    ],
)
def test_a_finished_pod_owns_no_address(
    phase: str, deleted: bool, annotations: dict[str, str], has_addresses: bool
) -> None:
    given = pod(annotations, status=PodStatus(phase=phase, pod_ip="10.0.0.1"), deleted=deleted)
    assert bool(spec_of(given).ip_networks) is has_addresses


def test_an_unreadable_address_is_an_error() -> None:
    with pytest.raises(InvalidResource, match="Pod shop/web"):
        workload_endpoint(pod(status=PodStatus(pod_ip="here")))


def test_floating_addresses_lead_to_the_first_of_their_family() -> None:
    own = PodStatus(pod_ips=(PodIP(ip="10.0.0.1"), PodIP(ip="10.0.0.2"), PodIP(ip="fd00::1")))
    given = pod({f"{CNI}floatingIPs": '["192.0.2.1", "2001:db8::1"]'}, status=own)
    assert spec_of(given).ip_nats == (
        IPNAT(internal_ip="10.0.0.1", external_ip="192.0.2.1"),
        IPNAT(internal_ip="fd00::1", external_ip="2001:db8::1"),
    )


def test_a_floating_address_without_one_of_its_family_is_left_out_and_told() -> None:
    given = pod({f"{CNI}floatingIPs": '["2001:db8::1"]'}, status=PodStatus(pod_ip="10.0.0.1"))
    assert spec_of(given, "no IPv6 address for 2001:db8::1").ip_nats == ()


@pytest.mark.parametrize("name", ["floatingIPs", "allowedSourcePrefixes"])
@pytest.mark.parametrize("text", ["[", "10.0.0.1", '["here"]', "[1]", '{"a": 1}'])
def test_lists_that_cannot_be_read_are_left_out_and_told(name: str, text: str) -> None:
    spec = spec_of(pod({CNI + name: text}), f"{CNI}{name} cannot be read")
    assert (spec.ip_nats, spec.allow_spoofed_source_prefixes) == ((), ())


def test_ports_have_a_name_or_are_open_on_the_host() -> None:
    ports = (
        ContainerPort(name="http", container_port=80),
        ContainerPort(container_port=81),
        ContainerPort(container_port=82, host_port=8082, host_ip="192.0.2.1", protocol="UDP"),
        ContainerPort(name="odd", container_port=83, protocol="ICMP"),
        ContainerPort(name="none", container_port=0),
    )
    first = Container(ports=(ContainerPort(name="early", container_port=90, protocol="SCTP"),))
    assert spec_of(pod(containers=(Container(ports=ports),), init_containers=(first,))).ports == (
        EndpointPort("http", "TCP", 80),
        EndpointPort("", "UDP", 82, 8082, "192.0.2.1"),
        EndpointPort("early", "SCTP", 90),
    )


def test_the_container_and_the_state_of_other_networks_are_kept() -> None:
    status = "k8s.v1.cni.cncf.io/network-status"
    found = endpoint(pod({f"{CNI}containerID": "3fa9", status: "[]", "a": "b"}))
    assert found.spec.container_id == "3fa9"
    assert found.metadata.annotations == {status: "[]"}


def test_what_is_wrong_with_limits_is_told() -> None:
    given = pod({"qos.projectcalico.org/ingressBandwidth": "1"})
    controls = spec_of(given, "1 is not within 1000").qos_controls
    assert controls is not None
    assert controls.ingress_bandwidth == 1000


ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            *(CNI + each for each in ("podIP", "podIPs", "floatingIPs", "allowedSourcePrefixes", "containerID")),
            *(f"qos.projectcalico.org/{each}" for each in ("ingressBandwidth", "egressBurst", "dscp")),
        ]
    ),
    st.text(max_size=8) | st.sampled_from(["10.0.0.1", "fd00::1/128", '["10.0.0.1"]', "[]", "1M", "EF"]),
)


@given(ANNOTATIONS, st.booleans())
def test_whatever_annotations_say_the_endpoint_can_be_stored_or_the_pod_is_refused(
    annotations: dict[str, str], deleted: bool
) -> None:
    try:
        converted = workload_endpoint(pod(annotations, deleted=deleted))
    except InvalidResource:
        return
    assert converted is not None
    stored = decode(converted.resource.kind, encode(converted.resource))
    assert isinstance(stored, WorkloadEndpoint)
    assert stored.spec == converted.resource.spec
