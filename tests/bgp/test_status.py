"""Reading BIRD's answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.bgp.control import ReplyLine
from tortie.bgp.status import parse_protocols

ANSWER = """2002 Name       Proto      Table      State  Since         Info
1002 device1    Device     ---        up     22:30:34.834
1002 Mesh_172_31_0_2 BGP        ---        up     22:30:36.100  Established
1006   BGP state:          Established
1006     Neighbor address: 172.31.0.2
1006     Neighbor AS:      64512
1006   Channel ipv4
1006     Routes:         3 imported, 1 exported, 3 preferred
1002 Mesh_172_31_0_3 BGP        ---        start  2026-11-22 22:30:34  Active        Socket: Connection refused
1006   BGP state:          Active
1006     Neighbor address: 172.31.0.3
1006     Neighbor AS:      64513
"""


def lines(text: str) -> list[ReplyLine]:
    return [ReplyLine(int(line[:4]), line[5:]) for line in text.splitlines()]


def test_sessions_are_read_with_state_routes_and_last_error() -> None:
    established, active = parse_protocols(lines(ANSWER))
    assert established.established
    assert (established.peer, established.peer_as, established.imported, established.exported) == (
        "172.31.0.2",
        64512,
        3,
        1,
    )
    assert not active.established
    assert (active.state, active.since, active.info) == ("Active", "2026-11-22 22:30:34", "Socket: Connection refused")


def test_protocols_other_than_bgp_are_no_sessions() -> None:
    assert parse_protocols(lines(ANSWER.splitlines()[1])) == []


@given(st.lists(st.tuples(st.sampled_from((1002, 1006, 2002, 0)), st.text(max_size=60))))
def test_any_answer_can_be_read(answer: list[tuple[int, str]]) -> None:
    parse_protocols([ReplyLine(code, text) for code, text in answer])
