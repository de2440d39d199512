"""Reading BIRD's answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.bgp.control import ReplyLine
from tortie.bgp.status import parse_daemon, parse_protocols

ANSWER = """2002 Name       Proto      Table      State  Since         Info
1002 device1    Device     ---        up     22:30:34.834
1002 Mesh_172_31_0_2 BGP        ---        up     22:30:36.100  Established
1006   BGP state:          Established
1006     Neighbor address: 172.31.0.2
1006     Neighbor AS:      64512
1006   Channel ipv4
1006     Local AS:         64512
1006     Neighbor ID:      172.31.0.2
1006     Hold timer:       192.911/240
1006     Routes:         3 imported, 2 filtered, 1 exported, 3 preferred
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


def test_what_a_session_received_is_told_with_who_the_neighbour_is() -> None:
    established, active = parse_protocols(lines(ANSWER))
    assert (established.received, established.filtered, established.hold_time) == (5, 2, 240)
    assert (established.neighbor_id, established.local_as, established.internal) == ("172.31.0.2", 64512, True)
    assert (established.type, established.family) == ("NodeMesh", 4)
    assert (active.received, active.neighbor_id, active.hold_time) == (0, "", 0)


def test_a_session_that_must_not_start_says_why() -> None:
    (held,) = parse_protocols(
        lines(
            "1002 Node_10_0_0_1 BGP        ---        down   2026-11-23 15:04:01.472  \n"
            "1006   Description:    filter x cannot be used\n"
            "1006   BGP state:          Down\n"
        )
    )
    assert (held.state, held.info, held.since) == ("Down", "filter x cannot be used", "2026-11-23 15:04:01.472")


def test_a_daemon_tells_its_version_identity_and_times() -> None:
    told = parse_daemon(
        lines(
            "1000 BIRD 2.0.12\n"
            "1011 Router ID is 172.31.2.1\n"
            "1011 Last reboot on 2026-11-23 15:04:01.472\n"
            "1011 Last reconfiguration on 2026-11-23 15:05:01.472\n"
            "0013 Daemon is up and running\n"
        )
    )
    assert (told.version, told.router_id) == ("2.0.12", "172.31.2.1")
    assert (told.booted, told.configured) == ("2026-11-23 15:04:01.472", "2026-11-23 15:05:01.472")


def test_protocols_other_than_bgp_are_no_sessions() -> None:
    assert parse_protocols(lines(ANSWER.splitlines()[1])) == []


@given(st.lists(st.tuples(st.sampled_from((1002, 1006, 2002, 0)), st.text(max_size=60))))
def test_any_answer_can_be_read(answer: list[tuple[int, str]]) -> None:
    parse_protocols([ReplyLine(code, text) for code, text in answer])
