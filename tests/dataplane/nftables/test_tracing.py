"""Traced packets in a real kernel: every way to be dropped has its name, and the table goes with its socket."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.nftables.layout import workload
from tortie.dataplane.nftables.rules import identity_of
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.nftables.trace_table import TraceFilter, trace_requests, trace_table
from tortie.dataplane.nftables.tracing import Decided, Tracing
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, Rule, TierPolicies
from tortie.desired.state import DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.nftables import INET, Table
from tortie.netlink.nftables_batch import commit
from tortie.netlink.nftables_trace import TRACES, Trace, TraceKind, parse_trace
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket

pytestmark = pytest.mark.kernel
HOST, POD, STRANGER = "10.65.0.1", "10.65.0.2", "10.65.0.3"
WEB = PolicyId("NetworkPolicy", "shop", "web")
STAGED = PolicyId("StagedNetworkPolicy", "shop", "strict")
OPEN = PolicyId("Profile", "", "open")
ENDPOINT = EndpointId("shop", "pod")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Node:
    """A host with one workload, whose datagrams to the host are judged by its egress policy."""

    def __init__(self, names: Path) -> None:
        self.pod = anonymous_namespace()
        peer = f"/proc/{os.getpid()}/fd/{self.pod}"
        run("ip", "link", "add", "cali1", "type", "veth", "peer", "name", "eth0", "netns", peer)
        run("ip", "link", "set", "cali1", "up")
        run("ip", "addr", "add", f"{HOST}/24", "dev", "cali1")
        with inside(self.pod):
            run("ip", "addr", "add", f"{POD}/24", "dev", "eth0")
            run("ip", "link", "set", "eth0", "up")
        self._warm_up()
        self.target = NftablesTarget(Settings(endpoint_to_host=EndpointToHost.RETURN), names)

    def _warm_up(self) -> None:
        """Carriers come up, and neighbours are resolved, in the kernel's own time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind((HOST, 9))
            receiver.settimeout(0.3)
            for _ in range(50):
                self.send(9)
                with suppress(TimeoutError):
                    receiver.recv(1)
                    return
        raise AssertionError("nothing arrives")

    def bring(self, egress: PolicyList, *policies: Policy, address: str = POD) -> None:
        state = DesiredState(policies={policy.id: policy for policy in policies})
        state.endpoints = {ENDPOINT: Endpoint(ENDPOINT, "cali1", (Cidr.parse(address),), PolicyList(), egress)}
        self.program(state)

    def program(self, state: DesiredState) -> None:
        actual = self.target.read()
        plan = self.target.plan(state, actual, None)
        self.target.apply(plan.operations)
        self.target.applied(actual, plan)

    def send(self, port: int = 80) -> None:
        with inside(self.pod), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"x", (HOST, port))

    def decided(self, wanted: TraceFilter | None = None, port: int = 80) -> list[Decided]:
        """What one datagram gives a watcher."""
        tags = {rule.handle: rule.comment for rule in self.target.rules()}
        tracing = Tracing(Table(INET, "tortie"), tags.get, lambda tag: self.target.rule_name(identity_of(tag)))
        with NetlinkSocket(NETLINK_NETFILTER, (TRACES,), timeout=0.2) as reader:
            commit(reader, list(trace_requests(trace_table(1), wanted or TraceFilter(("cali",)))))
            self.send(port)
            return [one for trace in traces(reader) if is_datagram(trace) and (one := tracing.take(trace))]


def traces(reader: NetlinkSocket) -> Iterator[Trace]:
    while True:
        try:
            yield from filter(None, map(parse_trace, reader.receive()))
        except KernelError:
            return


def is_datagram(trace: Trace) -> bool:
    """Not of IPv6, which speaks unasked."""
    return trace.protocol in (0, 2)


@pytest.fixture
def node(namespace: int, tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "rules")
    yield made
    os.close(made.pod)


def tier(*policies: PolicyId) -> tuple[TierPolicies, ...]:
    return (TierPolicies("default", policies, Action.DENY),)


def reasons(found: list[Decided]) -> list[str]:
    return [one.reason for one in found if not one.allowed]


def test_every_way_to_be_dropped_has_its_name(node: Node) -> None:
    node.program(DesiredState())
    assert reasons(node.decided()) == ["unknown interface"]
    node.bring(PolicyList(), address=STRANGER)
    assert reasons(node.decided()) == ["spoofed source"]
    node.bring(PolicyList())
    assert reasons(node.decided()) == ["no profile matched"]
    node.bring(PolicyList(tier(WEB)), Policy(WEB, "default"))
    assert reasons(node.decided()) == ["end of tier default"]
    run("nft", "add table ip other; add chain ip other c { type filter hook input priority -1; policy drop; }")
    assert reasons(node.decided()) == ["policy of chain c, table ip other"]


