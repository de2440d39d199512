"""Reading BIRD's routes, and why one of them is the best."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.bgp.control import ReplyLine
from tortie.bgp.decision import STEPS, reason
from tortie.bgp.route import RouteStatus
from tortie.bgp.routes import Question, parse_routes

ANSWER = """Table master4:
10.9.0.0/24          unicast [p3 2026-11-23 15:04:08.311 from 10.0.0.9] * (100/20) [AS65004i]
\tvia 172.31.3.3 on e3 weight 1
\tvia 172.31.2.2 on e2 weight 1
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 65003 {65004 65005}
\tBGP.next_hop: 172.31.3.3
\tBGP.med: 7
\tBGP.local_pref: 200
\tBGP.originator_id: 10.0.0.8
\tBGP.cluster_list: 1.0.0.1 2.0.0.2
\tBGP.community: (65000,2) (65000,3)
\tBGP.large_community: (1, 2, 2)
                     unicast [p2 2026-11-23 15:04:05.283] (100) [AS65002i]
\tvia 172.31.2.2 on e2
\tType: BGP univ
10.1.0.0/26          blackhole [blocks4 15:04:01.480] * (200)
\tType: static univ
fd00::/64            unicast [direct1 15:04:01.480] * (240)
\tdev e3
\tType: device univ
"""


def lines(text: str) -> list[ReplyLine]:
    return [ReplyLine(1007, line) for line in text.splitlines()]


def route(**fields: object) -> RouteStatus:
    plain = RouteStatus("10.0.0.0/24", "unicast", "p1", "", best=False, preference=100, source="BGP")
    return msgspec.structs.replace(plain, **fields)


def test_routes_are_read_with_every_attribute_and_sorted() -> None:
    block, best, other, direct = parse_routes(lines(ANSWER))
    assert (block.prefix, block.kind, block.source, block.best) == ("10.1.0.0/26", "blackhole", "static", True)
    assert (best.prefix, best.protocol, best.since) == ("10.9.0.0/24", "p3", "2026-11-23 15:04:08.311")
    assert best.next_hops == ("via 172.31.3.3 on e3", "via 172.31.2.2 on e2")
    assert (best.local_preference, best.med, best.metric, best.origin) == (200, 7, 20, "IGP")
    assert (best.communities, best.large_communities) == (("65000:2", "65000:3"), ("1:2:2",))
    assert (best.originator, best.clusters) == ("10.0.0.8", ("1.0.0.1", "2.0.0.2"))
    assert (other.prefix, other.best, other.next_hops) == ("10.9.0.0/24", False, ("via 172.31.2.2 on e2",))
    assert (direct.prefix, direct.next_hops) == ("fd00::/64", ("dev e3",))


@given(st.lists(st.one_of(st.sampled_from(ANSWER.splitlines()), st.text(max_size=60))))
def test_any_answer_can_be_read(answer: list[str]) -> None:
    parse_routes([ReplyLine(1007, text) for text in answer])


@pytest.mark.parametrize(
    ("question", "command"),
    [
        (Question(), "show route all"),
        (Question(Cidr.parse("10.0.0.0/8"), best=True), "show route in 10.0.0.0/8 all primary"),
        (
            Question(Cidr.host("10.0.0.1"), sender="p2", rejected=True),
            "show route for 10.0.0.1 all filtered protocol p2",
        ),
        (Question(receiver="p2"), "show route all export p2"),
    ],
)
def test_questions_are_put_in_the_words_of_the_daemon(question: Question, command: str) -> None:
    assert question.command() == command


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({"preference": 200}, {"local_preference": 900}, "preference 200 > 100"),
        ({}, {"kind": "unreachable", "local_preference": 900}, "its next hop is reachable"),
        ({"local_preference": 200}, {"as_path": ""}, "local preference 200 > 100"),
        ({"as_path": "1"}, {"as_path": "2 3", "origin": "IGP"}, "AS path length 1 < 2"),
        ({"as_path": "1 {2 3}"}, {"as_path": "1 2 3"}, "AS path length 2 < 3"),
        ({"origin": "IGP"}, {"origin": "Incomplete"}, "origin 0 < 2"),
        ({"as_path": "1", "med": 5}, {"as_path": "1", "med": 6}, "MED 5 < 6"),
        ({"as_path": "1", "med": 7}, {"as_path": "2", "med": 6}, "router id or address of the neighbour"),
        ({}, {"internal": True}, "learned from another AS"),
        ({"metric": 5}, {"metric": 6}, "metric to the next hop 5 < 6"),
        ({"clusters": ()}, {"clusters": ("1.1.1.1",)}, "cluster list length 0 < 1"),
    ],
)
def test_the_best_route_says_what_it_won_by(better: dict[str, object], worse: dict[str, object], why: str) -> None:
    best, other = route(best=True, **better), route(**worse)
    assert reason(best, (best, other)) == f"best: {why}"
    assert reason(other, (best, other)).startswith("not best: ")


def test_a_route_alone_has_nothing_to_win() -> None:
    assert reason(route(best=True), [route(best=True)]) != ""
    only = route(best=True)
    assert reason(only, [only]) == "the only route"
    unused = route()
    assert reason(unused, [unused]) == "not used"


def test_steps_of_bgp_say_nothing_of_routes_that_are_not_learned() -> None:
    attached = route(best=True, preference=150, source="inherit")
    assert reason(attached, (attached, route(local_preference=900))) == "best: preference 150 > 100"
    assert [step.name for step in STEPS if not step.of_bgp] == ["preference"]
