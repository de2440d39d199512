"""Policies without expectations: they are taken, compiled, and mean the same when they are written once more.

Loaded by path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import drawnup

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.relations import excess, is_equivalent
from tortie.analysis.universe import pairs
from tortie.api.codec import decode, encode
from tortie.api.resource import Resource
from tortie.calculation.verdict import evaluate
from tortie.desired.policy import Action, Direction

Case = Mapping[str, Any]


def run_case(case: Case, document: Case) -> list[str]:
    """What does not hold; empty when all is well."""
    written = [drawnup.resource(one) for one in case["policies"]]
    space = Space()
    open_, given, again = (_reach(space, part, written) for part in ([], written, [_again(one) for one in written]))
    found = [f"{key}: {problem}" for key, problem in given.cluster.problems.items()]
    if not is_equivalent(given, again):
        found.append("means something else once it was written and read")
    if next(excess(open_, given), None) is not None:
        found.append("lets more through than without any policy")
    return found + _contradictions(given)


def _again(resource: Resource) -> Resource:
    return decode(resource.kind, encode(resource))


def _reach(space: Space, written: list[Resource], represented: list[Resource]) -> Reachability:
    registry = drawnup.Registry()
    registry.represent(represented)
    return Reachability(space, compile_cluster(registry.all(written)))


def _contradictions(reach: Reachability) -> list[str]:
    """Where a packet of a set that gets through, or of what is left, is judged otherwise by itself."""
    ends, compiled = reach.cluster.ends, reach.cluster.compiled
    found = []
    for pair in pairs([reach]):
        if pair.source.is_outside or pair.destination.is_outside or pair.packets[0] is None:
            continue
        source, destination = ends[pair.source.ends[0]], ends[pair.destination.ends[-1]]
        for packet in (pair.packets[0].example(), (reach.space.family(4) - pair.packets[0]).example()):
            if packet is None:
                continue
            family = [[one for one in end.addresses if one.family == packet.family] for end in (source, destination)]
            sent = type(packet)(
                packet.family,
                packet.protocol,
                family[0][0].address,
                family[1][0].address,
                packet.source_port,
                packet.destination_port,
                packet.icmp_type,
                packet.icmp_code,
            )
            verdicts = [
                evaluate(end.governing(way), way, sent, compiled.policies, compiled.index).action is Action.ALLOW
                for end, way in ((source, Direction.EGRESS), (destination, Direction.INGRESS))
            ]
            if all(verdicts) != (packet in pair.packets[0]):
                found.append(f"{source.name} to {destination.name}: {sent}")
    return found
