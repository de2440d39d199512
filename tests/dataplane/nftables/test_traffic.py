"""Real packets between a workload, its host and another workload: UDP over veth pairs between namespaces."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside

pytestmark = pytest.mark.kernel
HOST = "169.254.1.1"
A, B = "10.65.0.1", "10.65.0.2"
POLICY = PolicyId("NetworkPolicy", "shop", "web")
OPEN = PolicyId("Profile", "", "open")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Lab:
    """A host with two workloads, cali1 (10.65.0.1) and cali2 (10.65.0.2)."""

    def __init__(self) -> None:
        self.host = anonymous_namespace()
        self.workloads = {A: anonymous_namespace(), B: anonymous_namespace()}
        with inside(self.host):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            ip("link", "set", "lo", "up")
            ip("addr", "add", HOST + "/32", "dev", "lo")
            for number, (address, namespace) in enumerate(self.workloads.items(), 1):
                self._attach(f"cali{number}", address, namespace)
        for sender, receiver in ((A, B), (B, A)):
            self._warm_up(self.workloads[sender], self.workloads[receiver], receiver)
            self._warm_up(self.workloads[sender], self.host, HOST)
        self.target = NftablesTarget()

    def _warm_up(self, sender: int, receiver: int, destination: str) -> None:
        """Carriers come up, and neighbours are resolved, in the kernel's own time."""
        assert any(self.reaches(sender, receiver, destination, port=9) for _ in range(50))

    def _attach(self, name: str, address: str, namespace: int) -> None:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", f"/proc/{os.getpid()}/fd/{namespace}")
        ip("link", "set", name, "up")
        ip("route", "add", address + "/32", "dev", name)
        with inside(namespace):
            ip("link", "set", "lo", "up")
            ip("addr", "add", address + "/32", "dev", "eth0")
            ip("link", "set", "eth0", "up")
            ip("route", "add", HOST, "dev", "eth0", "scope", "link")
            ip("route", "add", "default", "via", HOST)

    def bring(self, desired: DesiredState, changes: Changes | None = None) -> None:
        with inside(self.host):
            actual = self.target.read()
            plan = self.target.plan(desired, actual, changes)
            if plan.operations:
                self.target.apply(plan.operations)
            self.target.applied(actual, plan)

    def reaches(self, sender: int, receiver: int, destination: str, port: int = 80, source: str = "") -> bool:
        """Whether a datagram arrives; between warm neighbours it does within the call that sends."""
        with inside(receiver):
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(sender):
            speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            if source:
                ip("addr", "add", source + "/32", "dev", "eth0")
        with listener, speaker:
            listener.bind(("0.0.0.0", port))
            listener.settimeout(0.3)
            if source:
                speaker.bind((source, 0))
            speaker.sendto(b"x", (destination, port))
            try:
                return listener.recv(10) == b"x"
            except TimeoutError:
                return False

    def close(self) -> None:
        for descriptor in (self.host, *self.workloads.values()):
            os.close(descriptor)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.close()


def desired(*rules: Rule, inactive: str = "", egress: tuple[Rule, ...] = (Rule(Action.ALLOW, 0),)) -> DesiredState:
    """Workload B receives by these rules; both send by `egress`."""
    state = DesiredState()
    state.sets = {"s:a": IPSet("s:a", Members(hosts4=Cidr.parse(A).packed))}
    state.policies = {
        POLICY: Policy(POLICY, "default", ingress=rules, egress=egress),
        OPEN: Policy(OPEN, "", ingress=(Rule(Action.ALLOW, 0),)),
    }
    governed = PolicyList((TierPolicies("default", (POLICY,), Action.DENY),), (OPEN,))
    for number, address in enumerate((A, B), 1):
        one = EndpointId("shop", f"pod{number}")
        state.endpoints[one] = Endpoint(
            one, f"cali{number}", (Cidr.parse(address),), governed, governed, active=address != inactive
        )
    return state


FROM_A = Rule(Action.ALLOW, 0, 4, 17, source=Side(sets=("s:a",)), destination=Side(ports=(PortRange(80, 80),)))


