"""Rules as nft(8) reads them: one line for each alternative, and none for what cannot match."""

from __future__ import annotations

import re
import subprocess

import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.chains import policy_chain
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.policy import Action, Direction, ICMPMatch, Policy, PolicyId, PortRange, Rule, Side
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import DesiredState

ID = PolicyId("Profile", "", "p")
NETS = (Cidr.parse("10.0.0.0/8"), Cidr.parse("10.1.0.0/16"), Cidr.parse("12.0.0.0/8"))
WEB = (PortRange(80, 80),)
ALLOW = Action.ALLOW


def render(rule: Rule) -> list[str]:
    state = DesiredState()
    state.sets = {
        "s:h": IPSet("s:h", Members()),
        "s:n": IPSet("s:n", Members(nets4=NETS)),
        "n:p": IPSet("n:p", Members(), ports=True),
    }
    state.policies = {ID: Policy(ID, "", ingress=(rule,))}
    target = NftablesTarget()
    actual = target.read()
    target.apply(target.plan(state, actual, None).operations)
    command = ["nft", "-ns", "list", "chain", "inet", "tortie", policy_chain(ID, Direction.INGRESS)]
    text = subprocess.run(command, capture_output=True, text=True, check=True)
    return [re.sub(r" ?counter .*", "", line).strip() for line in text.stdout.splitlines()[2:-2]]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (Rule(ALLOW, 0), [""]),
        (Rule(ALLOW, 0, 4), ["meta nfproto 2"]),
        (Rule(ALLOW, 0, 4, source=Side(nets=NETS)), ["ip saddr { 10.0.0.0/8, 12.0.0.0/8 }"]),
        (Rule(ALLOW, 0, 4, source=Side(nets=(Cidr.parse("0.0.0.0/0"),))), ["meta nfproto 2"]),
        (Rule(ALLOW, 0, 4, source=Side(not_nets=(Cidr.parse("0.0.0.0/0"),))), []),
        (Rule(ALLOW, 0, 6, destination=Side(not_nets=(Cidr.parse("fd00::/8"),))), ["ip6 daddr != fd00::/8"]),
        (Rule(ALLOW, 0, source=Side(sets=("s:h",))), ["ip saddr @hosts4-s.h", "ip6 saddr @hosts6-s.h"]),
        (Rule(ALLOW, 0, 4, source=Side(sets=("s:n",))), ["ip saddr @hosts4-s.n", "ip saddr @nets4-s.n"]),
        (Rule(ALLOW, 0, 4, source=Side(not_sets=("s:n",))), ["ip saddr != @hosts4-s.n ip saddr != @nets4-s.n"]),
        (
            Rule(Action.LOG, 0, 4, source=Side(sets=("s:n",))),
            ["ip saddr @hosts4-s.n", "ip saddr != @hosts4-s.n ip saddr @nets4-s.n"],
        ),
        (Rule(ALLOW, 0, None, 6, destination=Side(ports=WEB)), ["tcp dport 80"]),
        (Rule(ALLOW, 0, None, 6, source=Side(not_ports=(PortRange(0, 9), *WEB))), ["tcp sport != { 0-9, 80 }"]),
        (
            Rule(ALLOW, 0, 4, 6, destination=Side(ports=WEB, port_sets=("n:p",))),
            ["meta nfproto 2 tcp dport 80", "ip daddr . meta l4proto . tcp dport @ports4-n.p"],
        ),
        (Rule(ALLOW, 0, 4, 1, destination=Side(ports=WEB)), []),
        (Rule(ALLOW, 0, 4, icmp=ICMPMatch(8)), ["icmp type 8"]),
        (Rule(ALLOW, 0, 6, 1, icmp=ICMPMatch(8)), []),
        (Rule(ALLOW, 0, 4, 1, not_icmp=ICMPMatch(8)), ["icmp type != 8"]),
    ],
)
def test_a_rule_reads_as_meant(namespace: int, rule: Rule, lines: list[str]) -> None:
    assert render(rule) == lines
