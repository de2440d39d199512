"""Stored bytes are etcd's; whatever another writer stored can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api import codec
from tortie.api.ipam import BlockAffinity, BlockAttribute, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.api.kinds import KINDS
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.resource import Metadata, Resource
from tortie.base.errors import InvalidResource

POOL = (
    b'{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"pool-a",'
    b'"uid":"5f0c2b52-5b53-4c0a-9f7e-0b6a3f6f2d11","creationTimestamp":"2026-08-23T09:00:00Z"},'
    b'"spec":{"cidr":"10.65.0.0/16","vxlanMode":"Never","ipipMode":"Always","natOutgoing":true,"blockSize":26,'
    b'"nodeSelector":"all()","allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic"}}'
)
POLICY = (
    b'{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"allow-web","namespace":"shop",'
    b'"uid":"u","creationTimestamp":"2026-08-23T09:01:00Z","labels":{"projectcalico.org/tier":"default"},'
    b'"annotations":{"projectcalico.org/metadata":"{\\"name\\":\\"allow-web\\"}"}},"spec":{"tier":"default",'
    b'"order":100,"ingress":[{"action":"Allow","protocol":"TCP","source":{"selector":"role == \'lb\' '
    b'\\u0026\\u0026 env == \'x\'"},"destination":{"ports":[80,"8000:8010"]}}],'
    b'"selector":"app == \'web\'","types":["Ingress"]}}'
)
BLOCK = (
    b'{"cidr":"10.65.1.64/30","affinity":"host:n1","affinity_claim_time":"2026-08-23T09:02:11Z",'
    b'"allocations":[0,null,1,null],"unallocated":[1,3],"attributes":[{"handle_id":"k8s-pod-network.3fa9c1",'
    b'"secondary":{"namespace":"shop","node":"n1","pod":"web-0"}},{"releasedAt":"2026-08-23T09:05:00Z"}],'
    b'"sequenceNumber":1787475731402000003,"sequenceNumberForAllocation":{"0":1787475731402000001,'
    b'"2":1787475731402000002},"deleted":false}'
)


@pytest.mark.parametrize(("kind", "stored"), [("IPPool", POOL), ("NetworkPolicy", POLICY)])
def test_stored_bytes_come_back_unchanged(kind: str, stored: bytes) -> None:
    assert codec.encode(codec.decode(kind, stored)) == stored


@pytest.mark.parametrize(
    ("kind", "spec", "stored"),
    [
        ("Tier", {"order": 10.0}, b'"spec":{"order":10},"status":{}}'),
        ("Node", {"orchRefs": [{}]}, b'"spec":{"orchRefs":[{"orchestrator":""}]},"status":{}}'),
        ("Profile", {}, b'"spec":{}}'),
        ("Profile", {"labelsToApply": {"b": "1", "B": "2", "a": "3"}}, b'{"labelsToApply":{"B":"2","a":"3","b":"1"}}}'),
        (
            "Profile",
            {"egress": [{"action": "Deny", "source": {}, "destination": {}}]},
            b'{"egress":[{"action":"Deny"}]}}',
        ),
        (
            "WorkloadEndpoint",
            {"ports": [{"name": "p", "protocol": "TCP", "port": 1}]},
            b'"ports":[{"name":"p","protocol":"TCP","port":1,"hostPort":0,"hostIP":""}]}}',
        ),
        ("WorkloadEndpoint", {"ipNATs": [{}]}, b'"ipNATs":[{"internalIP":"","externalIP":""}]}}'),
        ("BGPPeer", {"password": {"secretKeyRef": {}}}, b'"password":{"secretKeyRef":{"key":""}}}}'),
        ("BGPConfiguration", {"nodeToNodeMeshEnabled": False}, b'"spec":{"nodeToNodeMeshEnabled":false}}'),
    ],
)
def test_what_is_always_stored_and_what_never(kind: str, spec: dict[str, object], stored: bytes) -> None:
    resource = codec.decode(kind, msgspec.json.encode({"metadata": {"name": "n"}, "spec": spec}))
    assert codec.encode(resource).endswith(stored)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1000.0, "1000"),
        (0.5, "0.5"),
        (-1.0, "-1"),
        (0.0, "0"),
        (-0.0, "0"),
        (1e6, "1000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e22, "1.5e+22"),
        (0.000001, "0.000001"),
        (1.25e-7, "1.25e-7"),
        (1e-10, "1e-10"),
        (123456789.125, "123456789.125"),
    ],
)
def test_numbers_have_the_shortest_form(value: float, text: str) -> None:
    assert codec.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back(value: float) -> None:
    assert float(codec.number(value)) == value


def test_revision_and_self_link_are_not_stored_but_shown() -> None:
    policy = NetworkPolicy(metadata=Metadata(name="n", namespace="a", resource_version="7", self_link="/x"))
    assert b"resourceVersion" not in codec.encode(policy)
    assert b"selfLink" not in codec.encode(policy)
    assert codec.to_mapping(policy) == {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": "n", "namespace": "a", "resourceVersion": "7", "selfLink": "/x"},
        "spec": {},
    }


def test_people_see_plain_text_and_whole_numbers() -> None:
    shown = codec.to_json(codec.decode("NetworkPolicy", POLICY))
    assert b"role == 'lb' && env == 'x'" in shown
    assert b'"order":100,' in shown
    assert codec.NAME_ANNOTATION.encode() not in shown


@pytest.mark.parametrize(
    ("metadata", "tier", "name"),
    [
        ('{"name":"default.web"}', "", "web"),
        ('{"name":"default.web"}', "default", "web"),
        ('{"name":"ops.web"}', "ops", "ops.web"),
        ('{"name":"default.web"}', "ops", "default.web"),
        (r'{"name":"x","annotations":{"projectcalico.org/metadata":"{\"name\":\"default.web\"}"}}', "", "default.web"),
    ],
)
def test_policy_names_of_every_writer(metadata: str, tier: str, name: str) -> None:
    policy = codec.decode("GlobalNetworkPolicy", f'{{"metadata":{metadata},"spec":{{"tier":"{tier}"}}}}'.encode())
    assert policy.metadata.name == name
    assert policy.metadata.annotations == {}


def test_other_kinds_keep_the_annotation_and_the_prefix() -> None:
    pool = codec.decode("IPPool", b'{"metadata":{"name":"default.x","annotations":{"projectcalico.org/metadata":"?"}}}')
    assert (pool.metadata.name, len(pool.metadata.annotations)) == ("default.x", 1)


def test_nulls_and_unknown_fields_are_ignored() -> None:
    stored = (
        b'{"kind":"GlobalNetworkPolicy","metadata":{"name":"n","creationTimestamp":null,"labels":null},'
        b'"spec":{"future":1,"selector":null,"ingress":[{"action":"Allow","source":null,"destination":{}}]},"more":2}'
    )
    policy = codec.decode("GlobalNetworkPolicy", stored)
    assert isinstance(policy, GlobalNetworkPolicy)
    assert (policy.spec.selector, len(policy.spec.ingress)) == ("", 1)
    assert codec.decode("Tier", b'{"metadata":null,"spec":null,"status":null}').kind == "Tier"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"metadata":{"name":"\xff"}}',
        b'{"metadata":{"name":1}}',
        b'{"spec":{"order":"x"}}',
        b"[" * 100_000,
        b'{"spec":{"order":1e999}}',
        b'{"metadata":{"annotations":{"projectcalico.org/metadata":"x"}}}',
    ],
)
def test_broken_bytes_are_an_invalid_resource(data: bytes) -> None:
    with pytest.raises(InvalidResource):
        codec.decode("NetworkPolicy", data)


@given(st.sampled_from(sorted(KINDS)), st.binary() | st.text().map(str.encode))
def test_no_bytes_raise_anything_else(kind: str, data: bytes) -> None:
    try:
        codec.decode(kind, data)
    except InvalidResource:
        return


def test_an_unknown_kind_is_an_invalid_resource() -> None:
    with pytest.raises(InvalidResource):
        codec.decode("Deployment", b"{}")


def test_text_without_utf8_form_is_refused() -> None:
    with pytest.raises(InvalidResource):
        codec.encode(NetworkPolicy(metadata=Metadata(name="\ud800")))


def test_text_that_looks_like_an_empty_side_survives() -> None:
    labels = {"a": ',"source":{}', "b": "<&>\u2028\u2029"}
    policy = NetworkPolicy(metadata=Metadata(name="n", labels=labels))
    assert codec.decode("NetworkPolicy", codec.encode(policy)) == policy


def named(resource: Resource) -> Resource:
    """What a datastore can hold: no revision, and no name annotation of the user's own."""
    metadata = msgspec.structs.replace(
        resource.metadata,
        resource_version="",
        self_link="",
        name=resource.metadata.name or "n",
        annotations={k: v for k, v in resource.metadata.annotations.items() if k != codec.NAME_ANNOTATION},
    )
    return msgspec.structs.replace(resource, metadata=metadata)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_resource_survives_storage(kind: str, instances: Callable[[type], st.SearchStrategy[Any]]) -> None:
    @settings(max_examples=settings.default.max_examples // 2)
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        resource = named(data.draw(instances(KINDS[kind])))
        stored = codec.encode(resource)
        again = codec.decode(kind, stored)
        assert again == resource
        assert codec.encode(again) == stored

    survives()


def test_a_block_comes_back_unchanged() -> None:
    block = codec.decode_value(IPAMBlock, BLOCK)
    assert block.sequence_number == 1787475731402000003
    assert codec.encode_value(block) == BLOCK


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (BlockAffinity("confirmed"), b'{"state":"confirmed","deleted":false}'),
        (
            IPAMHandle({"10.65.1.64/26": 2, "10.65.0.0/26": 1}),
            b'{"block":{"10.65.0.0/26":1,"10.65.1.64/26":2},"deleted":false}',
        ),
        (IPAMConfig(strict_affinity=True), b'{"strict_affinity":true}'),
        (BlockAttribute(), b"{}"),
    ],
)
def test_values_of_address_management(value: msgspec.Struct, stored: bytes) -> None:
    assert codec.encode_value(value) == stored
    assert codec.decode_value(type(value), stored) == value


def test_an_empty_affinity_has_no_state() -> None:
    assert codec.decode_value(BlockAffinity, b"") == BlockAffinity()


def test_old_blocks_without_attributes_or_owner_are_read() -> None:
    old = b'{"cidr":"10.0.0.0/30","affinity":null,"allocations":[null],"unallocated":null,"attributes":null}'
    assert codec.decode_value(IPAMBlock, old).attributes is None


def test_a_broken_value_is_an_invalid_resource() -> None:
    with pytest.raises(InvalidResource):
        codec.decode_value(IPAMBlock, b"{}")
