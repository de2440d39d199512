"""Any history of any resources leads to what a fresh calculation gives for the last contents."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.api.endpointslice import SERVICE_LABEL, Backend, BackendPort, EndpointSlice
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.hostendpoint import NamedPort as HostPort
from tortie.api.ipam import BlockAffinity, BlockAttribute, IPAMBlock
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.livemigration import (
    LiveMigration,
    LiveMigrationSpec,
    MigrationSource,
    MigrationTarget,
    WorkloadIdentifier,
)
from tortie.api.networkset import GlobalNetworkSet, NetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeAddress, NodeBGP, NodeSpec, NodeStatus
from tortie.api.pod import Container, ContainerPort, Pod, PodSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import EntityRule, Rule, ServiceMatch
from tortie.api.stagedpolicy import (
    StagedGlobalNetworkPolicy,
    StagedGlobalNetworkPolicySpec,
    StagedNetworkPolicy,
    StagedNetworkPolicySpec,
)
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import IPNAT, EndpointPort, QoSControls, WorkloadEndpoint, WorkloadEndpointSpec

Update = tuple[ResourceKey, Resource | BlockAffinity | IPAMBlock | None]

SELECTORS = st.sampled_from(
    [
        *("", "all()", "a == 'x'", "a != 'x'", "has(b)", "!has(b)", "b in {'x', 'y'}", "a contains 'x' || b == 'y'"),
        *("has(tortie/node) && a != 'x'", "((("),
    ]
)
NAMESPACES = st.sampled_from(["n1", "n2"])
LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
SHORT_NAMES = st.sampled_from(["p", "q"])
PREFIXES = st.lists(
    st.sampled_from(["10.0.0.1/32", "10.0.0.0/24", "fd00::1/128", "fd00::/64", "0.0.0.0/0"]), max_size=2
)


def metadata(name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Metadata:
    return Metadata(name=name, namespace=namespace, labels=labels or {})


ENTITIES = st.builds(
    EntityRule,
    selector=SELECTORS,
    namespace_selector=st.sampled_from(["", "", "all()", "global()", "team == 'x'"]),
    not_selector=SELECTORS.filter(lambda text: text != "((("),
    nets=PREFIXES.map(tuple),
    ports=st.lists(st.sampled_from(["http", "dns", 80, "90:99"]), max_size=2).map(tuple),
    services=st.sampled_from([None, None, ServiceMatch(name="s"), ServiceMatch(name="t", namespace="n1")]),
)
RULES = st.lists(
    st.builds(
        Rule,
        action=st.sampled_from(["Allow", "Deny", "Pass", "Log"]),
        protocol=st.sampled_from([None, "TCP", "UDP", "ICMP"]),
        source=ENTITIES,
        destination=ENTITIES,
    ),
    max_size=2,
).map(tuple)
TYPES = st.sampled_from([(), ("Ingress",), ("Egress",), ("Ingress", "Egress")])
POLICY_FIELDS = {
    "selector": SELECTORS,
    "tier": st.sampled_from(["", "t"]),
    "order": st.sampled_from([None, 1.0, 2.0]),
    "types": TYPES,
    "ingress": RULES,
    "egress": RULES,
}
STAGED_ACTIONS = st.sampled_from(["", "Set", "Delete", "Learn", "Ignore"])
ADDRESSES = st.lists(
    st.sampled_from(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "fd00::1/128"]), max_size=2, unique=True
).map(tuple)
PORTS = st.lists(
    st.builds(
        EndpointPort,
        name=st.sampled_from(["http", "dns"]),
        protocol=st.sampled_from(["TCP", "UDP"]),
        port=st.sampled_from([53, 80]),
    ),
    max_size=2,
).map(tuple)
FLOATING = st.builds(
    IPNAT,
    internal_ip=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    external_ip=st.sampled_from(["192.0.2.1", "192.0.2.2", "fd00::9"]),
)
PROTOCOLS = st.sampled_from(["", "TCP", "UDP", "nonsense"])
CONTAINER_PORTS = st.lists(
    st.builds(
        ContainerPort,
        name=st.sampled_from(["", "http", "dns"]),
        protocol=PROTOCOLS,
        container_port=st.sampled_from([53, 80, 70_000]),
    ),
    max_size=2,
).map(tuple)
BACKENDS = st.lists(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "nonsense"]), min_size=1, max_size=2
).map(tuple)
PROFILES = st.sampled_from(["kns.n1", "kns.n2", "q", "ksa.n1.q", "projectcalico-default-allow"])

RESOURCES = st.one_of(
    st.builds(
        WorkloadEndpoint,
        metadata=st.builds(metadata, st.sampled_from(["e1", "e2", "e3"]), NAMESPACES, LABELS),
        spec=st.builds(
            WorkloadEndpointSpec,
            node=st.sampled_from(["here", "here", "there"]),
            interface_name=st.sampled_from(["cali1", "cali2", "cali3", ""]),
            ip_networks=ADDRESSES,
            profiles=st.lists(PROFILES, max_size=2).map(tuple),
            ports=PORTS,
            ip_nats=st.lists(FLOATING, max_size=2).map(tuple),
            qos_controls=st.sampled_from([None, None, QoSControls(dscp="EF"), QoSControls(dscp="nonsense")]),
            orchestrator=st.sampled_from(["k8s", "k8s", "cni"]),
            pod=SHORT_NAMES,
        ),
    ),
    st.builds(
        HostEndpoint,
        metadata=st.builds(metadata, st.sampled_from(["h1", "h2"]), st.just(""), LABELS),
        spec=st.builds(
            HostEndpointSpec,
            node=st.sampled_from(["here", "here", "there"]),
            interface_name=st.sampled_from(["eth0", "eth0", "*", ""]),
            expected_ips=st.lists(st.sampled_from(["10.0.0.1", "fd00::1", "nonsense"]), max_size=2).map(tuple),
            profiles=st.lists(PROFILES, max_size=2).map(tuple),
            ports=st.lists(
                st.builds(HostPort, name=st.just("http"), protocol=st.just("TCP"), port=st.sampled_from([53, 80])),
                max_size=1,
            ).map(tuple),
        ),
    ),
    st.builds(
        Pod,
        metadata=st.builds(metadata, SHORT_NAMES, NAMESPACES, LABELS),
        spec=st.builds(
            PodSpec,
            service_account_name=st.sampled_from(["", "q"]),
            containers=st.lists(st.builds(Container, ports=CONTAINER_PORTS), max_size=1).map(tuple),
        ),
    ),
    st.builds(
        EndpointSlice,
        metadata=st.builds(
            metadata, SHORT_NAMES, NAMESPACES, st.sampled_from([{}, {SERVICE_LABEL: "s"}, {SERVICE_LABEL: "t"}])
        ),
        address_type=st.sampled_from(["IPv4", "FQDN"]),
        endpoints=st.lists(st.builds(Backend, addresses=BACKENDS), max_size=2).map(tuple),
        ports=st.lists(
            st.builds(BackendPort, protocol=PROTOCOLS, port=st.sampled_from([None, 53, 80, 70_000])), max_size=2
        ).map(tuple),
    ),
    st.builds(
        NetworkPolicy,
        metadata=st.builds(metadata, SHORT_NAMES, NAMESPACES),
        spec=st.builds(NetworkPolicySpec, **POLICY_FIELDS),
    ),
    st.builds(
        GlobalNetworkPolicy,
        metadata=st.builds(metadata, SHORT_NAMES),
        spec=st.builds(
            GlobalNetworkPolicySpec,
            **POLICY_FIELDS,
            do_not_track=st.sampled_from([False, False, True]),
            pre_dnat=st.sampled_from([False, False, True]),
            apply_on_forward=st.booleans(),
        ),
    ),
    st.builds(
        StagedNetworkPolicy,
        metadata=st.builds(metadata, SHORT_NAMES, NAMESPACES),
        spec=st.builds(StagedNetworkPolicySpec, **POLICY_FIELDS, staged_action=STAGED_ACTIONS),
    ),
    st.builds(
        StagedGlobalNetworkPolicy,
        metadata=st.builds(metadata, SHORT_NAMES),
        spec=st.builds(
            StagedGlobalNetworkPolicySpec,
            **POLICY_FIELDS,
            staged_action=STAGED_ACTIONS,
            pre_dnat=st.sampled_from([False, False, True]),
        ),
    ),
    st.builds(
        Profile,
        metadata=st.builds(metadata, PROFILES),
        spec=st.builds(
            ProfileSpec,
            ingress=RULES,
            labels_to_apply=st.dictionaries(st.sampled_from(["a", "pcns.team"]), st.sampled_from("xy")),
        ),
    ),
    st.builds(
        NetworkSet,
        metadata=st.builds(metadata, SHORT_NAMES, NAMESPACES, LABELS),
        spec=st.builds(NetworkSetSpec, nets=PREFIXES.map(tuple)),
    ),
    st.builds(
        GlobalNetworkSet,
        metadata=st.builds(metadata, SHORT_NAMES, st.just(""), LABELS),
        spec=st.builds(NetworkSetSpec, nets=PREFIXES.map(tuple)),
    ),
    st.builds(
        Tier,
        metadata=st.builds(metadata, st.just("t")),
        spec=st.builds(
            TierSpec, order=st.sampled_from([None, 1.0, 2e7]), default_action=st.sampled_from([None, "Pass"])
        ),
        status=st.just(TierStatus()),
    ),
    st.builds(
        Node,
        metadata=st.builds(metadata, st.sampled_from(["here", "there"])),
        spec=st.builds(
            NodeSpec,
            bgp=st.builds(
                NodeBGP, ipv4_address=st.sampled_from(["10.9.0.1/24", "10.9.0.2/24", "10.0.0.1/8", "", "nonsense"])
            ),
            ipv4_vxlan_tunnel_addr=st.sampled_from(["", "10.8.0.1", "10.0.0.0"]),
            addresses=st.sampled_from([(), (NodeAddress(address="10.7.0.1", type="InternalIP"),)]),
        ),
        status=st.builds(NodeStatus, wireguard_public_key=st.sampled_from(["", "", "key"])),
    ),
    st.builds(
        LiveMigration,
        metadata=st.builds(metadata, SHORT_NAMES, NAMESPACES),
        spec=st.builds(
            LiveMigrationSpec,
            source=st.builds(
                MigrationSource,
                workload=st.builds(
                    WorkloadIdentifier,
                    hostname=st.sampled_from(["here", "there"]),
                    orchestrator_id=st.just("k8s"),
                    workload_id=st.sampled_from(["n1/p", "n2/q"]),
                ),
            ),
            target=st.builds(MigrationTarget, selector=SELECTORS),
        ),
    ),
    st.builds(
        IPPool,
        metadata=st.builds(metadata, SHORT_NAMES),
        spec=st.builds(
            IPPoolSpec,
            cidr=st.sampled_from(["10.0.0.0/16", "10.0.0.0/24", "fd00::/64", "nonsense"]),
            ipip_mode=st.sampled_from(["", "Always", "CrossSubnet"]),
            vxlan_mode=st.sampled_from(["", "Never", "Always", "CrossSubnet"]),
            nat_outgoing=st.booleans(),
            allowed_uses=st.sampled_from([(), ("Workload", "Tunnel"), ("LoadBalancer",)]),
        ),
    ),
)
AFFINITIES = st.tuples(
    st.builds(ResourceKey, st.just("BlockAffinity"), st.sampled_from(["here", "there"]), st.just("10.1.0.0/26")),
    st.one_of(st.none(), st.builds(BlockAffinity, state=st.sampled_from(["confirmed", "pending"]))),
)
ATTRIBUTES = tuple(BlockAttribute(secondary={"node": name}) for name in ("here", "there", ""))
BLOCKS = st.tuples(
    st.builds(ResourceKey, st.just("IPAMBlock"), st.just(""), st.just("10.0.0.0/30")),
    st.one_of(
        st.none(),
        st.builds(
            IPAMBlock,
            cidr=st.just("10.0.0.0/30"),
            affinity=st.sampled_from([None, "host:here", "host:there", "virtual:load-balancer"]),
            allocations=st.tuples(*[st.sampled_from([None, 0, 1, 2, 9])] * 4),
            attributes=st.just(ATTRIBUTES),
            deleted=st.sampled_from([False, False, False, True]),
        ),
    ),
)
UPDATES = st.one_of(
    BLOCKS,
    RESOURCES.map(lambda resource: (resource.key, resource)),
    RESOURCES.map(lambda resource: (resource.key, resource)),
    RESOURCES.map(lambda resource: (resource.key, None)),
    AFFINITIES,
)
HISTORIES = st.lists(st.lists(UPDATES, max_size=6), max_size=6)


@given(HISTORIES, st.randoms(use_true_random=False))
@settings(max_examples=settings.default.max_examples * 3)
def test_any_history_ends_like_a_fresh_start(
    new_world,
    history: list[list[Update]],
    order: random.Random,  # type: ignore[no-untyped-def]
) -> None:
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

    for key in contents:
        world.calculation.update(key, None)
    world.flush()
    assert world.calculation.is_empty()
