"""Host endpoints and what is no datagram of UDP: refused connections, stray segments, echoes, other protocols."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.lab.probe.checksum import internet_checksum
from tortie.netlink.namespace import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60)]
HOST, NEAR = "192.0.2.1", "192.0.2.9"
TCP, EXPERIMENT, OTHER_EXPERIMENT = 6, 253, 254
WAIT = 0.3
"""Seconds for an answer; those that come do so at once."""

RST, ACK = 0x04, 0x10


@contextmanager
def raw(lab: Any, name: str, protocol: int) -> Iterator[socket.socket]:
    with inside(lab.namespaces[name]):
        one = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    with one:
        one.settimeout(WAIT)
        yield one


def segment(source_port: int, port: int, flags: int, sequence: int, acknowledged: int) -> bytes:
    header = struct.pack(">HHIIBBHHH", source_port, port, sequence, acknowledged, 5 << 4, flags, 1024, 0, 0)
    pseudo = socket.inet_aton(NEAR) + socket.inet_aton(HOST) + struct.pack(">BBH", 0, TCP, len(header))
    return header[:16] + struct.pack(">H", internet_checksum(pseudo + header)) + header[18:]


def connects(lab: Any, sender: str, address: str, port: int) -> str:
    """`refused`, `silent` or, when somebody listens, `open`."""
    with inside(lab.namespaces[sender]):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with speaker:
        speaker.settimeout(WAIT)
        try:
            speaker.connect((address, port))
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"
        return "open"


def only(state: Any, rule: Rule) -> PolicyList:
    """A list with one policy of one rule, for either direction."""
    policy = Policy(PolicyId("GlobalNetworkPolicy", "", f"only-{rule.protocol}"), "default", (rule,), (rule,))
    state.policies[policy.id] = policy
    return PolicyList((TierPolicies("default", (policy.id,), Action.DENY),))


def test_a_refused_connection_is_told_so(lab: Any, guarded: Any) -> None:
    some = Rule(Action.ALLOW, 0, protocol=TCP, destination=Side(ports=(PortRange(81, 81),)))
    lab.bring(guarded.endpoint("h", "eth0", ingress=only(guarded.state, some)).state)
    assert connects(lab, "near", HOST, 81) == "refused"
    assert connects(lab, "near", HOST, 82) == "silent"


def test_a_stray_segment_is_answered_with_a_reset(lab: Any, guarded: Any) -> None:
    lab.bring(guarded.endpoint("h", "eth0", is_open=True).state)
    with raw(lab, "near", TCP) as near:
        near.sendto(segment(4321, 8081, ACK, 1000, 987654321), (HOST, 0))
        answer = near.recv(200)[20:]
    source_port, port, sequence, _, _, flags = struct.unpack(">HHIIBB", answer[:14])
    assert (source_port, port, sequence, flags & RST) == (8081, 4321, 987654321, RST)


def test_other_protocols_are_judged_by_their_number(lab: Any, guarded: Any) -> None:
    lab.bring(guarded.endpoint("h", "eth0", ingress=only(guarded.state, Rule(Action.ALLOW, 0, protocol=253))).state)
    for protocol, is_allowed in ((EXPERIMENT, True), (OTHER_EXPERIMENT, False)):
        with raw(lab, "host", protocol) as host, raw(lab, "near", protocol) as near:
            near.sendto(b"hello", (HOST, 0))
            if is_allowed:
                assert host.recv(200)[20:] == b"hello"
            else:
                with pytest.raises(TimeoutError):
                    host.recv(200)


def test_errors_about_allowed_flows_come_back(lab: Any, guarded: Any) -> None:
    """Nobody listens on port 9999: the host says so, although it may send nothing of its own accord."""
    nothing, some = PolicyList(), Rule(Action.ALLOW, 0, protocol=17)
    lab.bring(guarded.endpoint("h", "eth0", ingress=only(guarded.state, some), egress=nothing).state)
    with inside(lab.namespaces["near"]):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with speaker:
        speaker.connect((HOST, 9999))
        speaker.settimeout(WAIT)
        speaker.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            speaker.recv(10)
