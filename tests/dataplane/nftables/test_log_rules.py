"""Log rules: what their messages begin with, how many there are, and that the packet goes on."""

from __future__ import annotations

import os
import socket
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.log_rules import LONGEST_PREFIX, LogRate, log_text
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.desired.state import DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import as_text, attribute, attributes, be32, u8

WEB = Policy(PolicyId("NetworkPolicy", "shop", "web"), "security")
GROUP = 7
_CONFIG = 4 << 8 | 1


@pytest.mark.parametrize(
    ("prefix", "policy", "text"),
    [
        ("calico-packet", WEB, "calico-packet: "),
        ("%k %p %t", WEB, "np shop/web security: "),
        ("%n 100%", WEB, "web 100%: "),
        ("%k %p %n", Policy(PolicyId("GlobalNetworkPolicy", "", "all"), "default"), "gnp all all: "),
        ("%k %t", Policy(PolicyId("Profile", "", "kns.shop"), ""), "pro profile: "),
        ("%k", Policy(PolicyId("NetworkPolicy", "shop", "knp.default.web"), "default"), "knp: "),
        ("", WEB, ": "),
    ],
)
def test_the_prefix_names_the_policy(prefix: str, policy: Policy, text: str) -> None:
    assert log_text(prefix, policy) == text


@given(st.text(st.sampled_from("a%tknp"), max_size=80), st.text(st.sampled_from("ab-"), min_size=1, max_size=253))
def test_a_prefix_is_never_longer_than_the_kernel_keeps(prefix: str, name: str) -> None:
    text = log_text(prefix, Policy(PolicyId("NetworkPolicy", "n" * 63, name), "default"))
    assert len(text) <= LONGEST_PREFIX
    assert text.endswith(": ")


@pytest.mark.parametrize("text", ["", "0/second", "10", "10/week", "99999/day", "1/second "])
def test_a_rate_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use a rate such as"):
        LogRate.parse(text)


def listen(group: int) -> NetlinkSocket:
    """A socket that hears an nflog group (linux/netfilter/nfnetlink_log.h): bind, then copy packets."""
    reader = NetlinkSocket(NETLINK_NETFILTER, timeout=0.3)
    header = struct.pack(">BBH", 0, 0, group)
    reader.request(_CONFIG, 0, header + u8(1, 1), "bind nflog group")
    at_once = be32(5, 1)
    reader.request(_CONFIG, 0, header + attribute(2, struct.pack(">IBx", 64, 2)) + at_once, "copy packets")
    return reader


def prefixes(reader: NetlinkSocket, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [as_text(attributes(one.payload, 4).get(10, b"")) for one in reader.receive()]
    return found


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.mark.kernel
def test_the_kernel_logs_what_matches_within_the_rate_and_lets_it_go_on(namespace: int) -> None:
    pod = anonymous_namespace()
    ip("link", "add", "cali1", "type", "veth", "peer", "name", "eth0", "netns", f"/proc/{os.getpid()}/fd/{pod}")
    ip("link", "set", "cali1", "up")
    ip("addr", "add", "10.65.0.1/32", "dev", "cali1")
    ip("route", "add", "10.65.0.2/32", "dev", "cali1")
    with inside(pod):
        ip("addr", "add", "10.65.0.2/24", "dev", "eth0")
        ip("link", "set", "eth0", "up")
    rate = LogRate(1, 86400, burst=2)
    chosen = Settings(endpoint_to_host=EndpointToHost.RETURN, log_prefix="%k %p %t", log_rate=rate, log_group=GROUP)
    target = NftablesTarget(chosen)
    actual = target.read()
    target.apply(target.plan(logging(), actual, None).operations)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.65.0.1", 80))
    receiver.settimeout(5)
    with receiver, listen(GROUP) as reader:
        for port in range(1000, 1004):
            with inside(pod), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
                fresh.bind(("10.65.0.2", port))
                fresh.sendto(b"x", ("10.65.0.1", 80))
            assert receiver.recv(10) == b"x"
        assert prefixes(reader, 2) == ["np shop/web security: "] * 2
        with pytest.raises(Exception, match="receive from netlink"):
            prefixes(reader, 1)
    os.close(pod)


def logging() -> DesiredState:
    """A workload whose datagrams to port 80 are logged and allowed."""
    port = Side(ports=(PortRange(80, 80),))
    rules = (Rule(Action.LOG, 0, None, 17, destination=port), Rule(Action.ALLOW, 1))
    policies = PolicyList((TierPolicies("security", (WEB.id,), Action.DENY),))
    pod = EndpointId("shop", "pod")
    return DesiredState(
        policies={WEB.id: Policy(WEB.id, "security", egress=rules)},
        endpoints={pod: Endpoint(pod, "cali1", (Cidr.parse("10.65.0.2"),), PolicyList(), policies)},
    )
