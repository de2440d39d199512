"""Who reaches whom: what is said of classes holds for every pair of ends and every packet, as the oracle says."""

from __future__ import annotations

import importlib.util
import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.cluster import Cluster, End, compile_cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.symbolic import Compiled
from tortie.api.codec import decode
from tortie.api.defaults import with_defaults
from tortie.api.resource import Resource, ResourceKey
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = load("forms")


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Ends that have addresses of the small space, each governed by a list of its own or by that of another."""
    governing = draw(st.lists(FORMS.lists(), min_size=1, max_size=2))
    policies: dict[PolicyId, Policy] = {}
    lists: list[PolicyList] = []
    for number, (one, named) in enumerate(governing):
        renamed = {old: PolicyId(old.kind, str(number), old.name) for old in named}
        lists.append(FORMS.renamed(one, renamed))
        for policy in named.values():
            policies[renamed[policy.id]] = Policy(renamed[policy.id], policy.tier, policy.ingress, policy.ingress)
    ends = {}
    for number in range(draw(st.integers(1, 4))):
        key = ResourceKey("WorkloadEndpoint", "n", str(number))
        held = draw(st.sets(st.sampled_from(FORMS.ADDRESSES), min_size=1, max_size=2))
        choose = st.sampled_from(lists)
        ends[key] = End(key, "", "", {}, tuple(sorted(held)), draw(choose), draw(choose))
    return Cluster(ends, Compiled.of(policies, draw(FORMS.SETS_HELD)))


def passes(cluster: Cluster, source: End, destination: End, packet: Packet) -> bool:
    return all(
        evaluate(end.governing(way), way, packet, cluster.compiled.policies, cluster.compiled.index).action
        is Action.ALLOW
        for end, way in ((source, Direction.EGRESS), (destination, Direction.INGRESS))
    )


@given(clusters(), st.lists(FORMS.packets(), min_size=30, max_size=30))
def test_a_packet_gets_from_end_to_end_when_both_let_it(cluster: Cluster, sent: list[Packet]) -> None:
    reach = Reachability(Space(), cluster)
    for packet in sent:
        source, destination = (
            [end for end in cluster.ends.values() if Cidr(packet.family, one, BITS[packet.family]) in end.addresses]
            for one in (packet.source, packet.destination)
        )
        for sender in source:
            for receiver in destination:
                got = packet in reach.between(sender, receiver)
                assert got or not passes(cluster, sender, receiver, packet)
                if len(sender.addresses) == len(receiver.addresses) == 1:
                    assert got == passes(cluster, sender, receiver, packet)


@given(clusters())
def test_the_classes_are_the_whole_space_once(cluster: Cluster) -> None:
    for family, partition in Reachability(Space(), cluster).partitions.items():
        spans = sorted(span for own in partition.spans_but(()).values() for span in own)
        assert spans[0][0] == 0
        assert spans[-1][1] == (1 << BITS[family]) - 1
        assert all(left[1] + 1 == right[0] for left, right in pairwise(spans))


def resource(kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Resource:
    metadata: dict[str, Any] = {"name": name, "labels": labels or {}}
    if namespace:
        metadata["namespace"] = namespace
    return with_defaults(decode(kind, json.dumps({"metadata": metadata, "spec": spec}).encode()))


def workload(name: str, address: str, **labels: str) -> Resource:
    spec = {"orchestrator": "k8s", "node": f"node-{name}", "interfaceName": "cali0", "profiles": ["kns.shop"]}
    return resource("WorkloadEndpoint", name, "shop", labels, ipNetworks=[address], **spec)


OPEN = resource("Profile", "kns.shop", ingress=[{"action": "Allow"}], egress=[{"action": "Allow"}])
TO_WEB = resource(
    "NetworkPolicy",
    "web",
    "shop",
    selector="app == 'web'",
    types=["Ingress"],
    ingress=[
        {
            "action": "Allow",
            "protocol": "TCP",
            "source": {"selector": "app == 'client'"},
            "destination": {"ports": [80]},
        }
    ],
)


def test_a_cluster_is_that_of_all_its_nodes() -> None:
    ends = [workload(f"client{number}", f"10.0.0.{number}", app="client") for number in range(5)]
    ends += [workload("web", "10.0.1.1", app="web"), workload("other", "10.0.1.2")]
    cluster = compile_cluster([OPEN, TO_WEB, *ends])
    reach = Reachability(Space(), cluster)
    by_name = {end.name: end for end in cluster.ends.values()}
    web = by_name["shop/web"]
    http = reach.space.protocol(6) & reach.space.ports(2, [(80, 80)]) & reach.space.family(4)
    assert reach.between(by_name["shop/client3"], web) == http
    assert not reach.between(by_name["shop/other"], web)
    assert reach.between(web, by_name["shop/other"]) == reach.space.family(4)
    assert sorted(len(alike) for alike in reach.kinds().values()) == [1, 1, 5]