def test_workloads_without_endpoint_are_cut_off(lab: Lab) -> None:
    assert lab.reaches(lab.workloads[A], lab.workloads[B], B)
    lab.bring(DesiredState())
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B)
    assert not lab.reaches(lab.workloads[A], lab.host, HOST)


def test_what_policy_allows_arrives_and_the_rest_does_not(lab: Lab) -> None:
    lab.bring(desired(FROM_A))
    assert lab.reaches(lab.workloads[A], lab.workloads[B], B)
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B, port=81)
    assert not lab.reaches(lab.workloads[B], lab.workloads[A], A)


def test_the_policies_of_sender_and_receiver_both_apply(lab: Lab) -> None:
    lab.bring(desired(FROM_A, egress=(Rule(Action.DENY, 0),)))
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B)


def test_pass_goes_on_to_the_profiles(lab: Lab) -> None:
    lab.bring(desired(Rule(Action.PASS, 0, protocol=17, destination=Side(ports=(PortRange(80, 90),)))))
    assert lab.reaches(lab.workloads[A], lab.workloads[B], B, port=85)
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B, port=91)


def test_a_workload_uses_no_source_but_its_own(lab: Lab) -> None:
    lab.bring(desired(Rule(Action.ALLOW, 0)))
    assert lab.reaches(lab.workloads[A], lab.workloads[B], B)
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B, source="10.65.0.77")


def test_an_inactive_endpoint_neither_sends_nor_receives(lab: Lab) -> None:
    lab.bring(desired(Rule(Action.ALLOW, 0), inactive=A))
    assert not lab.reaches(lab.workloads[A], lab.workloads[B], B)
    assert not lab.reaches(lab.workloads[B], lab.workloads[A], A)


def test_the_host_reaches_its_workloads_and_they_reach_it_only_if_told_so(lab: Lab) -> None:
    lab.bring(desired())
    assert lab.reaches(lab.host, lab.workloads[A], A)
    assert not lab.reaches(lab.workloads[A], lab.host, HOST)
    lab.target.settings = Settings(endpoint_to_host=EndpointToHost.ACCEPT)
    lab.bring(desired())
    assert lab.reaches(lab.workloads[A], lab.host, HOST)


def test_an_accept_of_one_table_saves_nothing_from_the_drop_of_another(lab: Lab) -> None:
    foreign = "table ip other {{ chain c {{ type filter hook input priority {}; policy {}; }}; }}"
    lab.target.settings = Settings(endpoint_to_host=EndpointToHost.ACCEPT)
    lab.bring(desired())
    for priority in (-10, 10):
        with inside(lab.host):
            subprocess.run(["nft", foreign.format(priority, "drop")], check=True)
        assert not lab.reaches(lab.workloads[A], lab.host, HOST)
        with inside(lab.host):
            subprocess.run(["nft", "delete table ip other; " + foreign.format(priority, "accept")], check=True)
        assert lab.reaches(lab.workloads[A], lab.host, HOST)
        lab.target.settings = Settings(endpoint_to_host=EndpointToHost.DROP)
        lab.bring(desired())
        assert not lab.reaches(lab.workloads[A], lab.host, HOST)
        lab.target.settings = Settings(endpoint_to_host=EndpointToHost.ACCEPT)
        lab.bring(desired())
        with inside(lab.host):
            subprocess.run(["nft", "delete table ip other"], check=True)


def test_no_packet_is_lost_or_let_in_while_chains_are_refilled(lab: Lab) -> None:
    deny = Rule(Action.DENY, 0, 4, 17, destination=Side(ports=(PortRange(99, 99),)))
    states = [desired(deny, Rule(Action.ALLOW, 1, 4, 17)), desired(Rule(Action.ALLOW, 1, 4, 17, not_protocol=6))]
    lab.bring(states[0])
    for number in range(8):
        lab.bring(states[(number + 1) % 2], Changes(policies={POLICY}))
        assert lab.reaches(lab.workloads[A], lab.workloads[B], B, port=1000 + number)
        assert lab.reaches(lab.workloads[A], lab.workloads[B], B, port=99) == bool(not number % 2)
