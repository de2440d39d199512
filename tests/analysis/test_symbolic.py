"""The compiled form, asked about all packets at once, says of each packet what the oracle says of it."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path
from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.analysis.diagram import value_at
from tortie.analysis.packets import PORT_PROTOCOLS, Space, coordinates
from tortie.analysis.symbolic import ANY, Compiled, Ends, Judge
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import ICMP_PROTOCOL, Packet, evaluate, evaluate_tiers, rule_matches
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList, Rule, SetId
from tortie.desired.sets import IPSet


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = load("forms")
MANY = st.lists(FORMS.packets(), min_size=20, max_size=40)
MORE = settings(max_examples=settings.default.max_examples * 2)  # type: ignore[union-attr]


def ends_of(packet: Packet) -> list[Ends]:
    source, destination = (
        Cidr(packet.family, address, BITS[packet.family]) for address in (packet.source, packet.destination)
    )
    return [ANY, Ends(source), Ends(None, destination), Ends(source, destination), Ends(family=packet.family)]


@MORE
@given(FORMS.RULES, FORMS.SETS_HELD, MANY)
def test_a_rule_takes_the_packets_that_it_matches(rule: Rule, sets: dict[SetId, IPSet], sent: list[Packet]) -> None:
    compiled = Compiled.of({}, sets)
    judge = Judge(Space(), compiled)
    for packet in sent:
        for ends in ends_of(packet):
            assert (packet in judge.matching(rule, ends)) == rule_matches(rule, packet, compiled.index)


@MORE
@given(FORMS.lists(), FORMS.SETS_HELD, MANY)
def test_every_packet_is_decided_by_the_step_that_the_oracle_names(
    governing: tuple[PolicyList, dict[PolicyId, Policy]], sets: dict[SetId, IPSet], sent: list[Packet]
) -> None:
    policies, compiled = governing[0], Compiled.of(governing[1], sets)
    judge = Judge(Space(), compiled)
    for packet in sent:
        verdict = evaluate(policies, Direction.INGRESS, packet, compiled.policies, compiled.index)
        passage = evaluate_tiers(policies.tiers, Direction.INGRESS, packet, compiled.policies, compiled.index)
        for ends in ends_of(packet):
            decisions = judge.decisions(policies, Direction.INGRESS, ends)
            assert value_at(decisions, coordinates(packet)) == verdict.decided_by
            tiers = judge.tier_decisions(policies.tiers, Direction.INGRESS, ends)
            assert value_at(tiers, coordinates(packet)).action is passage.action  # type: ignore[attr-defined]


@given(FORMS.lists(), FORMS.SETS_HELD)
def test_examples_of_what_is_allowed_are_allowed_and_of_the_rest_denied(
    governing: tuple[PolicyList, dict[PolicyId, Policy]], sets: dict[SetId, IPSet]
) -> None:
    policies, compiled = governing[0], Compiled.of(governing[1], sets)
    allowed = Judge(Space(), compiled).allowed(policies, Direction.INGRESS)
    for among, action in ((allowed, Action.ALLOW), (~allowed, Action.DENY)):
        packet = among.example()
        if packet is not None:
            verdict = evaluate(policies, Direction.INGRESS, packet, compiled.policies, compiled.index)
            assert verdict.action is action


@given(FORMS.lists(), FORMS.SETS_HELD, st.sampled_from(FORMS.ADDRESSES), st.integers(0, 3))
def test_between_two_addresses_the_whole_small_space_is_as_the_oracle_says(
    governing: tuple[PolicyList, dict[PolicyId, Policy]], sets: dict[SetId, IPSet], source: Cidr, offset: int
) -> None:
    policies, compiled = governing[0], Compiled.of(governing[1], sets)
    destination = Cidr(source.family, FORMS.NETWORKS[source.family] + offset, source.bits)
    allowed = Judge(Space(), compiled).allowed(policies, Direction.INGRESS, Ends(source, destination))
    for packet in every_packet(source, destination):
        verdict = evaluate(policies, Direction.INGRESS, packet, compiled.policies, compiled.index)
        assert (packet in allowed) == (verdict.action is Action.ALLOW)


def every_packet(source: Cidr, destination: Cidr) -> list[Packet]:
    """One of each kind that the rules of these tests can tell apart."""
    found = []
    for protocol in FORMS.PROTOCOLS:
        ports = FORMS.PORTS if protocol in PORT_PROTOCOLS else (None,)
        icmp = (0, 1, 8, 255) if protocol == ICMP_PROTOCOL[source.family] else (None,)
        found += [
            Packet(source.family, protocol, source.address, destination.address, *rest)
            for rest in product(ports, ports, icmp, icmp)
        ]
    return found
