"""`tortie describe`, and rules in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from tortie.api.kinds import KINDS
from tortie.api.rules import Rule
from tortie.cli.sentences import endpoints_of, rule_sentence

Run = Callable[..., Result]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OF_EACH_KIND = Path(__file__).resolve().parents[2] / "docs/reference/examples"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"action": "Allow"}, "Allow everything"),
        ({"action": "Deny", "protocol": "TCP", "ipVersion": 6}, "Deny IPv6 TCP"),
        ({"action": "Allow", "protocol": 112}, "Allow protocol 112"),
        ({"action": "Allow", "notProtocol": "UDP"}, "Allow everything but UDP"),
        ({"action": "Log", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}}, "Log ICMP type 8 code 0"),
        ({"action": "Pass", "protocol": "ICMP", "notICMP": {"type": 8}}, "Pass ICMP but ICMP type 8"),
        (
            {"action": "Allow", "protocol": "TCP", "source": {"selector": "a == 'b'"}, "destination": {"ports": [80]}},
            "Allow TCP from endpoints with a == 'b' to port 80",
        ),
        (
            {
                "action": "Allow",
                "protocol": "TCP",
                "source": {"selector": "all()", "namespaceSelector": "team == 'x'", "ports": ["1024:2048"]},
                "destination": {"nets": ["10.0.0.0/8", "fd00::/8"], "ports": [80, "http"]},
            },
            "Allow TCP from endpoints of namespaces with team == 'x' on port 1024-2048 "
            "to 10.0.0.0/8, fd00::/8 on ports 80, http",
        ),
        (
            {"action": "Deny", "source": {"notNets": ["10.0.0.0/8"], "notSelector": "a == 'b'"}},
            "Deny everything from endpoints without a == 'b' and addresses outside 10.0.0.0/8",
        ),
        (
            {"action": "Deny", "protocol": "TCP", "destination": {"namespaceSelector": "global()", "notPorts": [22]}},
            "Deny TCP to endpoints of no namespace on ports other than 22",
        ),
        (
            {"action": "Allow", "destination": {"services": {"name": "web", "namespace": "shop"}}},
            "Allow everything to service shop/web",
        ),
        (
            {"action": "Allow", "source": {"serviceAccounts": {"names": ["a", "b"], "selector": "x == 'y'"}}},
            "Allow everything from service accounts a, b and with service account labels x == 'y'",
        ),
        (
            {"action": "Allow", "protocol": "TCP", "http": {"methods": ["GET"], "paths": [{"prefix": "/a"}]}},
            "Allow TCP as HTTP GET /a*",
        ),
    ],
)
def test_a_rule_is_a_sentence(rule: dict[str, Any], words: str) -> None:
    assert rule_sentence(msgspec.convert(rule, Rule)) == words


def test_whom_a_policy_applies_to_is_a_phrase() -> None:
    assert endpoints_of("", "shop") == "all endpoints of namespace shop"
    assert endpoints_of("a == 'b'", "", "all()") == "endpoints with a == 'b' of any namespace"
    assert endpoints_of("all()", "", "", "x == 'y'") == "all endpoints with service account labels x == 'y'"


@pytest.fixture
def shop(run: Run) -> Run:
    """The command on the datastore of the three-tier example."""
    assert run("apply", "-f", str(EXAMPLES / "three-tier")).exit_code == 0
    return run


def test_a_policy_is_told_with_its_place_and_its_rules(shop: Run) -> None:
    text = shop("describe", "np/db", "-n", "shop").stdout
    for line in (
        "NetworkPolicy shop/db",
        "  Tier:        default (order 1000000, ends with Deny)",
        "  Order:       1000, number 4 of 7 in the tier",
        "  Applies to:  endpoints with role == 'db' of namespace shop",
        "    1. Allow TCP from endpoints with role == 'api' to port 5432",
    ):
        assert line in text.splitlines()


def test_a_tier_is_told_with_its_policies_in_order(shop: Run) -> None:
    lines = shop("describe", "tier", "default").stdout.splitlines()
    begin = next(index for index, line in enumerate(lines) if "POLICY" in line)
    assert [line.split()[:3] for line in lines[begin + 1 :]][:4] == [
        ["1", "GlobalNetworkPolicy", "allow-dns-questions"],
        ["2", "NetworkPolicy", "platform/dns-answers"],
        ["3", "NetworkPolicy", "platform/batch"],
        ["4", "NetworkPolicy", "shop/db"],
    ]


NODE_AND_POOL = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1}
spec: {bgp: {ipv4Address: 172.31.0.1/24, asNumber: 64512}}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: blue}
spec: {cidr: 10.0.0.0/24, blockSize: 26}
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: p}
spec: {labelsToApply: {a: b}}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h1-eth0}
spec: {node: h1, interfaceName: eth0, profiles: [p, gone]}
"""


def test_pools_nodes_and_endpoints_are_told_with_what_belongs_to_them(run: Run) -> None:
    applied = run("apply", "-f", "-", text=NODE_AND_POOL)
    assert applied.exit_code == 0, applied.output
    assert "Addresses: 0 of 256 in use, 256 free" in facts(run("describe", "ippool", "blue"))
    assert {"Workloads: 0", "ipv4Address: 172.31.0.1/24"} <= facts(run("describe", "nodes"))
    assert {
        "Node: h1 (172.31.0.1/24)",
        "p: gives the labels a=b",
        "gone: does not exist",
    } <= facts(run("describe", "hep/h1-eth0"))


def facts(result: Result) -> set[str]:
    """The lines, whatever their blanks."""
    return {" ".join(line.split()) for line in result.stdout.splitlines()}


def test_an_object_of_every_kind_can_be_told_and_shown(run: Run) -> None:
    applied = run("apply", "-f", str(OF_EACH_KIND))
    assert applied.exit_code == 0, applied.output
    for kind, resource in KINDS.items():
        for verb in ("describe", "get"):
            result = run(verb, kind, *(["-A"] if resource.namespaced else []))
            assert (result.exit_code, bool(result.stdout), result.stderr) == (0, True, ""), kind


def test_a_tier_tells_how_it_ends(shop: Run) -> None:
    for tier, end in (("default", "Deny"), ("kube-admin", "Pass"), ("security", "Pass")):
        assert f"  Ends with:  {end}\n" in shop("describe", "tier", tier).stdout
    assert "ends with Pass" in shop("describe", "gnp", "database-stays-in-the-shop").stdout


def test_what_is_not_there_is_told_and_fails(shop: Run) -> None:
    result = shop("describe", "tier", "securty", "default")
    assert (result.exit_code, "did you mean security?" in result.stderr) == (1, True)
    assert result.stdout.startswith("Tier default\n")
    assert shop("describe", "bgppeers").stderr == "no bgppeers found\n"
