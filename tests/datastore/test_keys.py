"""Keys are etcd's, and every key reads back."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.kinds import KINDS
from tortie.api.resource import ResourceKey
from tortie.datastore import keys

SEGMENTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
KIND_NAMES = st.sampled_from(sorted(KINDS))


@st.composite
def networks(draw: st.DrawFn) -> str:
    version = draw(st.sampled_from((4, 6)))
    bits = 32 if version == 4 else 128
    address = draw(st.integers(0, 2**bits - 1))
    length = draw(st.integers(0, bits))
    packed = (address >> (bits - length) << (bits - length)).to_bytes(bits // 8, "big")
    return f"{ipaddress.ip_address(packed)}/{length}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (ResourceKey("IPPool", "", "pool-a"), "/calico/resources/v3/projectcalico.org/ippools/pool-a"),
        (
            ResourceKey("NetworkPolicy", "shop", "allow-web"),
            "/calico/resources/v3/projectcalico.org/networkpolicies/shop/allow-web",
        ),
        (
            ResourceKey("WorkloadEndpoint", "shop", "n--1-k8s-web-eth0"),
            "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/n--1-k8s-web-eth0",
        ),
        (ResourceKey("Service", "shop", "web"), "/tortie/kubernetes/v1/services/shop/web"),
        (ResourceKey("EndpointSlice", "shop", "web-x"), "/tortie/kubernetes/v1/endpointslices/shop/web-x"),
        (ResourceKey("Pod", "shop", "web-0"), "/tortie/kubernetes/v1/pods/shop/web-0"),
        (ResourceKey("IPAMBlock", "", "10.65.1.64/26"), "/calico/ipam/v2/assignment/ipv4/block/10.65.1.64-26"),
        (ResourceKey("IPAMBlock", "", "fd00:65::/122"), "/calico/ipam/v2/assignment/ipv6/block/fd00:65::-122"),
        (ResourceKey("IPAMBlock", "", "::/0"), "/calico/ipam/v2/assignment/ipv6/block/::-0"),
        (ResourceKey("BlockAffinity", "n-1", "10.0.0.0/26"), "/calico/ipam/v2/host/n-1/ipv4/block/10.0.0.0-26"),
        (
            ResourceKey("BlockAffinity", "virtual:load-balancer", "10.0.0.0/26"),
            "/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.0.0.0-26",
        ),
        (ResourceKey("IPAMHandle", "", "k8s-pod-network.3fa9c1"), "/calico/ipam/v2/handle/k8s-pod-network.3fa9c1"),
        (ResourceKey("IPAMConfig", "", "default"), "/calico/ipam/v2/config"),
    ],
)
def test_keys_are_those_of_etcd(key: ResourceKey, text: str) -> None:
    assert keys.stored_key(key) == text
    assert keys.parse_key(text) == key


@given(SEGMENTS)
def test_escaping_is_undone_and_leaves_no_slash(segment: str) -> None:
    assert "/" not in keys.escape(segment)
    assert keys.unescape(keys.escape(segment)) == segment


@given(KIND_NAMES, SEGMENTS, SEGMENTS)
def test_every_resource_key_reads_back(kind: str, namespace: str, name: str) -> None:
    key = ResourceKey(kind, namespace if KINDS[kind].namespaced else "", name)
    text = keys.resource_key(key)
    assert keys.parse_resource_key(text) == key
    assert text.startswith(keys.resource_prefix(kind, key.namespace or None))


@given(networks(), HOSTS)
def test_every_block_and_affinity_key_reads_back(cidr: str, host: str) -> None:
    for key in (
        ResourceKey("IPAMBlock", "", cidr),
        ResourceKey("BlockAffinity", host, cidr),
        ResourceKey("BlockAffinity", keys.VIRTUAL_OWNER + host, cidr),
    ):
        parsed = keys.parse_key(keys.stored_key(key))
        assert parsed is not None
        assert (parsed.kind, parsed.namespace) == (key.kind, key.namespace)
        assert ipaddress.ip_network(parsed.name) == ipaddress.ip_network(cidr)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(keys.IPAM_PREFIXES)))
def test_a_kind_is_streamed_from_its_own_prefix(kind: str) -> None:
    assert keys.stream_prefixes(kind) == (keys.resource_prefix(kind),)


def test_affinities_are_streamed_from_hosts_and_virtual_owners() -> None:
    assert keys.stream_prefixes("BlockAffinity") == ("/calico/ipam/v2/host/", "/calico/ipam/v2/virtual/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/calico",
        "/calico/resources/v3/projectcalico.org/",
        "/calico/resources/v3/projectcalico.org/unheardof/a",
        "/calico/resources/v3/projectcalico.org/pods/a/b",
        "/tortie/kubernetes/v1/ippools/a",
        "/tortie/kubernetes/v1/pods/a",
        "/tortie/kubernetes/v1/",
        "/calico/resources/v3/projectcalico.org/ippools/",
        "/calico/resources/v3/projectcalico.org/ippools/a/b",
        "/calico/resources/v3/projectcalico.org/networkpolicies/a",
        "/calico/resources/v3/projectcalico.org/networkpolicies/a/b/c",
        "/calico/ipam/v2/host/n1",
        "/calico/ipam/v2/host//ipv4/block/10.0.0.0-26",
        "/calico/ipam/v2/host/n1/ipv6/block/10.0.0.0-26",
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.1-26",
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-33",
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0",
        "/calico/ipam/v2/handle/",
        "/calico/ipam/v2/config2",
        "/calico/felix/v2/no-region/host/n1/status",
    ],
)
def test_what_is_not_a_key_of_ours_names_nothing(text: str) -> None:
    assert keys.parse_key(text) is None


@given(st.text(max_size=60))
def test_no_text_at_all_confuses_the_parser(text: str) -> None:
    for root in ("", keys.RESOURCE_ROOT, keys.BLOCK_PREFIX, keys.HOST_AFFINITY_PREFIX, keys.VIRTUAL_AFFINITY_PREFIX):
        key = keys.parse_key(root + text)
        assert key is None or keys.parse_key(keys.stored_key(key)) == key
