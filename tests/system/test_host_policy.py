"""What host endpoints of two hosts let through, by packets of both families between them and their workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tortie.lab.topology import Topology

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from model import yard
    from model.yard import Net, policy, tier

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

INTERFACES = pytest.mark.parametrize("interface", ["eth0", "*"])
BOTH_WAYS = "types: [Ingress, Egress]"
EVERYTHING = f"{BOTH_WAYS}, ingress: [{{action: Allow}}], egress: [{{action: Allow}}]"


@pytest.fixture(scope="module")
def net(new_topology: Callable[..., Topology]) -> Iterator[Net]:
    with yard.net(new_topology()) as found:
        yield found


@pytest.fixture
def services(net: Net) -> Iterator[None]:
    net.offer_services()
    yield
    net.withdraw_services()


def about_hosts(name: str, spec: str, selector: str = "has(host)", tier: str = "default") -> str:
    """A policy for hosts, or for one of them."""
    return policy(name, f"selector: {selector}, {spec}", "GlobalNetworkPolicy", tier)


def both(net: Net, interface: str = "eth0", is_open: bool = False) -> list[str]:
    """An endpoint on each host."""
    return [net.host_endpoint(host, interface, is_open) for host in ("h1", "h2")]


def test_ports_of_hosts_have_names(net: Net) -> None:
    """In what the guarded host receives, and in what others may send it."""
    to_web = "{action: Allow, protocol: TCP, destination: {ports: [web], selector: has(host)}}"
    net.bring(*both(net), about_hosts("p", f"{BOTH_WAYS}, ingress: [{to_web}], egress: [{to_web}]"))
    net.expect(
        "h1>h2:8055 h2>h1:8055 w0>h2:8055 w2>h1:8055",
        "h1>h2:8056 h2>h1:8056 w0>h2:8056 h1>h2:8055/udp h1>w2:80 h1>h2:80",
    )
    to_web = "{action: Allow, protocol: TCP, destination: {ports: [web], selector: host == 'h2'}}"
    net.bring(*both(net, is_open=True), about_hosts("p", f"egress: [{to_web}]", "name == 'w0'"))
    net.expect("w0>h2:8055 w1>h2:8056", "w0>h2:8056 w0>w2:80 w0>w1:80")


@INTERFACES
def test_an_endpoint_without_policy_shuts_the_host_and_neither_its_workloads_nor_its_lifelines(
    net: Net, services: None, interface: str
) -> None:
    """Its own workloads are reached, by a service too; those of others are behind the interface."""
    net.bring(net.host_endpoint("h1", interface))
    net.expect(
        "h1>w0 h1>w1 h1>s0 w0>w2 w2>w0 w0>s2 w2>s0 w0>s1 h1>h2:6443 h1>h2:5473 h2>h1:6443 h2>h1:22 fabric>h1:22",
        "h1>h2 h1>w2 h1>s2 h1>h2:22 h2>h1 w2>h1 h1>h2/icmp h2>h1/icmp fabric>h1",
    )
    for protocol in (253, 254):
        assert net.carries("h1", "h2", protocol) == net.carries("h2", "h1", protocol) == [False, False]


def test_each_direction_of_each_host_is_asked_for_itself(net: Net) -> None:
    t1 = tier("t1", 1)
    out = about_hosts("out", "types: [Egress], egress: [{action: Allow}]", "host == 'h1'", "t1")
    for action, opened in (("Allow", True), ("Deny", False)):
        into = about_hosts("in", f"types: [Ingress], ingress: [{{action: {action}}}]", "host == 'h2'", "t1")
        net.bring(t1, *both(net), out, into)
        net.expect("h1>h2" if opened else "h1>w2", "h2>h1 h2>w0" if opened else "h1>h2 h2>h1")


def test_protocols_without_ports_go_by_number(net: Net) -> None:
    rules = "[{action: Allow, protocol: 253}]"
    net.bring(*both(net), about_hosts("p", f"{BOTH_WAYS}, ingress: {rules}, egress: {rules}"))
    assert net.carries("h1", "h2", 253) == [True, True]
    assert net.carries("h1", "h2", 254) == [False, False]


def test_what_a_host_may_not_send_reaches_neither_hosts_nor_workloads_elsewhere(net: Net) -> None:
    shut = about_hosts("p", "types: [Egress], egress: [{action: Deny}]", "host == 'h1'")
    net.bring(*both(net, is_open=True), shut)
    net.expect("h2>h1 h2>w0 h1>w0 w0>w2", "h1>h2 h1>w2")


def test_policy_about_forwarding_judges_what_crosses_the_interface(net: Net) -> None:
    forward = "applyOnForward: true"
    some = f"{forward}, {BOTH_WAYS}, ingress: [{{action: Allow, source: {{selector: name == 'w2'}}}}]"
    net.bring(
        *both(net),
        about_hosts("a", f"{forward}, {EVERYTHING}", "host == 'h1'"),
        about_hosts("b", f"{some}, egress: [{{action: Allow}}]", "host == 'h2'"),
    )
    net.expect("w2>w0 w2>h1 h1>w0 h2>w2 h2>h1", "h1>h2 h1>w2 w0>w2 w0>h2")


@INTERFACES
def test_policy_about_forwarding_never_parts_a_host_from_its_own_workloads(net: Net, interface: str) -> None:
    shut = "applyOnForward: true, types: [Ingress, Egress]"
    net.bring(*both(net, interface, is_open=True), about_hosts("p", shut))
    net.expect("h1>w0 h2>w2" + (" w0>w1" if interface == "eth0" else ""), "w0>w2 h1>w2")


def test_policy_about_the_host_alone_leaves_what_it_forwards(net: Net) -> None:
    net.bring(net.host_endpoint("h1"), about_hosts("p", BOTH_WAYS))
    net.expect("w0>w2 w0>h2 w2>w0", "h1>h2 h2>h1")


def test_untracked_policy_needs_both_ways_of_both_hosts(net: Net) -> None:
    raw = "doNotTrack: true, applyOnForward: true"
    whole = about_hosts("raw", f"{raw}, {EVERYTHING}")
    net.bring(*both(net), whole)
    net.expect("h1>h2:8055 h2>h1:8055 h1>h2:8056 h2>h1:2379 h1>h2:22 h1>h2:8055/udp h2>h1/icmp")
    for way in ("ingress", "egress"):
        back = {"ingress": "egress", "egress": "ingress"}[way]
        ends = f"types: [{back.title()}], {back}: [{{action: Allow}}]"
        shut = f"{BOTH_WAYS}, {back}: [{{action: Allow}}], {way}: [{{action: Deny}}]"
        for spec in (ends, shut):
            net.bring(
                *both(net),
                about_hosts("raw", f"{raw}, {EVERYTHING}", "host == 'h2'"),
                about_hosts("half", f"{raw}, {spec}", "host == 'h1'"),
            )
            lifelines = "h1>h2:2379 h2>h1:2379 h2>h1:22 fabric>h1:22"
            net.expect(lifelines, "h1>h2:8055 h2>h1:8055 h1>h2:22")
