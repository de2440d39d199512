"""Flows that stand, judged as if they began now."""

from __future__ import annotations

import pytest

from tortie.base.addresses import Cidr
from tortie.calculation.standing import Standing, affected
from tortie.calculation.verdict import Packet
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, Rule, Side, TierPolicies
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState

A, B, HOST, OUTSIDE = "10.65.0.1", "10.65.0.2", "10.65.0.254", "192.0.2.1"
WEB, OTHER = (PolicyId("NetworkPolicy", "shop", name) for name in ("web", "other"))
OPEN = PolicyId("Profile", "", "open")
ANY = (Rule(Action.ALLOW, 0),)
FROM_A = (Rule(Action.ALLOW, 0, 4, 6, source=Side(sets=("s:a",))),)


def state(*, active: bool = True) -> DesiredState:
    """B receives TCP from A alone; everybody sends what he likes."""
    made = DesiredState(sets={"s:a": IPSet("s:a", Members(hosts4=Cidr.parse(A).packed))})
    made.policies = {
        WEB: Policy(WEB, "default", FROM_A),
        OTHER: Policy(OTHER, "default", ANY),
        OPEN: Policy(OPEN, "", ANY, ANY),
    }
    everything = PolicyList((), (OPEN,))
    web = PolicyList((TierPolicies("default", (WEB,), Action.DENY),), (OPEN,))
    for name, address, ingress in (("a", A, everything), ("b", B, web)):
        one = EndpointId("shop", name)
        made.endpoints[one] = Endpoint(one, f"cali{name}", (Cidr.parse(address),), ingress, everything, active=active)
    return made


def flow(source: str, destination: str, protocol: int = 6) -> Packet:
    return Packet(4, protocol, Cidr.parse(source).address, Cidr.parse(destination).address, 4000, 80)


@pytest.mark.parametrize(
    ("packet", "denied"),
    [
        (flow(A, B), False),
        (flow(A, B, 17), True),
        (flow(OUTSIDE, B), True),
        (flow(OUTSIDE, A), False),
        (flow(B, OUTSIDE), False),
        (flow(HOST, B), False),
        (flow(OUTSIDE, OUTSIDE), False),
    ],
)
def test_a_flow_is_denied_where_either_of_its_workloads_denies_it(packet: Packet, denied: bool) -> None:
    assert Standing(state(), [Cidr.parse(HOST)]).is_denied(packet) == denied


def test_what_changes_later_is_not_seen() -> None:
    now = state()
    standing = Standing(now)
    now.policies.clear()
    assert standing.is_denied(flow(A, B, 17))
    assert not Standing(state(active=False)).is_denied(flow(A, B, 17))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (Changes(policies={WEB}), "b"),
        (Changes(policies={OTHER}), ""),
        (Changes(policies={OPEN}), "ab"),
        (Changes(sets={"s:a"}), "b"),
        (Changes(set_changes={"s:a": []}), "b"),
        (Changes(endpoints={EndpointId("shop", "a"), EndpointId("shop", "gone")}), "a"),
    ],
)
def test_only_what_a_change_reaches_is_looked_at(changes: Changes, names: str) -> None:
    assert {one.name for one in affected(state(), changes)} == set(names)
