"""Flows of guarded interfaces that stand, judged as if they began now."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tortie.base.addresses import Cidr
from tortie.calculation.standing_hosts import StandingHosts, concerns_standing_hosts
from tortie.calculation.verdict import Packet
from tortie.desired.failsafes import Failsafe, Failsafes
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.desired.settings import FilterSettings, NodeSettings
from tortie.desired.state import Changes, DesiredState

OWN, OTHER, POD, BEHIND, LOST = "192.0.2.1", "192.0.2.2", "10.65.0.1", "203.0.113.1", "203.0.113.9"
GUARD, OPEN = (PolicyId("GlobalNetworkPolicy", "", name) for name in ("guard", "open"))
ADDRESSES = {"eth0": (Cidr.host(OWN),), "eth1": (Cidr.host("198.51.100.1"),)}
TOWARDS = {Cidr.host(one): name for one, name in ((OTHER, "eth0"), (BEHIND, "eth1"), (POD, "cali1"))}


def state(settings: NodeSettings | None = None) -> DesiredState:
    """What comes in by eth0 is denied, but port 80; what is forwarded into it too; what goes out is open."""
    tier = (TierPolicies("default", (GUARD,), Action.DENY),)
    made = DesiredState(settings=settings)
    allowed = Rule(Action.ALLOW, 0, protocol=6, destination=Side(ports=(PortRange(80, 80),)))
    made.policies = {
        GUARD: Policy(GUARD, "default", (allowed,)),
        OPEN: Policy(OPEN, "default", (), (Rule(Action.ALLOW, 0),)),
    }
    name = HostEndpointName("guard")
    out = PolicyList((TierPolicies("default", (OPEN,), Action.DENY),))
    made.host_endpoints[name] = HostEndpoint(name, "eth0", ingress=PolicyList(tier), egress=out, forward_ingress=tier)
    return made


def flow(source: str, destination: str, port: int) -> Packet:
    return Packet(4, 6, Cidr.host(source).address, Cidr.host(destination).address, 4000, port)


@pytest.mark.parametrize(
    ("packet", "denied"),
    [
        (flow(OTHER, OWN, 80), False),
        (flow(OTHER, OWN, 81), True),
        (flow(OTHER, OWN, 22), False),
        (flow(OWN, OTHER, 81), False),
        (flow(BEHIND, OWN, 81), False),
        (flow(OTHER, BEHIND, 81), True),
        (flow(BEHIND, OTHER, 81), False),
        (flow(OTHER, POD, 80), False),
        (flow(OTHER, POD, 81), True),
        (flow(LOST, OWN, 81), False),
        (flow(OTHER, LOST, 81), False),
        (flow(POD, OWN, 81), False),
        (flow(POD, BEHIND, 81), False),
        (flow(OWN, OWN, 81), False),
    ],
)
def test_a_flow_is_denied_where_the_guard_of_its_interface_denies_it(packet: Packet, denied: bool) -> None:
    assert StandingHosts(state(), ADDRESSES, TOWARDS).is_denied(packet) == denied


def test_failsafes_are_those_in_force() -> None:
    settings = NodeSettings(FilterSettings(failsafes=Failsafes(inbound=(Failsafe(6, 81),))))
    hosts = StandingHosts(state(settings), ADDRESSES, TOWARDS)
    assert not hosts.is_denied(flow(OTHER, OWN, 81))
    assert hosts.is_denied(flow(OTHER, OWN, 22))


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({"policies": {GUARD}}, True),
        ({"policies": {PolicyId("NetworkPolicy", "shop", "other")}}, False),
        ({"host_endpoints": {HostEndpointName("gone")}}, True),
        ({"settings": True}, True),
        ({"sets": {"s:other"}}, False),
        ({}, False),
    ],
)
def test_only_changes_that_may_matter_are_looked_into(changes: Mapping[str, object], concerned: bool) -> None:
    assert concerns_standing_hosts(state(), Changes(**changes)) == concerned  # type: ignore[arg-type]
    assert not concerns_standing_hosts(DesiredState(), Changes(settings=True))
