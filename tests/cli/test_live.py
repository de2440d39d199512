"""What was seen of a packet, held against what was explained: a rule that decides otherwise is a bug of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.agent.decisions import Decision
from tortie.analysis.cluster import compile_cluster
from tortie.analysis.explanation import Explanation, explain
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.who import find_party, read_service
from tortie.api.codec import decode
from tortie.api.defaults import with_defaults
from tortie.api.resource import Resource
from tortie.cli.live import Confirmation, lines, misjudged, unexpected
from tortie.desired.policy import Direction
from tortie.lab.live import Live, Traced
from tortie.lab.probe.model import Outcome, Probe, Transport, Verdict


def resource(kind: str, name: str, namespace: str = "", **spec: Any) -> Resource:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return with_defaults(decode(kind, json.dumps({"metadata": metadata, "spec": spec}).encode()))


@pytest.fixture
def found() -> Explanation:
    allow = [{"action": "Allow"}]
    cluster = compile_cluster(
        [
            resource("Profile", "kns.shop", ingress=allow, egress=allow),
            *(
                resource(
                    "WorkloadEndpoint",
                    name,
                    "shop",
                    orchestrator="k8s",
                    node="n",
                    interfaceName=f"cali{name}",
                    ipNetworks=[address],
                    profiles=["kns.shop"],
                )
                for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))
            ),
        ]
    )
    parties = [find_party(cluster, name, "shop") for name in ("a", "b")]
    return explain(Reachability(Space(), cluster), parties[0], parties[1], read_service("80"))[0]


def seen(verdict: Verdict, decision: Decision, reason: str = "") -> Live:
    outcome = Outcome(Probe("a", "10.0.0.2", Transport.TCP), verdict, 0.1, reason)
    return Live(outcome, (Traced("n", "shop/b", "calib", decision),), (), ())


RULE = Decision("Allow", "Profile", "", "kns.shop", Direction.INGRESS, 0)


def test_nothing_is_said_where_the_kernel_agrees(found: Explanation) -> None:
    live = seen(Verdict.ALLOWED, RULE)
    assert [*misjudged(found, live), *unexpected(found, live)] == []
    assert "  the kernel does as was explained" in list(lines(Confirmation(live)))


@pytest.mark.parametrize(
    "decision",
    [
        Decision("Deny", "Profile", "", "kns.shop", Direction.INGRESS, 0),
        Decision("Allow", "NetworkPolicy", "shop", "other", Direction.INGRESS, 0),
        Decision("Allow", "Profile", "", "kns.shop", Direction.INGRESS, 1),
    ],
)
def test_another_decision_is_a_bug_of_ours(found: Explanation, decision: Decision) -> None:
    live = seen(Verdict.ALLOWED, decision)
    (text,) = misjudged(found, live)
    assert text.startswith("ingress of shop/b on n: explained: Allow by Profile kns.shop[0]; the kernel: ")
    assert any("bug of Tortie" in line for line in lines(Confirmation(live, (text,), is_ours=True)))


def test_a_refusal_may_be_anybodys(found: Explanation) -> None:
    assert list(unexpected(found, seen(Verdict.REFUSED, RULE, "ECONNREFUSED"))) == []
    assert list(unexpected(found, seen(Verdict.REFUSED, RULE, "EHOSTUNREACH"))) == []
    assert list(unexpected(found, seen(Verdict.DENIED, RULE))) == ["explained: allowed; the packet did not get through"]
