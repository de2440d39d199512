"""Published contents of a datastore and the desired state of one node: policies, order, sets."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tortie.api.endpointslice import EndpointSlice
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.ipam import IPAMBlock
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.livemigration import LiveMigration, LiveMigrationSpec, MigrationSource, MigrationTarget
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.node import Node, NodeSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import EntityRule, Rule, ServiceMatch
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.calculation.protocols import PROTOCOLS
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, Vtep, VtepId
from tortie.desired.endpoints import Migration
from tortie.desired.hosts import Tiers
from tortie.desired.state import DesiredState
from tortie.selector.parser import parse

DATA = json.loads((Path(__file__).parents[1] / "conformance" / "data" / "calculation.json").read_bytes())
NODE = "localhostname"
LABELS = "/calico/resources/v3/projectcalico.org/profiles/"
SLICES = "/calico/resources/v3/projectcalico.org/kubernetesendpointslices/"
BLOCKS = "/calico/ipam/v2/assignment/"
POOLS = "/calico/v1/ipam/"
NODES = "/calico/resources/v3/projectcalico.org/nodes/"
MIGRATIONS = "/calico/resources/v3/projectcalico.org/livemigrations/"
TUNNEL_FIELDS = {
    "IPv4VXLANTunnelAddr": "ipv4_vxlan_tunnel_addr",
    "IPv6VXLANTunnelAddr": "ipv6_vxlan_tunnel_addr",
    "VXLANTunnelMACAddr": "vxlan_tunnel_mac_addr",
    "VXLANTunnelMACAddrV6": "vxlan_tunnel_mac_addr_v6",
}
"""Published contents name the ends of tunnels beside the nodes; here they are fields of these."""
KINDS = {
    "CIDR_INFO": Kinds.POOL,
    "LOCAL_WORKLOAD": Kinds.LOCAL_WORKLOAD,
    "REMOTE_WORKLOAD": Kinds.REMOTE_WORKLOAD,
    "LOCAL_HOST": Kinds.LOCAL_HOST,
    "REMOTE_HOST": Kinds.REMOTE_HOST,
}
TUNNELS = Kinds.LOCAL_TUNNEL | Kinds.REMOTE_TUNNEL
WAYS = {"NONE": "none", "NO_ENCAP": "direct", "IPIP": "ipip", "VXLAN": "vxlan"}

NOT_HERE = ("wireguard",)
"""Facts of which the desired state says nothing yet."""

AMBIENT = "all-istio-weps"
"""A set for a service mesh, which is out of scope."""

LOCAL = "LOCAL_WORKLOAD"


def supported(case: Mapping[str, Any]) -> bool:
    """Whether all facts of a state can be judged; of others those about policy are."""
    expect = case["expect"]
    return not (expect["ipSets"][AMBIENT] or any(expect.get(fact) for fact in NOT_HERE))


def supported_throughout(case: Mapping[str, Any]) -> bool:
    """Whether every state that a sequence goes through is supported."""
    return all(supported(BY_ID[name]) for name in case["states"])


BY_ID = {case["id"]: case for case in DATA["cases"]}
CASES = [case for case in DATA["cases"] if case["kind"] == "state"]
SEQUENCES = [case for case in DATA["cases"] if case["kind"] == "sequence"]


def workload_routes(case: Mapping[str, Any]) -> bool:
    """Whether the contents ask for a route to each workload."""
    return any(one["path"] == "/calico/v1/config/RouteSource" for one in case["datastore"])


def resources(case: Mapping[str, Any]) -> Iterator[Resource]:
    profiles: dict[str, dict[str, Any]] = {}
    yield from nodes(case)
    for entry in case["datastore"]:
        path, value = entry["path"], entry["value"]
        name = path.rpartition("/")[2]
        if path.startswith("/calico/v1/policy/tier/"):
            yield Tier(
                metadata=Metadata(name=path.split("/")[5]), spec=TierSpec(order=value["order"]), status=TierStatus()
            )
        elif "/workload/" in path:
            yield endpoint(path, value)
        elif "/endpoint/" in path:
            yield host(path, value)
        elif path.startswith("/calico/v1/netset/"):
            metadata = Metadata(name=name, labels=value["labels"])
            yield GlobalNetworkSet(metadata=metadata, spec=NetworkSetSpec(nets=tuple(value["nets"])))
        elif path.startswith("/calico/v1/policy/GlobalNetworkPolicy/"):
            yield policy(name, value)
        elif path.startswith(POOLS):
            yield pool(name, value)
        elif path.startswith(MIGRATIONS):
            yield migration(value)
        elif path.startswith(SLICES):
            yield msgspec.convert(value, EndpointSlice)
        elif path.startswith("/calico/v1/policy/profile/"):
            profiles.setdefault(path.split("/")[5], {}).update(rules(value, "ingress", "egress"))
        elif path.startswith(LABELS):
            profiles.setdefault(name, {})["labels_to_apply"] = value["spec"]["labelsToApply"]
    for name, spec in profiles.items():
        yield Profile(metadata=Metadata(name=name), spec=ProfileSpec(**spec))


def nodes(case: Mapping[str, Any]) -> Iterator[Node]:
    """Nodes with the ends of their tunnels; a node that is known by these alone has no address."""
    specs: dict[str, dict[str, Any]] = {}
    for entry in case["datastore"]:
        path, value = entry["path"], entry["value"]
        name, _, field = path.removeprefix("/calico/v1/host/").partition("/config/")
        if path.startswith(NODES):
            read = msgspec.convert(value.get("spec", {}), NodeSpec)
            specs.setdefault(path.removeprefix(NODES), {}).update(bgp=read.bgp, addresses=read.addresses)
        elif field in TUNNEL_FIELDS:
            specs.setdefault(name, {})[TUNNEL_FIELDS[field]] = value
    for name, spec in specs.items():
        yield Node(metadata=Metadata(name=name), spec=NodeSpec(**spec))


def blocks(case: Mapping[str, Any]) -> dict[ResourceKey, IPAMBlock]:
    found = (entry["value"] for entry in case["datastore"] if entry["path"].startswith(BLOCKS))
    read = [msgspec.convert(value | {"sequenceNumberForAllocation": {}}, IPAMBlock) for value in found]
    return {ResourceKey("IPAMBlock", "", block.cidr): block for block in read}


def pool(name: str, value: Mapping[str, Any]) -> IPPool:
    modes = {"always": "Always", "cross-subnet": "CrossSubnet"}
    spec = IPPoolSpec(
        cidr=value["cidr"],
        ipip_mode=modes.get(value["ipip_mode"], ""),
        vxlan_mode=modes.get(value.get("vxlan_mode", ""), ""),
        nat_outgoing=value["masquerade"],
    )
    return IPPool(metadata=Metadata(name=name), spec=spec)


def migration(value: Mapping[str, Any]) -> LiveMigration:
    """Names of workloads are without a namespace there; their endpoints are made with one here."""
    spec = msgspec.convert(value["spec"], LiveMigrationSpec)
    ends = [end.workload_endpoint for end in (spec.source, spec.target) if end and end.workload_endpoint]
    source, target = (msgspec.structs.replace(end, workload_id=f"ns/{end.workload_id}") for end in ends)
    spec = LiveMigrationSpec(
        source=MigrationSource(workload_endpoint=source), target=MigrationTarget(workload_endpoint=target)
    )
    return LiveMigration(metadata=Metadata(**value["metadata"]), spec=spec)


def endpoint(path: str, value: Mapping[str, Any]) -> WorkloadEndpoint:
    _, _, _, _, node, _, orchestrator, workload, _, name = path.split("/")
    spec = WorkloadEndpointSpec(
        node=node,
        orchestrator=orchestrator,
        workload=workload,
        endpoint=name,
        interface_name=value["name"],
        ip_networks=(*(value["ipv4_nets"] or ()), *(value["ipv6_nets"] or ())),
        profiles=tuple(value["profile_ids"] or ()),
        mac=value["mac"] or "",
        ports=tuple(EndpointPort(**port) for port in value.get("ports") or ()),
    )
    metadata = Metadata(name=f"{orchestrator}/{workload}/{name}", namespace="ns", labels=value["labels"] or {})
    return WorkloadEndpoint(metadata=metadata, spec=spec)


def host(path: str, value: Mapping[str, Any]) -> HostEndpoint:
    _, _, _, _, node, _, name = path.split("/")
    spec = HostEndpointSpec(
        node=node,
        interface_name=value.get("name", ""),
        expected_ips=(*value.get("expected_ipv4_addrs", ()), *value.get("expected_ipv6_addrs", ())),
        profiles=tuple(value.get("profile_ids") or ()),
    )
    return HostEndpoint(metadata=Metadata(name=name, labels=value["labels"]), spec=spec)


def policy(name: str, value: Mapping[str, Any]) -> GlobalNetworkPolicy:
    spec = GlobalNetworkPolicySpec(
        tier=value["tier"],
        order=value.get("order"),
        selector=value["selector"],
        types=tuple(value.get("types") or ()),
        do_not_track=value.get("untracked", False),
        **rules(value, "ingress", "egress"),
    )
    return GlobalNetworkPolicy(metadata=Metadata(name=name), spec=spec)


def rules(value: Mapping[str, Any], ingress: str, egress: str) -> dict[str, tuple[Rule, ...]]:
    return {
        ingress: tuple(rule(each) for each in value.get("inbound_rules") or ()),
        egress: tuple(rule(each) for each in value.get("outbound_rules") or ()),
    }


def rule(value: Mapping[str, Any]) -> Rule:
    return Rule(
        action=value.get("action") or "Allow",
        protocol=value.get("protocol"),
        source=entity(value, "src"),
        destination=entity(value, "dst"),
    )


def entity(value: Mapping[str, Any], side: str) -> EntityRule:
    return EntityRule(
        selector=value.get(f"{side}_selector", ""),
        not_selector=value.get(f"!{side}_selector", ""),
        ports=tuple(value.get(f"{side}_ports", ())),
        not_ports=tuple(value.get(f"!{side}_ports", ())),
        services=service(value.get(f"{side}_service"), value.get(f"{side}_service_ns", "")),
    )


def service(name: str | None, namespace: str) -> ServiceMatch | None:
    return None if name is None else ServiceMatch(name=name, namespace=namespace)


def meaning(set_id: str) -> str:
    """What a published set identity stands for, as `in_words` says it."""
    known = DATA["ipSetSelectors"][set_id]
    text = parse(known["selector"]).canonical
    return f"{text} {PROTOCOLS[known['protocol']]}:{known['portName']}" if "portName" in known else text


def members(texts: list[str]) -> set[str]:
    """Members as the world prints them: no length on single addresses, protocols by number."""
    found = set()
    for text in texts:
        host, _, service = text.partition(",")
        protocol, _, port = service.partition(":")
        cidr = Cidr.parse(host)
        single = cidr.text if cidr.is_host else str(cidr)
        found.add(f"{single},{PROTOCOLS[protocol]}:{port}" if service else single)
    return found


def widest(texts: set[str]) -> set[str]:
    """Without what others contain: some publishers leave that out."""
    nets = {text: Cidr.parse(text) for text in texts if "," not in text}
    return {
        text
        for text in texts
        if not any(text != other and net.contains(nets[text]) for other, net in nets.items() if text in nets)
    }


def in_words(spec: Any) -> str:
    return f"{spec.selector or spec.service}" + (f" {spec.protocol}:{spec.port}" if spec.ports else "")


def listed(endpoints: Any, way: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Tiers and policies of one direction, by endpoint, of the published form."""
    return {
        name: [(tier["tier"], [each["name"] for each in tier[way]]) for tier in tiers if tier.get(way)]
        for name, tiers in endpoints.items()
    }


