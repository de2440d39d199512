"""Real packets: each transport and family, against open paths, closed ports and packet filters."""

from __future__ import annotations

import pytest

from tortie.base.errors import NotFound
from tortie.lab.lab import Lab
from tortie.lab.probe.matrix import EVERY_TRANSPORT, Matrix, eventually
from tortie.lab.probe.model import Probe, Transport, Verdict

pytestmark = pytest.mark.kernel

FAMILIES = pytest.mark.parametrize("address", ["10.65.0.2", "fd00:65::2"])
TRANSPORTS = pytest.mark.parametrize("transport", list(Transport))


def filter_forwarding(lab: Lab, host: str, *rules: str) -> None:
    """Make a forward chain with these rules on a host."""
    chain = "add table inet t; add chain inet t f { type filter hook forward priority 0; }; flush chain inet t f"
    done = lab.exec(host, ["nft", "; ".join([chain, *(f"add rule inet t f {rule}" for rule in rules)])])
    assert done.returncode == 0, done.stderr


def rule(transport: Transport, family: int, verdict: str) -> str:
    """One rule about one transport and family."""
    if transport is Transport.ICMP:
        return f"{'icmp' if family == 4 else 'icmpv6'} type echo-request {verdict}"
    return f"meta nfproto ipv{family} meta l4proto {transport} {verdict}"


def allowed(tables: list[Matrix]) -> list[int]:
    """How many pairs get through, per table."""
    return [len(one.allowed()) for one in tables]


def test_every_pair_gets_through_plain_routes_with_every_transport_and_family(lab: Lab) -> None:
    assert allowed(lab.matrix()) == [2] * len(EVERY_TRANSPORT)


def test_a_rule_that_drops_one_transport_of_one_family_denies_just_that(lab: Lab) -> None:
    for position, question in enumerate(EVERY_TRANSPORT):
        filter_forwarding(lab, "h2", f"oifname cali* {rule(question.transport, question.family, 'drop')}")
        tables = lab.matrix()
        outcomes = [one.outcomes["w1", "w2"].verdict for one in tables]
        assert outcomes.pop(position) is Verdict.DENIED, str(question)
        assert set(outcomes) == {Verdict.ALLOWED}, str(question)


@FAMILIES
@TRANSPORTS
def test_a_rule_that_rejects_is_seen_as_refusal(lab: Lab, transport: Transport, address: str) -> None:
    reject = "reject with icmpx type admin-prohibited"
    filter_forwarding(lab, "h2", f"oifname cali* {rule(transport, 6 if ':' in address else 4, reject)}")
    outcome = lab.probe(Probe("w1", address, transport))[0]
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.reason


@FAMILIES
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP, Transport.SCTP])
def test_a_closed_port_refuses_and_a_listener_opens_it(lab: Lab, transport: Transport, address: str) -> None:
    probe = Probe("w1", address, transport, 4711)
    assert lab.probe(probe)[0].verdict is Verdict.REFUSED
    lab.prober.listen("w2", 4711)
    outcome = lab.probe(probe)[0]
    assert (outcome.verdict, outcome.answered_by) == (Verdict.ALLOWED, "w2")
    lab.prober.unlisten("w2", 4711)
    assert lab.probe(probe)[0].verdict is Verdict.REFUSED


@FAMILIES
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP, Transport.SCTP])
def test_a_chosen_source_port_is_the_one_sent_from(lab: Lab, transport: Transport, address: str) -> None:
    filter_forwarding(lab, "h2", "oifname cali* th sport 1234 accept", f"oifname cali* meta l4proto {transport} drop")
    outcomes = lab.probe(Probe("w1", address, transport, source_port=1234), Probe("w1", address, transport))
    assert [one.allowed for one in outcomes] == [True, False]


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP, Transport.SCTP])
def test_both_families_are_sent_from_one_port_at_once(lab: Lab, transport: Transport) -> None:
    filter_forwarding(lab, "h2", "oifname cali* th sport 1234 accept", f"oifname cali* meta l4proto {transport} drop")
    probes = [Probe("w1", address, transport, source_port=1234) for address in ("10.65.0.2", "fd00:65::2")]
    assert all(one.allowed for one in lab.probe(*probes))


def test_what_the_senders_own_filter_drops_is_denied(lab: Lab) -> None:
    drop = "add table inet t; add chain inet t o { type filter hook output priority 0; policy drop; }"
    assert lab.exec("w1", ["nft", drop]).returncode == 0
    outcomes = lab.probe(*(Probe("w1", "10.65.0.2", transport) for transport in Transport))
    assert {one.verdict for one in outcomes} == {Verdict.DENIED}


@FAMILIES
def test_connection_tracking_takes_the_sctp_handshake_for_valid(lab: Lab, address: str) -> None:
    states = "sctp chunk init-ack exists ct state established counter"
    filter_forwarding(
        lab, "h2", "ct state invalid drop", states, "sctp chunk cookie-ack exists ct state established counter"
    )
    assert lab.probe(Probe("w1", address, Transport.SCTP))[0].allowed
    listed = lab.exec("h2", ["nft", "list", "chain", "inet", "t", "f"]).stdout
    assert listed.count("counter packets 1 ") == 2, listed


def test_a_denied_handshake_opens_no_flow_that_a_later_probe_could_use(lab: Lab) -> None:
    filter_forwarding(lab, "h2", "ct state established accept", "oifname cali* drop")
    probes = [Probe("w1", "10.65.0.2", transport) for transport in Transport]
    for _ in range(3):
        assert not any(one.allowed for one in lab.probe(*probes))


def test_eventually_waits_for_what_is_expected_and_reports_what_never_comes(lab: Lab) -> None:
    probe = Probe("w1", "10.65.0.2")
    assert eventually(lab.prober, {probe: True}) == []
    filter_forwarding(lab, "h2", "oifname cali* drop")
    assert [one.verdict for one in eventually(lab.prober, {probe: True}, within=0.1)] == [Verdict.DENIED]


def test_a_probe_from_nowhere_is_an_error(lab: Lab) -> None:
    with pytest.raises(NotFound):
        lab.probe(Probe("nobody", "10.65.0.2"))
