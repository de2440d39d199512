"""The compiled form of policy as formulas for an SMT solver, written from its meaning alone. Loaded by path.

Nothing of `tortie.analysis` is used but to read out the set of packets that is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import z3

from tortie.analysis.packets import Field, PacketSet
from tortie.base.addresses import Cidr
from tortie.calculation.verdict import Packet
from tortie.desired.packed import unpack
from tortie.desired.policy import Action, ICMPMatch, Policy, PolicyId, PolicyList, PortRange, Rule, SetId, Side
from tortie.desired.sets import IPSet

Formula = Any

SIX = z3.Bool("six")
PROTOCOL = z3.BitVec("protocol", 8)
SOURCE, DESTINATION = z3.BitVec("source", 128), z3.BitVec("destination", 128)
SOURCE_PORT, DESTINATION_PORT = z3.BitVec("source_port", 16), z3.BitVec("destination_port", 16)
KIND, CODE = z3.BitVec("kind", 8), z3.BitVec("code", 8)

HAS_PORTS = z3.Or([number == PROTOCOL for number in (6, 17, 132, 136)])
IS_ICMP = z3.If(SIX, PROTOCOL == 58, PROTOCOL == 1)
POSSIBLE = z3.Or(SIX, z3.And([z3.ULT(one, 1 << 32) for one in (SOURCE, DESTINATION)]))
"""What every packet is: addresses of IPv4 have 32 bits."""


def allowed(governing: PolicyList, policies: Mapping[PolicyId, Policy], sets: Mapping[SetId, IPSet]) -> Formula:
    """The packets that ingress allows: first match in a policy, pass leads out of the tier, the end denies."""
    verdict: Formula = z3.BoolVal(False)
    for profile in reversed(governing.profiles):
        # A pass in a profile goes on to the next one.
        verdict = _policy(policies[profile], sets, onwards=verdict, passed=verdict)
    for tier in reversed(governing.tiers):
        after = verdict
        ended: Formula = after if tier.default_action is Action.PASS else z3.BoolVal(False)
        for name in reversed(tier.policies):
            ended = _policy(policies[name], sets, onwards=ended, passed=after)
        verdict = ended
    return verdict


def _policy(policy: Policy, sets: Mapping[SetId, IPSet], onwards: Formula, passed: Formula) -> Formula:
    for rule in reversed(policy.ingress):
        if rule.action is not Action.LOG:
            then = passed if rule.action is Action.PASS else z3.BoolVal(rule.action is Action.ALLOW)
            onwards = z3.If(_rule(rule, sets), then, onwards)
    return onwards


def _rule(rule: Rule, sets: Mapping[SetId, IPSet]) -> Formula:
    said = [_side(rule.source, SOURCE, SOURCE_PORT, sets), _side(rule.destination, DESTINATION, DESTINATION_PORT, sets)]
    if rule.family is not None:
        said.append(_is_family(rule.family))
    if rule.protocol is not None:
        said.append(rule.protocol == PROTOCOL)
    if rule.not_protocol is not None:
        said.append(rule.not_protocol != PROTOCOL)
    if rule.icmp is not None:
        said.append(_icmp(rule.icmp))
    if rule.not_icmp is not None:
        said.append(z3.Not(_icmp(rule.not_icmp)))
    return z3.And(said)


def _icmp(match: ICMPMatch) -> Formula:
    code = [] if match.code is None else [match.code == CODE]
    return z3.And(IS_ICMP, match.type == KIND, *code)


def _side(side: Side, address: Formula, port: Formula, sets: Mapping[SetId, IPSet]) -> Formula:
    said = [z3.Not(_in_nets(side.not_nets, address)), z3.Not(_in_ports(side.not_ports, port))]
    said += [] if not side.nets else [_in_nets(side.nets, address)]
    said += [_member(sets[one], address) for one in side.sets]
    said += [z3.Not(_member(sets[one], address)) for one in side.not_sets]
    said += [z3.Not(_listed(sets[one], address, port)) for one in side.not_port_sets]
    said += [_listed(sets[one], address, port) for one in side.service_sets]
    if side.ports or side.port_sets:
        said.append(z3.Or(_in_ports(side.ports, port), *(_listed(sets[one], address, port) for one in side.port_sets)))
    return z3.And(said)


def _is_family(family: int) -> Formula:
    return SIX if family == 6 else z3.Not(SIX)


def _between(value: Formula, first: int, last: int) -> Formula:
    return z3.And(z3.UGE(value, first), z3.ULE(value, last))


def _in_nets(nets: Iterable[Cidr], address: Formula) -> Formula:
    return z3.Or([z3.And(_is_family(one.family), _between(address, one.address, one.last)) for one in nets])


def _in_ports(ranges: Iterable[PortRange], port: Formula) -> Formula:
    return z3.And(HAS_PORTS, z3.Or([_between(port, one.first, one.last) for one in ranges]))


def _member(whole: IPSet, address: Formula) -> Formula:
    one = whole.members
    hosts = [
        z3.And(_is_family(family), address == int.from_bytes(raw, "big"))
        for family, packed in ((4, one.hosts4), (6, one.hosts6))
        for raw in unpack(packed, 4 if family == 4 else 16)
    ]
    return z3.Or(_in_nets((*one.nets4, *one.nets6), address), *hosts)


def _listed(whole: IPSet, address: Formula, port: Formula) -> Formula:
    found = []
    for family, packed, width in ((4, whole.members.ports4, 7), (6, whole.members.ports6, 19)):
        for raw in unpack(packed, width):
            holder, protocol, number = int.from_bytes(raw[:-3], "big"), raw[-3], int.from_bytes(raw[-2:], "big")
            found.append(z3.And(_is_family(family), address == holder, protocol == PROTOCOL, port == number))
    return z3.And(HAS_PORTS, z3.Or(found))


_VARIABLES = {
    Field.PROTOCOL: PROTOCOL,
    Field.SOURCE: SOURCE,
    Field.DESTINATION: DESTINATION,
    Field.SOURCE_PORT: SOURCE_PORT,
    Field.DESTINATION_PORT: DESTINATION_PORT,
    Field.ICMP_TYPE: KIND,
    Field.ICMP_CODE: CODE,
}


def formula(packets: PacketSet) -> Formula:
    """A set of packets, box by box."""
    return z3.Or([z3.And([_interval(Field(field), *span) for field, span in path.items()]) for path in packets.paths()])


def _interval(field: Field, first: int, last: int | None) -> Formula:
    if field is Field.FAMILY:
        return z3.Or([SIX if value else z3.Not(SIX) for value in range(first, (1 if last is None else last) + 1)])
    value = _VARIABLES[field]
    return z3.UGE(value, first) if last is None else _between(value, first, last)


def difference(one: Formula, other: Formula) -> Packet | None:
    """A packet that is in one and not in the other; None when there is a proof that there is none."""
    solver = z3.Solver()
    solver.add(POSSIBLE, z3.Xor(one, other))
    verdict = solver.check()
    if verdict == z3.unsat:
        return None
    assert verdict == z3.sat, verdict
    model = solver.model()

    def value(variable: Formula) -> int:
        return int(model.eval(variable, model_completion=True).as_long())

    family = 6 if z3.is_true(model.eval(SIX, model_completion=True)) else 4
    ports, icmp = z3.is_true(model.eval(HAS_PORTS)), z3.is_true(model.eval(IS_ICMP, model_completion=True))
    return Packet(
        family,
        value(PROTOCOL),
        value(SOURCE),
        value(DESTINATION),
        value(SOURCE_PORT) if ports else None,
        value(DESTINATION_PORT) if ports else None,
        value(KIND) if icmp else None,
        value(CODE) if icmp else None,
    )