def governing(tiers: Tiers) -> list[tuple[str, list[str]]]:
    return [(tier.name, [each.name for each in tier.policies]) for tier in tiers]


EMPTY: dict[ResourceKey, Resource | IPAMBlock] = {}


def contents(name: str) -> dict[ResourceKey, Resource | IPAMBlock]:
    return {resource.key: resource for resource in resources(BY_ID[name])} | blocks(BY_ID[name])


def a_world(case: Mapping[str, Any], new_world: Any) -> Any:
    """One for a whole sequence; where routes come from is a setting, which agents read when they start."""
    (asked,) = {workload_routes(BY_ID[name]) for name in case["states"]}
    return new_world(NODE, workload_routes=asked)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_the_desired_state_is_the_published_one(case: Mapping[str, Any], new_world) -> None:  # type: ignore[no-untyped-def]
    world = new_world(NODE, workload_routes=workload_routes(case))
    for key, value in contents(case["id"]).items():
        world.calculation.update(key, value)
    world.flush()
    assert_agrees(world, case["expect"])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in SEQUENCES])
def test_so_it_is_after_other_states(case: Mapping[str, Any], new_world) -> None:  # type: ignore[no-untyped-def]
    world, before = a_world(case, new_world), EMPTY
    for name in case["states"]:
        now = contents(name)
        for key in (*(key for key in before if key not in now), *now):
            world.calculation.update(key, now.get(key))
        world.flush()
        assert_agrees(world, BY_ID[name]["expect"])
        before = now


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in SEQUENCES])
def test_so_it_is_however_the_updates_come(case: Mapping[str, Any], seed: int, new_world) -> None:  # type: ignore[no-untyped-def]
    """Backwards, by way of nothing, one by one or many at once, in any order, and some twice."""
    dice = random.Random(seed)
    world, before = a_world(case, new_world), EMPTY
    for name in (*reversed(case["states"]), *case["states"]):
        for now in (EMPTY, contents(name)) if dice.random() < 0.3 else (contents(name),):
            keys = [*(key for key in before if key not in now), *now, *dice.choices(list(now), k=len(now) // 3)]
            for key in dice.sample(keys, len(keys)):
                world.calculation.update(key, now.get(key))
                if seed:
                    world.flush()
            world.flush()
            before = now
        assert_agrees(world, BY_ID[name]["expect"])
    for key in before:
        world.calculation.update(key, None)
    world.flush()
    assert world.calculation.is_empty()


def assert_agrees(world: Any, expect: Mapping[str, Any]) -> None:
    state = world.state
    for way in ("ingress", "egress"):
        found = {each.id.name: governing(getattr(each, way).tiers) for each in state.endpoints.values()}
        found |= {each.name: governing(getattr(each, way).tiers) for each in state.host_endpoints.values()}
        assert found == listed(expect["endpoints"], way)
        untracked = {each.name: governing(getattr(each, f"untracked_{way}")) for each in state.host_endpoints.values()}
        assert untracked == {name: [] for name in untracked} | listed(expect.get("endpointsUntracked", {}), way)
    profiles = {each.name for each in state.policies if each.kind == "Profile"}
    assert profiles == set(expect["activeProfiles"])
    active = {each.name for each in state.policies if each.kind != "Profile"}
    assert active == {each["name"] for each in expect["activePolicies"]}
    specs = world.calculation._sets._specs
    of_policies = {set_id: held for set_id, held in world.members().items() if set_id in specs}
    found_sets = {in_words(specs[set_id]): widest(held) for set_id, held in of_policies.items()}
    wanted = {
        meaning(key): widest(members(held)) for key, held in expect["ipSets"].items() if key in DATA["ipSetSelectors"]
    }
    assert found_sets.items() >= wanted.items()
    services = {key: members(held) for key, held in expect["ipSets"].items() if key.startswith("svc")}
    assert world.members().items() >= services.items()
    assert len(found_sets) == len([key for key in expect["ipSets"] if ":" in key])
    local = {route["dst"] for route in expect["routes"] if LOCAL in route["types"] and route.get("localWorkload")}
    assert {str(destination) for destination in state.routes} == local
    assert_network_agrees(state, expect)


def assert_network_agrees(state: DesiredState, expect: Mapping[str, Any]) -> None:
    """Routes of tunnels alone are not published: the contents name these ends beside the nodes."""
    found = [one for one in state.cluster_routes.values() if one.kinds & ~TUNNELS or not one.kinds]
    assert sorted(found, key=lambda one: one.destination) == sorted(
        map(route, expect["routes"]), key=lambda one: one.destination
    )
    assert state.vteps == {one.id: one for each in expect.get("vteps") or () for one in vteps(each)}
    of_hosts = {
        (one.node, one.destination.text)
        for one in state.cluster_routes.values()
        if one.kinds & (Kinds.LOCAL_HOST | Kinds.REMOTE_HOST)
    }
    texts = [(name, one.get(f"ipv{n}Addr")) for name, one in (expect.get("hosts") or {}).items() for n in (4, 6)]
    assert {(name, Cidr.host(text).text) for name, text in texts if text} <= of_hosts
    used = expect.get("encapsulation") or {}
    families = {4: used.get("vxlanEnabled"), 6: used.get("vxlanEnabledV6")}
    assert state.network.tunnels.vxlan == tuple(family for family, wanted in families.items() if wanted)
    assert state.network.tunnels.ipip == used.get("ipipEnabled", False)
    roles = {one.id.name: one.migration.name for one in state.endpoints.values() if one.migration != Migration.NONE}
    assert roles == (expect.get("liveMigration") or {})


def route(value: Mapping[str, Any]) -> ClusterRoute:
    kinds = Kinds.POOL
    for name in value["types"]:
        kinds |= KINDS[name]
    return ClusterRoute(
        destination=Cidr.parse(value["dst"]),
        kinds=kinds,
        encapsulation=Encapsulation(WAYS[value["poolType"]]),
        node=value.get("dstNode", ""),
        address=Cidr.host(value["dstNodeIP"]) if "dstNodeIP" in value else None,
        masqueraded=value.get("natOutgoing", False),
        same_subnet=value.get("sameSubnet", False),
        borrowed=value.get("borrowed", False),
        attached=value.get("localWorkload", False),
    )


def vteps(value: Mapping[str, Any]) -> Iterator[Vtep]:
    fields = {4: ("Ipv4Addr", "Mac", "ParentDeviceIp"), 6: ("Ipv6Addr", "MacV6", "ParentDeviceIpv6")}
    for family, (address, mac, parent) in fields.items():
        if address in value:
            identity = VtepId(value["Node"], family)
            ends = Cidr.host(value[address]), value[mac], Cidr.host(value[parent])
            yield Vtep(identity, *ends, local=value["Node"] == NODE)


def test_all_published_states_are_tried_and_most_in_full() -> None:
    whole = [case for case in CASES if supported(case)]
    assert (len(CASES), len(SEQUENCES), len(whole)) == (66, 21, 64)
