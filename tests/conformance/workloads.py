"""Real applications and their connections: every pair of workloads, and of workloads and the world outside.

Loaded by path. Only IPv4, TCP, UDP and SCTP count; `All Connections` are all ports of the three. Some cases say
nothing of workloads but their names, in what they expect: those carry the labels that policies ask for and whose
values, but for the last word, end their names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import drawnup

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.packets import Field, PacketSet, Space
from tortie.analysis.reachability import Kind, Reachability
from tortie.calculation.protocols import protocol_number
from tortie.convert.kubernetes import can_convert

Case = Mapping[str, Any]
Document = Mapping[str, Any]
Span = tuple[int, int]

PROTOCOLS = ("TCP", "UDP", "SCTP")
ALL = "All Connections"
OUTSIDE = "[External]"
POLICIES = ("NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "Node")


class Drawn:
    """The cluster of a case, asked by the names of its workloads."""

    def __init__(self, case: Case) -> None:
        self.space = Space()
        counted = self.space.family(4) & services(self.space, ALL)
        registry = cluster_of(case["resources"])
        if not registry.workloads:
            for pod in named_only(case):
                registry.pod(pod, pod["workload"])
        written = [drawnup.resource(one) for one in case["resources"] if one["kind"] in POLICIES and can_convert(one)]
        self.reach = Reachability(self.space, compile_cluster(registry.all(written)), counted)
        self.workloads: dict[str, list[Kind]] = {}
        for end in self.reach.cluster.ends.values():
            self.workloads.setdefault(registry.workloads[end.name], []).append(self.reach.kind(end))
        ours = drawnup.OURS[4]
        within = (int(ours.network_address), int(ours.broadcast_address))
        self.outside = [
            (span, kind)
            for kind, spans in self.reach.elsewhere().items()
            if kind.classes[0][0] == 4
            for span in spans
            if not within[0] <= span[0] <= within[1]
        ]

    def connection(self, sources: list[Kind], destinations: list[Kind]) -> PacketSet:
        """What gets from any of these to any of those."""
        found = self.space.none
        for source in sources:
            for destination in destinations:
                found |= self.reach.connection(source, destination)
        return found


def cluster_of(documents: list[Document]) -> drawnup.Registry:
    """All pods, by the workloads that they are of."""
    registry = drawnup.Registry(drawnup.asked_names(documents))
    pods = []
    for one in documents:
        if one["kind"] == "Namespace":
            registry.namespace(one["metadata"]["name"], one["metadata"].get("labels") or {})
        elif one["kind"] not in POLICIES:
            pods += [{"ip": _address(one), "workload": workload(one), **pod} for pod in drawnup.pods_of(one)]
    for pod in drawnup.alive(pods):
        registry.pod(pod, pod["workload"])
    return registry


def named_only(case: Case) -> Iterator[Document]:
    """A pod for each workload that is expected to be there."""
    asked = set(_labels_asked(case["resources"]))
    named = {one[side] for one in case["expect"] for side in ("from", "to") if not one[side].endswith(OUTSIDE)}
    for name in sorted(named):
        namespace, _, short = name.partition("[")[0].partition("/")
        labels = {label: value for label, value in asked if short.endswith(value.rpartition("-")[0])}
        yield {"namespace": namespace, "name": short, "labels": labels, "workload": name}


def _labels_asked(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from value.get("matchLabels", {}).items()
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _labels_asked(inner)


def _address(document: Document) -> str | None:
    hosted = document["spec"].get("hostNetwork")
    return None if hosted else (document.get("status") or {}).get("podIP")


def workload(document: Document) -> str:
    """As expectations name it: that which owns a pod, where it is said."""
    metadata = document["metadata"]
    namespace, name, kind = metadata.get("namespace") or "default", metadata["name"], document["kind"]
    owner = next(iter(metadata.get("ownerReferences") or ()), None)
    if kind == "Pod" and owner is not None and owner.get("kind") != "Node":
        name, kind = owner["name"], owner.get("kind") or kind
    return f"{namespace}/{name}[{kind}]"


def services(space: Space, text: str) -> PacketSet:
    """The packets of `All Connections`, or of a list as `TCP 80,443,UDP 53,100-200`."""
    if text == ALL:
        text = ",".join(f"{protocol} 1-65535" for protocol in PROTOCOLS)
    found, protocol = space.none, ""
    for part in text.split(","):
        word, _, ports = part.rpartition(" ")
        protocol = word or protocol
        first, _, last = ports.partition("-")
        span = (int(first), int(last or first))
        found |= space.protocol(protocol_number(protocol)) & space.ports(Field.DESTINATION_PORT, [span])
    return found


def run_case(case: Case, document: Document) -> list[str]:
    """What differs from the expectation, one line for each pair."""
    drawn = Drawn(case)
    expected = Expected(case, drawn)
    differences = [
        f"{source} → {destination}: {_differing(found, wanted)}"
        for source, destination, found, wanted in expected.compared()
        if found != wanted
    ]
    unknown = expected.names - drawn.workloads.keys()
    return differences + [f"{name}: there is no such workload" for name in sorted(unknown)]


class Expected:
    """The connections that a case lists."""

    def __init__(self, case: Case, drawn: Drawn) -> None:
        self._drawn = drawn
        self._inside: dict[tuple[str, str], PacketSet] = {}
        self._ranges: dict[tuple[str, str], list[tuple[Span, PacketSet]]] = {}
        self.names: set[str] = set()
        for one in case["expect"]:
            packets = services(drawn.space, one["connections"]) & drawn.reach.only
            self._add(one["from"], one["to"], packets)

    def _add(self, source: str, destination: str, packets: PacketSet) -> None:
        self.names |= {name for name in (source, destination) if not name.endswith(OUTSIDE)}
        if source.endswith(OUTSIDE):
            self._ranges.setdefault(("", destination), []).append((_span(source), packets))
        elif destination.endswith(OUTSIDE):
            self._ranges.setdefault((source, ""), []).append((_span(destination), packets))
        else:
            known = self._inside.get((source, destination), self._drawn.space.none)
            self._inside[source, destination] = known | packets

    def compared(self) -> Iterator[tuple[str, str, PacketSet, PacketSet]]:
        """Source, destination, what is found and what is wanted."""
        drawn, nothing = self._drawn, self._drawn.space.none
        for source, kinds in drawn.workloads.items():
            for destination, others in drawn.workloads.items():
                if source != destination:
                    wanted = self._inside.get((source, destination), nothing)
                    yield source, destination, drawn.connection(kinds, others), wanted
            for span, kind in drawn.outside:
                for part, wanted in self._within((source, ""), span):
                    yield source, _text(part), drawn.connection(kinds, [kind]), wanted
                for part, wanted in self._within(("", source), span):
                    yield _text(part), source, drawn.connection([kind], kinds), wanted

    def _within(self, pair: tuple[str, str], span: Span) -> Iterator[tuple[Span, PacketSet]]:
        """What is wanted of the parts of a range."""
        listed = self._ranges.get(pair, [])
        edges = {span[0], span[1] + 1}
        edges |= {edge for (first, last), _ in listed for edge in (first, last + 1) if span[0] < edge <= span[1]}
        ordered = sorted(edges)
        for first, following in pairwise(ordered):
            wanted = self._drawn.space.none
            for (low, high), packets in listed:
                if low <= first <= high:
                    wanted |= packets
            yield (first, following - 1), wanted


def _span(text: str) -> Span:
    first, last = text.removesuffix(OUTSIDE).split("-")
    return int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))


def _text(span: Span) -> str:
    return "-".join(str(ipaddress.ip_address(one)) for one in span)


def _differing(found: PacketSet, wanted: PacketSet) -> str:
    extra, missing = (found - wanted).example(), (wanted - found).example()
    return "; ".join(
        f"{what}: protocol {packet.protocol}, port {packet.destination_port}"
        for what, packet in (("gets through and should not", extra), ("should get through", missing))
        if packet is not None
    )