def test_the_rule_that_decides_is_named(node: Node) -> None:
    rules = (Rule(Action.LOG, 0), Rule(Action.DENY, 1, protocol=6), Rule(Action.ALLOW, 2))
    node.bring(PolicyList(tier(WEB)), Policy(WEB, "default", egress=rules))
    (found,) = node.decided()
    assert found.rule is not None and found.allowed
    assert (found.rule.kind, found.rule.namespace, found.rule.name, found.rule.index) == (*astuple(WEB), 2)


def astuple(policy: PolicyId) -> tuple[str, str, str]:
    return policy.kind, policy.namespace, policy.name


def test_what_is_staged_says_what_it_would_have_decided(node: Node) -> None:
    allow = Policy(OPEN, "", egress=(Rule(Action.ALLOW, 0),))
    deny = Policy(STAGED, "default", egress=(Rule(Action.DENY, 0, protocol=17),))
    node.bring(PolicyList((), (OPEN,), tier(STAGED)), allow, deny)
    (found,) = node.decided()
    assert found.allowed
    assert found.staged == "Deny by StagedNetworkPolicy shop/strict egress rule 0"
    node.bring(PolicyList((), (OPEN,), tier(STAGED)), allow, Policy(STAGED, "default"))
    (found,) = node.decided()
    assert found.staged == "Deny by end of tier default"


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ({}, True),
        ({"port": 80}, True),
        ({"port": 81}, False),
        ({"port": 80, "protocol": 17}, True),
        ({"protocol": 6}, False),
        ({"source": Cidr.parse("10.65.0.0/24"), "destination": Cidr.host(HOST)}, True),
        ({"source": Cidr.parse("10.66.0.0/24")}, False),
        ({"source": Cidr.parse("fd00::/8")}, False),
        ({"interface": "cali1"}, True),
        ({"interface": "cali11"}, False),
    ],
)
def test_only_what_is_asked_for_is_traced(node: Node, wanted: dict[str, object], seen: bool) -> None:
    node.bring(PolicyList())
    assert bool(node.decided(TraceFilter(("cali",), **wanted))) == seen


def step(**more: object) -> Trace:
    """Dropped by rule 5 of our table."""
    return msgspec.structs.replace(Trace(1, INET, "tortie", "policy-x", TraceKind.RULE, 5, 0), **more)


def test_a_rule_that_nobody_knows_any_more_is_told_by_its_number() -> None:
    tracing = Tracing(Table(INET, "tortie"), {}.get, lambda _: None)
    found = tracing.take(step(network=b"headers"))
    assert found is not None and not found.allowed
    assert found.reason == "rule 5 of chain policy-x, table inet tortie"
    assert tracing.take(step(verdict=1)) is None
    cut = tracing.take(step(table="tortie-cut"))
    assert cut is not None and cut.reason == "flow cut when policy changed"


def test_where_steps_were_lost_none_is_laid_to_a_packet_from_before() -> None:
    tracing = Tracing(Table(INET, "tortie"), {}.get, lambda _: None)
    assert tracing.take(step(network=b"headers"))
    assert tracing.take(step())
    tracing.forget()
    assert tracing.take(step()) is None


def test_no_more_than_the_rate_is_traced(node: Node) -> None:
    node.bring(PolicyList())
    with NetlinkSocket(NETLINK_NETFILTER, (TRACES,), timeout=0.2) as reader:
        commit(reader, list(trace_requests(trace_table(1), TraceFilter(("cali",), rate=1))))
        for port in range(1000, 1040):
            node.send(port)
        packets = {trace.packet for trace in traces(reader) if trace.table == "tortie" and is_datagram(trace)}
    assert 0 < len(packets) < 40


def test_sources_that_are_allowed_are_not_traced_before_policy(node: Node) -> None:
    node.bring(PolicyList())
    endpoint = Endpoint(ENDPOINT, "cali1", (Cidr.parse(POD),), PolicyList(), PolicyList())
    wanted = TraceFilter(("cali",), sources=workload(endpoint, "", "").sources)
    with NetlinkSocket(NETLINK_NETFILTER, (TRACES,), timeout=0.2) as reader:
        commit(reader, list(trace_requests(trace_table(1), wanted)))
        node.send()
        chains = {trace.chain for trace in traces(reader) if is_datagram(trace)}
    assert "antispoofing" not in chains
    assert "workload-to-host" in chains


def test_the_kernel_forgets_the_table_with_its_socket(node: Node) -> None:
    node.bring(PolicyList())
    before = run("nft", "-s", "-a", "list", "ruleset")
    node.decided()
    assert run("nft", "-s", "-a", "list", "ruleset") == before
