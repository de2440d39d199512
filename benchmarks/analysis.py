"""Who reaches whom in a cluster of 100,000 endpoints and 2,000 policies: reading policy, classes, and the whole matrix.

Usage: analysis.py [ENDPOINTS [POLICIES]]. Two clusters: in the first, applications of many equal workloads; in the
second no two endpoints have labels in common but their namespace's, and each policy selects one and names one. The
matrix holds what gets from every kind of endpoint to every other, with ports, in both directions; a thousand pairs
drawn at random are asked of the oracle, packet by packet.
"""

from __future__ import annotations

import random
import resource as usage
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from tortie.analysis.cluster import Cluster, compile_cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.rows import Calculus, Rows
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import EntityRule, Rule
from tortie.api.workloadendpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.policy import Action, Direction

NAMESPACES = 100
PROBES, ROUNDS = 1_000, 5
Result = TypeVar("Result")


def endpoint(number: int, labels: dict[str, str]) -> Resource:
    """An endpoint with an address of its own."""
    namespace = f"ns-{number % NAMESPACES}"
    spec = WorkloadEndpointSpec(
        orchestrator="k8s",
        node=f"node-{number % 1000}",
        interface_name=f"cali{number}",
        ip_networks=(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32",),
        profiles=(f"kns.{namespace}",),
    )
    return WorkloadEndpoint(metadata=Metadata(name=f"pod-{number}", namespace=namespace, labels=labels), spec=spec)


def policy(number: int, selector: str, source: str) -> Resource:
    """What the selected of a namespace take: from others of it, on one port."""
    allow = Rule(
        action="Allow",
        protocol="TCP",
        source=EntityRule(selector=source),
        destination=EntityRule(ports=(8000 + number % 7,)),
    )
    spec = NetworkPolicySpec(selector=selector, types=("Ingress",), ingress=(allow,))
    return NetworkPolicy(metadata=Metadata(name=f"policy-{number}", namespace=f"ns-{number % NAMESPACES}"), spec=spec)


def profiles() -> Iterator[Resource]:
    """What namespaces give their endpoints."""
    allow = (Rule(action="Allow"),)
    for number in range(NAMESPACES):
        labels = {"pcns.projectcalico.org/name": f"ns-{number}"}
        spec = ProfileSpec(ingress=allow, egress=allow, labels_to_apply=labels)
        yield Profile(metadata=Metadata(name=f"kns.ns-{number}"), spec=spec)


def applications(endpoints: int, policies: int) -> Iterator[Resource]:
    """As many applications as policies, evenly over the namespaces."""
    yield from profiles()
    each = max(policies // NAMESPACES, 1)
    for number in range(endpoints):
        yield endpoint(number, {"app": f"app-{number // NAMESPACES % each}", "instance": f"i-{number}"})
    for number in range(policies):
        own = number // NAMESPACES
        yield policy(number, f"app == 'app-{own}'", f"app == 'app-{(own + 1) % each}'")


def strangers(endpoints: int, policies: int) -> Iterator[Resource]:
    """Nobody like anybody else."""
    yield from profiles()
    for number in range(endpoints):
        yield endpoint(number, {"instance": f"i-{number}"})
    for number in range(policies):
        peer = (number + policies) % endpoints
        yield policy(number, f"instance == 'i-{number}'", f"instance == 'i-{peer}'")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it gives, and the processor time it takes."""
    began = time.process_time()
    return work(), time.process_time() - began


def passes(cluster: Cluster, source: int, destination: int, packet: Packet) -> bool:
    """What the oracle says of a packet between two ends."""
    ends, compiled = list(cluster.ends.values()), cluster.compiled
    lists = ((ends[source].egress, Direction.EGRESS), (ends[destination].ingress, Direction.INGRESS))
    return all(
        evaluate(one, way, packet, compiled.policies, compiled.index).action is Action.ALLOW for one, way in lists
    )


class Whole:
    """The matrix of all kinds of ends, row by row."""

    def __init__(self, cluster: Cluster) -> None:
        self.reach = Reachability(Space(), cluster)
        self.kinds = self.reach.kinds()
        self.calculus = Calculus(self.reach.space)
        rows = Rows(self.reach, list(self.kinds), self.calculus)
        self.rows = [rows.row(place) for place in range(len(self.kinds))]

    def check(self, probes: int) -> int:
        """Ask the oracle about pairs drawn at random, half of them such as talk; returns how many get through."""
        cluster, chance, allowed = self.reach.cluster, random.Random(7), 0
        ends = list(cluster.ends.values())
        place_of = {id(end): place for place, some in enumerate(self.kinds.values()) for end in some}
        numbers = {id(end): number for number, end in enumerate(ends)}
        kinds = list(self.kinds.values())
        for probe in range(probes):
            sender = chance.randrange(len(ends))
            row = self.rows[place_of[id(ends[sender])]]
            talks = row.nonzero()[0].tolist() if probe % 2 else []
            receiver = numbers[id(chance.choice(kinds[chance.choice(talks)]))] if talks else chance.randrange(len(ends))
            first, second = (ends[one].addresses[0].address for one in (sender, receiver))
            packet = Packet(4, 6, first, second, 40000, 8000 + chance.randrange(7))
            said = packet in self.calculus.catalogue.sets[int(row[place_of[id(ends[receiver])]])]
            assert said == passes(cluster, sender, receiver, packet), (ends[sender].name, ends[receiver].name, packet)
            allowed += said
        return allowed


def measure(name: str, resources: list[Resource]) -> None:
    """One cluster: read once, the matrix made five times."""
    cluster, reading = timed(lambda: compile_cluster(resources))
    spent = [timed(lambda: Whole(cluster))[1] for _ in range(ROUNDS - 1)]
    whole, last = timed(lambda: Whole(cluster))
    spent = sorted([*spent, last])
    allowed = whole.check(PROBES)
    memory = usage.getrusage(usage.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{name}: {len(cluster.ends)} endpoints, {len(cluster.selectors)} policies, {len(whole.kinds)} kinds; "
        f"reading policy {reading:.1f} s; the matrix min {spent[0]:.2f} s, median {spent[ROUNDS // 2]:.2f} s; "
        f"at most {memory} MiB; {PROBES} packets judged as by the oracle, {allowed} of them allowed"
    )


def main() -> None:
    """Both clusters."""
    given = [int(one) for one in sys.argv[1:]]
    endpoints, policies = (*given, *(100_000, 2_000)[len(given) :])
    measure("applications", list(applications(endpoints, policies)))
    measure("strangers", list(strangers(endpoints, policies)))


if __name__ == "__main__":
    main()
