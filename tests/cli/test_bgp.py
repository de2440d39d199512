"""What `tortie bgp` shows, with a BIRD that gives recorded answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tortie.bgp.status import SessionStatus
from tortie.cli.bgp_tables import peers_table

Run = Callable[..., Result]

PROTOCOLS = """1002-Mesh_172_31_0_2 BGP        ---        up     2026-11-23 15:04:02.738  Established
1006-  BGP state:          Established
     \tNeighbor address: 172.31.0.2
     \tNeighbor AS:      64512
     \tLocal AS:         64512
     \tRoutes:         3 imported, 2 filtered, 1 exported, 3 preferred
1002-Global_10_0_0_9 BGP        ---        start  2026-11-23 15:04:01.472  Active        Socket: No route to host
1006-  BGP state:          Active
     \tNeighbor address: 10.0.0.9
     \tNeighbor AS:      65001
0000\x20
"""
ROUTES = """1007-Table master4:
 10.65.1.0/26         unicast [Mesh_172_31_0_2 2026-11-23 15:04:05.283] * (100) [i]
 \tvia 172.31.0.2 on eth0
1008-\tType: BGP univ
1012-\tBGP.origin: IGP
 \tBGP.local_pref: 200
 \tBGP.community: (65000,2)
1007-                     unicast [Global_10_0_0_9 2026-11-23 15:04:05.283] (100) [AS65001i]
 \tvia 10.0.0.9 on eth0
1008-\tType: BGP univ
1012-\tBGP.as_path: 65001
0000\x20
"""


class Recorded:
    """Answers on a socket as BIRD does; remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", newline="\n") as stream:
                stream.write("0001 BIRD 2.0.12 ready.\n")
                stream.flush()
                for line in stream:
                    self.asked.append(line.strip())
                    stream.write(PROTOCOLS if "protocols" in line else ROUTES)
                    stream.flush()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Recorded]:
    recorded = Recorded(tmp_path / "bird.ctl")
    yield recorded
    recorded.close()


def test_sessions_are_shown_with_counts_and_why_they_are_down(run: Run, bird: Recorded) -> None:
    shown = run("bgp", "peers", "--bird-socket", str(bird.path)).stdout.splitlines()
    assert [" ".join(line.split()) for line in shown] == [
        "PEER TYPE AS STATE SINCE RECEIVED ACCEPTED EXPORTED INFO",
        "10.0.0.9 GlobalPeer 65001 Active 2026-11-23 15:04:01 - - - Socket: No route to host",
        "172.31.0.2 NodeMesh 64512 Established 2026-11-23 15:04:02 5 3 1 -",
    ]


def test_sessions_are_data_for_machines(run: Run, bird: Recorded) -> None:
    shown = json.loads(run("bgp", "peers", "--bird-socket", str(bird.path), "-o", "json").stdout)
    assert [(one["peer"], one["received"], one["established"]) for one in shown] == [
        ("10.0.0.9", 0, False),
        ("172.31.0.2", 5, True),
    ]


def test_several_nodes_have_a_column() -> None:
    session = SessionStatus("Mesh_a", "172.31.0.2", 64512, "Established", "now", "", 1, 1)
    table = peers_table({"h1": [session], "h2": [session]})
    assert [line.split()[0] for line in table.splitlines()] == ["NODE", "h1", "h2"]
    assert peers_table({"h1": []}) == "No BGP sessions are configured."


def test_routes_say_why_they_are_best(run: Run, bird: Recorded) -> None:
    lines = run("bgp", "routes", "10.65.0.0/16", "--bird-socket", str(bird.path)).stdout.splitlines()
    assert bird.asked[-1] == "show route in 10.65.0.0/16 all"
    assert lines[1].startswith("*   10.65.1.0/26   via 172.31.0.2 on eth0")
    assert lines[1].endswith("200          65000:2       best: local preference 200 > 100")
    assert lines[2].endswith("not best: local preference 100 < 200")


def test_routes_of_one_neighbour_are_asked_for_by_its_address(run: Run, bird: Recorded) -> None:
    run("bgp", "routes", "--from", "172.31.0.2", "--rejected", "--bird-socket", str(bird.path))
    assert bird.asked[-1] == "show route all filtered protocol Mesh_172_31_0_2"
    run("bgp", "routes", "--to", "Global_10_0_0_9", "--best", "--bird-socket", str(bird.path))
    assert bird.asked[-1] == "show route all primary export Global_10_0_0_9"


def test_an_unknown_neighbour_is_told_with_those_that_are_there(run: Run, bird: Recorded) -> None:
    result = run("bgp", "routes", "--from", "10.9.9.9", "--bird-socket", str(bird.path))
    assert result.exit_code == 1
    assert "10.9.9.9 (neighbours: 10.0.0.9, 172.31.0.2)" in result.stderr or "172.31.0.2" in result.stderr


@pytest.mark.parametrize("where", ["10.0.0", "10.0.0.0/99", "x"])
def test_what_is_no_prefix_is_a_wrong_call(run: Run, bird: Recorded, where: str) -> None:
    result = run("bgp", "routes", where, "--bird-socket", str(bird.path))
    assert result.exit_code == 2
    assert "neither an address nor a prefix" in result.stderr
    assert not bird.asked


def test_without_a_daemon_the_place_is_named(run: Run, tmp_path: Path) -> None:
    result = run("bgp", "peers", "--bird-socket", str(tmp_path / "none.ctl"))
    assert result.exit_code == 3
    assert "none.ctl" in result.stderr
    result = run("bgp", "routes", "--run-directory", str(tmp_path))
    assert result.exit_code == 3
    assert "is tortie-agent running?" in result.stderr
