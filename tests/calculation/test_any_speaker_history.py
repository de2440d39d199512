"""What the speaker shall do depends on the current resources only, however they came to be."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tortie.api.bgp import (
    BGPConfiguration,
    BGPConfigurationSpec,
    BGPPassword,
    BGPPeer,
    BGPPeerSpec,
    CidrEntry,
    PrefixAdvertisement,
    SecretKeyRef,
)
from tortie.api.bgpfilter import BGPFilter, BGPFilterSpec, FilterRuleV4
from tortie.api.endpointslice import SERVICE_LABEL, Backend, EndpointConditions, EndpointSlice
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeBGP, NodeSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.service import Service, ServiceSpec

Update = tuple[ResourceKey, Resource | None]


def metadata(name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Metadata:
    return Metadata(name=name, namespace=namespace, labels=labels or {})


LABELS = st.sampled_from([{}, {"rr": "1"}, {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}])
SELECTORS = st.sampled_from(["", "has(rr)", "all()", "((("])
RANGES = st.sampled_from([(), (CidrEntry(cidr="10.96.0.0/12"),), (CidrEntry(cidr="10.96.0.1/32"),)])
SECRETS = st.sampled_from([None, BGPPassword(secret_key_ref=SecretKeyRef(name="s", key="k"))])
AS_NUMBERS = st.sampled_from([None, 65001, "1.1", "nonsense"])

RESOURCES = st.one_of(
    st.builds(
        Node,
        metadata=st.builds(metadata, st.sampled_from(["here", "there", "other"]), labels=LABELS),
        spec=st.builds(
            NodeSpec,
            bgp=st.builds(
                NodeBGP,
                ipv4_address=st.sampled_from(["10.9.0.1/24", "10.9.0.2/24", "", "nonsense"]),
                ipv6_address=st.sampled_from(["fd00::1/64", ""]),
                as_number=AS_NUMBERS,
                route_reflector_cluster_id=st.sampled_from(["", "1.0.0.1", "x"]),
            ),
        ),
    ),
    st.builds(
        BGPConfiguration,
        metadata=st.builds(metadata, st.sampled_from(["default", "node.here", "node.there"])),
        spec=st.builds(
            BGPConfigurationSpec,
            as_number=AS_NUMBERS,
            node_to_node_mesh_enabled=st.sampled_from([None, False]),
            listen_port=st.sampled_from([0, 1179]),
            node_mesh_password=SECRETS,
            service_cluster_ips=RANGES,
            service_external_ips=RANGES,
            prefix_advertisements=st.sampled_from(
                [(), (PrefixAdvertisement(cidr="10.0.0.0/16", communities=("1:1", "x")),)]
            ),
        ),
    ),
    st.builds(
        BGPPeer,
        metadata=st.builds(metadata, st.sampled_from(["p1", "p2"])),
        spec=st.builds(
            BGPPeerSpec,
            node=st.sampled_from(["", "here"]),
            node_selector=SELECTORS,
            peer_ip=st.sampled_from(["", "10.9.0.1", "10.9.0.2:1179", "nonsense"]),
            peer_selector=SELECTORS,
            as_number=AS_NUMBERS,
            local_as_number=AS_NUMBERS,
            password=SECRETS,
            filters=st.sampled_from([(), ("f1",), ("f2", "f1")]),
        ),
    ),
    st.builds(
        BGPFilter,
        metadata=st.builds(metadata, st.sampled_from(["f1", "f2"])),
        spec=st.builds(
            BGPFilterSpec,
            import_v4=st.sampled_from([(), (FilterRuleV4(action="Reject"),), (FilterRuleV4(action="nonsense"),)]),
        ),
    ),
    st.builds(
        IPPool,
        metadata=st.builds(metadata, st.sampled_from(["a", "b"])),
        spec=st.builds(
            IPPoolSpec,
            cidr=st.sampled_from(["10.0.0.0/16", "fd00::/64", "nonsense"]),
            ipip_mode=st.sampled_from(["", "Always"]),
            disable_bgp_export=st.booleans(),
        ),
    ),
    st.builds(
        Service,
        metadata=st.builds(metadata, st.sampled_from(["s1", "s2"]), st.just("n")),
        spec=st.builds(
            ServiceSpec,
            cluster_ips=st.sampled_from([("10.96.0.1",), ("10.96.0.2",), ("None",), ("nonsense",)]),
            external_ips=st.sampled_from([(), ("10.96.0.1",)]),
            external_traffic_policy=st.sampled_from(["", "Local"]),
        ),
    ),
    st.builds(
        EndpointSlice,
        metadata=st.builds(
            metadata,
            st.sampled_from(["e1", "e2"]),
            st.just("n"),
            st.sampled_from([{SERVICE_LABEL: "s1"}, {SERVICE_LABEL: "s2"}, {}]),
        ),
        address_type=st.sampled_from(["IPv4", "IPv6", "FQDN"]),
        endpoints=st.lists(
            st.builds(
                Backend,
                node_name=st.sampled_from(["here", "there"]),
                conditions=st.builds(EndpointConditions, ready=st.sampled_from([None, True, False])),
            ),
            max_size=2,
        ).map(tuple),
    ),
)
UPDATES = st.one_of(
    RESOURCES.map(lambda resource: (resource.key, resource)),
    RESOURCES.map(lambda resource: (resource.key, resource)),
    RESOURCES.map(lambda resource: (resource.key, None)),
)


@given(history=st.lists(st.lists(UPDATES, max_size=8), max_size=6), order=st.randoms(use_true_random=False))
def test_any_history_ends_like_a_fresh_start(new_world, history: list[list[Update]], order: random.Random) -> None:
    world, contents = new_world(), {}
    for group in history:
        for key, value in group:
            world.calculation.update(key, value)
            contents[key] = value
        world.flush()

    fresh = new_world()
    for key, value in order.sample(sorted(contents.items(), key=lambda item: item[0]), len(contents)):
        fresh.calculation.update(key, value)
    fresh.flush()
    assert world.state == fresh.state
    assert world.calculation.problems.current == fresh.calculation.problems.current

    for key in contents:
        world.calculation.update(key, None)
    world.flush()
    assert world.calculation.is_empty()
