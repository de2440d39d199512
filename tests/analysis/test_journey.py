"""The way of a packet from host to host: routes, tunnels, translations, host endpoints; what is unknown is said so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.explanation import Explanation, explain
from tortie.analysis.journey import DEVICES, Journey
from tortie.analysis.nodes import SOMEWHERE, Nodes
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.who import find_party, read_service
from tortie.api.codec import decode
from tortie.api.defaults import with_defaults
from tortie.api.ipam import IPAMBlock
from tortie.api.resource import Resource
from tortie.calculation.configurations import Configured
from tortie.dataplane.underlay import IPIP_DEVICE, VXLAN_DEVICES
from tortie.desired.cluster import Encapsulation
from tortie.desired.policy import Action
from tortie.desired.settings import EndpointToHost, FilterSettings, NodeSettings, Outgoing


def resource(kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Resource:
    metadata = {"name": name, "labels": labels or {}, **({"namespace": namespace} if namespace else {})}
    return with_defaults(decode(kind, json.dumps({"metadata": metadata, "spec": spec}).encode()))


def pod(name: str, node: str, address: str, **spec: Any) -> Resource:
    common = {"orchestrator": "k8s", "profiles": ["kns.shop"], "pod": name, "ipNetworks": [address]}
    return resource("WorkloadEndpoint", name, "shop", {"app": name}, node=node, **common, **spec)


def node(name: str, address: str, tunnel: str) -> Resource:
    spec = {"ipv4VXLANTunnelAddr": tunnel, "vxlanTunnelMACAddr": f"66:00:00:00:00:0{name[-1]}"}
    return resource("Node", name, bgp={"ipv4Address": f"{address}/24"}, **spec)


def pool(**spec: Any) -> Resource:
    return resource("IPPool", "pool", cidr="10.0.0.0/16", **spec)


ALLOW = [{"action": "Allow"}]
BASE = [
    resource("Profile", "kns.shop", ingress=ALLOW, egress=ALLOW),
    node("n1", "172.16.0.1", "10.0.0.63"),
    node("n2", "172.16.0.2", "10.0.1.63"),
    pod("a", "n1", "10.0.0.1", interfaceName="cali1"),
    pod("b", "n1", "10.0.0.2", interfaceName="cali2"),
    pod("c", "n2", "10.0.1.1", interfaceName="cali1"),
]


def host(name: str = "h2", interface: str = "*") -> Resource:
    labels = {"host": name}
    return resource("HostEndpoint", name, labels=labels, node="n2", interfaceName=interface, expectedIPs=["172.16.0.2"])


def guard(*ports: int, **spec: Any) -> Resource:
    rules = [{"action": "Allow", "protocol": "TCP", "destination": {"ports": list(ports)}}]
    return resource("GlobalNetworkPolicy", "guard", selector="has(host)", types=["Ingress"], ingress=rules, **spec)


def block(cidr: str, owner: str) -> IPAMBlock:
    return IPAMBlock(cidr=cidr, affinity=f"host:{owner}", allocations=(None,) * 64, attributes=())


def found(
    source: str, destination: str, service: str, *more: Resource, blocks: Sequence[IPAMBlock] = (), **settings: Any
) -> Explanation:
    resources = [*BASE, *more]
    cluster = compile_cluster(resources)
    parties = [find_party(cluster, text, "shop") for text in (source, destination)]
    chosen = NodeSettings(FilterSettings(**settings))
    nodes = Nodes(resources, lambda _: Configured(chosen), blocks)
    explained = explain(Reachability(Space(), cluster), parties[0], parties[1], read_service(service), nodes)
    return explained[0]


def way(one: Explanation) -> Journey:
    assert one.journey is not None
    return one.journey


def notes(one: Explanation) -> list[tuple[str, ...]]:
    return [hop.notes for hop in way(one).hops]


def test_devices_are_called_as_they_are_made() -> None:
    assert dict(VXLAN_DEVICES) == DEVICES[Encapsulation.VXLAN]
    assert DEVICES[Encapsulation.IPIP] == {4: IPIP_DEVICE}


def test_neighbours_meet_on_their_host() -> None:
    one = found("a", "b", "80", pool())
    assert notes(one) == [("to shop/b by cali2",)]
    assert (way(one).hops[0].incoming, way(one).unknown) == ("cali1", ())


@pytest.mark.parametrize(
    ("spec", "said", "incoming"),
    [
        ({"vxlanMode": "Always"}, "in VXLAN (UDP 4789) 172.16.0.1 → 172.16.0.2 by vxlan.calico", "vxlan.calico"),
        ({"vxlanMode": "CrossSubnet"}, "without encapsulation (same subnet)", SOMEWHERE),
        ({"ipipMode": "Always"}, "in IP in IP 172.16.0.1 → 172.16.0.2 by tunl0", "tunl0"),
        ({}, "without encapsulation", SOMEWHERE),
    ],
)
def test_the_pool_says_how_packets_travel(spec: dict[str, Any], said: str, incoming: str) -> None:
    one = found("a", "c", "80", pool(**spec))
    first, second = way(one).hops
    assert first.notes[-1].startswith("10.0.1.1 is at n2 (172.16.0.2), ")
    assert first.notes[-1].endswith(said)
    assert (second.incoming, second.notes) == (incoming, ("to shop/c by cali1",))


def test_what_leaves_the_pools_gets_an_address_of_its_host() -> None:
    translated = "source 10.0.0.1 becomes 172.16.0.1 (outgoing translation)"
    assert notes(found("a", "203.0.113.1", "80", pool(natOutgoing=True)))[0][-1] == translated
    assert translated not in notes(found("a", "203.0.113.1", "80", pool()))[0]
    assert translated not in notes(found("a", "c", "80", pool(natOutgoing=True)))[0]
    spared = found("a", "host/h2", "80", pool(natOutgoing=True), host(), nat=Outgoing(spares_hosts=True))
    assert "source stays" in notes(spared)[0][-1].replace("its ", "")
    only = found("a", "203.0.113.1", "80", pool(natOutgoing=True), nat=Outgoing(interface="eth1"))
    assert notes(only)[0][-1].endswith("unknown")
    assert way(only).unknown == ("what becomes of it in the network outside of the cluster",)


def test_a_host_behind_translation_judges_what_it_sees() -> None:
    rules = [{"action": "Allow", "source": {"nets": ["172.16.0.1/32"]}}]
    seen = resource("GlobalNetworkPolicy", "seen", selector="has(host)", types=["Ingress"], ingress=rules)
    one = found("a", "host/h2", "80", pool(natOutgoing=True), host(), seen)
    assert way(one).action is Action.ALLOW
    assert way(found("a", "host/h2", "80", pool(), host(), seen)).action is Action.DENY


def test_floating_addresses_are_translated_where_their_workload_is() -> None:
    floating = pod(
        "d", "n2", "10.0.1.2", interfaceName="cali4", ipNATs=[{"internalIP": "10.0.1.2", "externalIP": "192.0.2.1"}]
    )
    one = found("203.0.113.1", "d", "80", pool(), floating)
    assert notes(one) == [("to shop/d by cali4",)]


def test_a_host_endpoint_guards_what_is_forwarded_only_if_a_policy_says_so() -> None:
    assert found("a", "c", "443", pool(), host(), guard(80)).verdict is Action.ALLOW
    denied = found("a", "c", "443", pool(), host(), guard(80, applyOnForward=True))
    assert denied.verdict is Action.DENY
    assert [hop.action for hop in way(denied).hops] == [Action.ALLOW, Action.DENY]
    assert str(way(denied).stops[-1]) == "HostEndpoint h2 forward-in: Deny by end of tier default"
    # Nothing about the ends' policies is to blame, so nothing about them is offered.
    assert [one.remedies for one in denied.directions] == [(), ()]
    assert found("a", "c", "80", pool(), host(), guard(80, applyOnForward=True)).verdict is Action.ALLOW


def test_failsafe_ports_are_open_whatever_policy_says() -> None:
    one = found("a", "host/h2", "22/tcp", pool(), host(), guard(80))
    assert one.verdict is Action.ALLOW
    assert [each.walk.end.name for each in one.directions] == ["shop/a"]
    assert way(one).stops[-1].where == "HostEndpoint h2 host-in, failsafe"
    assert found("a", "host/h2", "23/tcp", pool(), host(), guard(80)).verdict is Action.DENY


def test_a_host_reaches_its_own_workloads_and_they_reach_it_as_it_is_told() -> None:
    closed = resource("NetworkPolicy", "closed", "shop", selector="all()", types=["Ingress"])
    assert found("host/h2", "c", "80", pool(), host(), guard(80), closed).verdict is Action.ALLOW
    assert found("c", "host/h2", "80", pool(), host(), guard(80)).verdict is Action.DENY
    open_host = {"endpoint_to_host": EndpointToHost.ACCEPT}
    one = found("c", "host/h2", "443", pool(), host(), guard(80), **open_host)
    assert one.verdict is Action.ALLOW
    assert [each.walk.end.name for each in one.directions] == ["shop/c"]


def test_which_interface_it_is_may_be_unknown() -> None:
    named = found("a", "c", "443", pool(), host("h2", "eth0"), guard(80, applyOnForward=True))
    assert way(named).unknown == (f"by which interface of n2 it goes: {SOMEWHERE} (allowed), eth0 (denied)",)
    both = found("a", "c", "80", pool(), host("h2", "eth0"), guard(80, applyOnForward=True))
    assert way(both).unknown == ()


def test_what_is_nobodys_in_a_block_is_lost() -> None:
    assert notes(found("a", "10.0.0.9", "80", pool(), blocks=[block("10.0.0.0/26", "n1")]))[0][-1].endswith("lost here")


def test_routes_lead_to_blocks_where_there_are_any() -> None:
    one = found("a", "c", "80", pool(), blocks=[block("10.0.0.0/26", "n1"), block("10.0.1.0/26", "n2")])
    assert notes(one)[0][-1] == "10.0.1.0/26 is at n2 (172.16.0.2), without encapsulation"


def test_without_nodes_nothing_is_said_of_hosts() -> None:
    nowhere = [pod("a", "", "10.0.0.1"), *BASE[:1]]
    cluster = compile_cluster([*nowhere, pod("b", "", "10.0.0.2")])
    parties = [find_party(cluster, text, "shop") for text in ("a", "b")]
    service = read_service("80")
    assert explain(Reachability(Space(), cluster), *parties, service, Nodes(nowhere))[0].journey is None
