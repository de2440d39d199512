"""What the host itself is sent: every setting beside every host endpoint and a table of somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from tortie.dataplane.nftables.settings import EndpointToHost
from tortie.desired.policy import Action, PolicyList

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
ALLOW, DENY = Action.ALLOW, Action.DENY
ACCEPT, DROP, RETURN = EndpointToHost.ACCEPT, EndpointToHost.DROP, EndpointToHost.RETURN
HOST = ("192.0.2.1", "fd00:2::1")
POD = "10.65.0.1"
PORT = 81


@pytest.fixture
def lab(lab: Any) -> Iterator[Any]:
    before = lab.target.settings
    yield lab
    lab.target.settings = before


def reached(lab: Any, sender: str, *ports: int, receiver: str = "host") -> list[bool]:
    """Which ports of the host's addresses get a datagram to its receiver; IPv4 and IPv6 fare alike."""
    shots = [[lab.shot(sender, address, port, receiver) for port in ports] for address in HOST]
    found = lab.arrived([one for row in shots for one in row])
    four, six = ([one in found for one in row] for row in shots)
    assert four == six
    return four


def to_host(lab: Any, action: EndpointToHost) -> None:
    lab.target.settings = msgspec.structs.replace(lab.target.settings, endpoint_to_host=action)


@contextmanager
def foreign_input(lab: Any, policy: str) -> Iterator[None]:
    """Another program's table, which ends what is for the host in one way."""
    lab.run("host", "nft", "add table inet other")
    chain = f"{{ type filter hook input priority 10; policy {policy}; }}"
    lab.run("host", "nft", f"add chain inet other input {chain}")
    try:
        yield
    finally:
        lab.run("host", "nft", "delete table inet other")


def guard(guarded: Any, kind: str) -> None:
    """A host endpoint with the policy that is named."""
    interface = "eth0" if kind.startswith("eth0") else "*"
    match kind.partition(" ")[2]:
        case "denies":
            guarded.endpoint("h", interface, ingress=PolicyList(guarded.tiers(DENY)))
        case "denies early":
            guarded.endpoint("h", interface, is_open=True, pre_dnat=guarded.early(DENY))
        case "allows early":
            guarded.endpoint("h", interface, pre_dnat=guarded.early(ALLOW))


@pytest.mark.parametrize("action", [ACCEPT, RETURN, DROP], ids=lambda action: action.value)
@pytest.mark.parametrize(
    "kind", ["nobody", "eth0 denies", "* denies", "eth0 denies early", "* denies early", "* allows early"]
)
def test_the_setting_and_early_policy_of_a_wildcard_decide_and_nobody_overrides_a_drop(
    lab: Any, guarded: Any, kind: str, action: EndpointToHost
) -> None:
    """A table of ours cannot save what another one drops: the accepting settings mean only what is ours."""
    to_host(lab, action)
    guard(guarded, kind)
    lab.bring(guarded.state)
    for policy in ("accept", "drop") if kind in ("nobody", "* allows early") else ("accept",):
        with foreign_input(lab, policy):
            expected = action is not DROP and policy == "accept" and kind != "* denies early"
            assert reached(lab, "pod1", PORT) == [expected]


@pytest.mark.parametrize("action", [ACCEPT, RETURN], ids=lambda action: action.value)
def test_the_workloads_own_policy_comes_first(lab: Any, guarded: Any, action: EndpointToHost) -> None:
    to_host(lab, action)
    shut = PolicyList(guarded.tiers(DENY, 80, end=Action.PASS), guarded.profiles)
    for one, endpoint in guarded.state.endpoints.items():
        guarded.state.endpoints[one] = msgspec.structs.replace(endpoint, egress=shut)
    lab.bring(guarded.state)
    assert reached(lab, "pod1", 80, PORT) == [False, True]


@pytest.mark.parametrize("interface", ["eth0", "*"])
def test_a_port_of_the_host_is_shut_by_an_endpoint_and_opened_by_early_policy(
    lab: Any, guarded: Any, interface: str
) -> None:
    assert reached(lab, "near", PORT) == [True]
    for early, opened in (((), False), (guarded.early(ALLOW, 80), False), (guarded.early(ALLOW, PORT), True)):
        lab.bring(guarded.endpoint("h", interface, pre_dnat=early).state)
        assert reached(lab, "near", PORT) == [opened]


@pytest.mark.parametrize("interface", ["eth0", "*"])
def test_workloads_reach_a_node_port_unless_a_wildcard_shuts_it(lab: Any, guarded: Any, interface: str) -> None:
    """Early policy sees the port that the sender wrote, not the one behind the translation."""
    named = interface == "eth0"
    for ports, workload, outsider in (((), named, False), ((32010,), True, True), ((80,), named, False)):
        holes = guarded.early(ALLOW, *ports) if ports else ()
        lab.bring(guarded.endpoint("h", interface, pre_dnat=(*holes, *guarded.early(DENY))).state)
        assert reached(lab, "pod2", 32010, receiver="pod1") == [workload]
        assert reached(lab, "near", 32010, receiver="pod1") == [outsider]
        assert reached(lab, "near", 32011, receiver="far") == [False]
    assert lab.arrives("host", POD)
