"""Statements about policy: proven for all packets, or refuted by one; and the files that they stand in."""

from __future__ import annotations

import pytest

from tortie.analysis.checkfile import CheckFile, fixtures, read_checks, statements
from tortie.analysis.checks import Demand, Outcome, Statement, Traffic, check
from tortie.analysis.cluster import compile_cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.api.policy import NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.base.errors import InvalidResource

FILE = """
namespaces: {dev: {env: dev}}
endpoints:
- {name: dev/tool, labels: {app: tool}}
- {name: shop/client, labels: {app: client}, account: runner}
- {name: shop/web, labels: {app: web}, ports: [{name: http, port: 80}]}
- {name: shop/old, addresses: [10.0.0.9/32]}
- {name: shop/new, addresses: ["fd00::9/128"]}
expect:
- {from: shop/client, to: shop/web, port: 80, verdict: allow}
- {name: no udp, from: shop/client, to: shop/web, port: udp, verdict: deny}
invariants:
- never: {from: "pcns.env == 'dev'", to: shop/web}
- name: only clients
  only: {from: "app == 'client'", to: shop/web}
---
invariants:
- always: {from: shop/client, to: dev/tool}
"""
TO_WEB = NetworkPolicy(
    metadata=Metadata(name="web", namespace="shop"),
    spec=NetworkPolicySpec(
        selector="app == 'web'",
        types=("Ingress",),
        ingress=(
            Rule(
                action="Allow",
                protocol="TCP",
                source=EntityRule(selector="pcsa.projectcalico.org/name == 'runner'"),
                destination=EntityRule(ports=("http",)),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def checks() -> CheckFile:
    return read_checks(FILE, "checks.yaml")


@pytest.fixture(scope="module")
def reach(checks: CheckFile) -> Reachability:
    return Reachability(Space(), compile_cluster([*fixtures(checks), TO_WEB]))


def judge(reach: Reachability, demand: Demand, source: str, to: str, port: str = "any") -> Outcome:
    return check(reach, Statement("", demand, Traffic(source, to, port)), "shop")


def test_all_that_a_file_states_is_judged_without_a_cluster(checks: CheckFile, reach: Reachability) -> None:
    found = statements(checks)
    assert [one.name for one in found] == [
        "allow shop/client → shop/web (80)",
        "no udp",
        "never pcns.env == 'dev' → shop/web (any)",
        "only clients",
        "always shop/client → dev/tool (any)",
    ]
    assert [check(reach, one).against for one in found] == [""] * 5


def test_what_does_not_hold_is_refuted_by_a_packet(reach: Reachability) -> None:
    never = judge(reach, Demand.NEVER, "client", "web")
    assert never.against == "shop/client → shop/web: TCP 80 gets through (of these: TCP 80)"
    always = judge(reach, Demand.ALWAYS, "client", "web", "tcp")
    assert always.against.endswith("is denied by ingress")
    assert not judge(reach, Demand.ONLY, "dev/tool", "web").holds


def test_outside_and_anybody_are_asked_too(reach: Reachability) -> None:
    assert judge(reach, Demand.NEVER, "outside", "web").holds
    assert not judge(reach, Demand.NEVER, "outside", "client").holds
    assert judge(reach, Demand.ONLY, "client", "outside").against.startswith("dev/tool → ")
    assert not judge(reach, Demand.NEVER, "anybody", "web").holds
    assert judge(reach, Demand.ALWAYS, "client", "8.8.8.8").holds


def test_a_statement_about_nobody_or_nothing_does_not_hold(reach: Reachability) -> None:
    assert "names nobody" in judge(reach, Demand.NEVER, "nobody", "web").against
    assert "port and protocol" in judge(reach, Demand.NEVER, "client", "web", "x/y").against


def test_ends_without_a_common_family_do_not_always_reach_each_other(reach: Reachability) -> None:
    assert "no address family in common" in judge(reach, Demand.ALWAYS, "old", "new").against
    assert judge(reach, Demand.NEVER, "old", "new").holds


def test_nobody_is_asked_about_itself(reach: Reachability) -> None:
    assert judge(reach, Demand.NEVER, "client", "client").holds


def test_everything_that_is_wrong_with_a_file_is_told_with_its_place() -> None:
    text = "expect:\n- {from: a, to: b, verdit: allow}\n- {from: a, to: b, verdict: yes}\ninvariants: [{name: x}]\n"
    with pytest.raises(InvalidResource) as caught:
        read_checks(text + "endpoints: [{name: web}]\n---\n[]\n", "c.yaml")
    told = str(caught.value)
    for words in (
        "c.yaml:2:20: checks: expect[0].verdit: is not a field (did you mean verdict?)",
        "expect[1].verdict",
        "states not exactly one thing",
        "'web' has no namespace",
        "is no map",
    ):
        assert words in told
