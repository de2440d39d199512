"""BIRD as a target, with the real daemon: two namespaces, sessions, and changes that leave sessions alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.bgp.config import minimal
from tortie.bgp.control import BirdControl
from tortie.bgp.status import sessions
from tortie.bgp.target import BirdTarget
from tortie.desired.bgp import BGPNode, Pool, Session
from tortie.desired.state import Changes, DesiredState

pytestmark = pytest.mark.kernel

POOL = Pool(Cidr.parse("10.65.0.0/16"))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def node(number: int, *peers: int, blocks: tuple[Cidr, ...] = ()) -> BGPNode:
    return BGPNode(
        node=f"n{number}",
        router_id=f"172.31.9.{number}",
        as_number=64512,
        address4=Cidr.host(f"172.31.9.{number}"),
        sessions=tuple(Session(f"Mesh_{peer}", Cidr.host(f"172.31.9.{peer}"), 64512) for peer in peers),
        blocks=blocks,
        pools=(POOL,),
    )


def program(target: BirdTarget, state: BGPNode) -> int:
    """Read, plan, apply; returns how many operations it took."""
    plan = target.plan(DesiredState(bgp=state), target.read(), None)
    target.apply(plan.operations)
    return len(plan.operations)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen in 20 s"
        time.sleep(0.05)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[list[Path]]:
    """Two namespaces joined by a cable, a BIRD in each."""
    directories = []
    try:
        for number in (1, 2):
            run("ip", "netns", "add", f"tt-bgp{number}")
        run("ip", "-n", "tt-bgp1", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", "tt-bgp2")
        for number in (1, 2):
            run("ip", "-n", f"tt-bgp{number}", "address", "add", f"172.31.9.{number}/24", "dev", "eth0")
            run("ip", "-n", f"tt-bgp{number}", "link", "set", "eth0", "up")
            run("ip", "-n", f"tt-bgp{number}", "link", "set", "lo", "up")
            directory = tmp_path / f"n{number}"
            directory.mkdir()
            (directory / "bird.conf").write_text(minimal(f"172.31.9.{number}"))
            files = ["-c", f"{directory}/bird.conf", "-s", f"{directory}/bird.ctl", "-P", f"{directory}/bird.pid"]
            run("ip", "netns", "exec", f"tt-bgp{number}", "bird", *files)
            directories.append(directory)
        yield directories
    finally:
        for directory in directories:
            pid = directory / "bird.pid"
            if pid.exists():
                subprocess.run(["kill", pid.read_text().strip()], check=False)
        for number in (1, 2):
            subprocess.run(["ip", "netns", "delete", f"tt-bgp{number}"], check=False)


def established(directory: Path) -> bool:
    with BirdControl(directory / "bird.ctl") as control:
        found = sessions(control)
    return bool(found) and all(session.established for session in found)


def clock(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")


def test_sessions_come_up_and_survive_a_change_of_what_is_announced(daemons: list[Path]) -> None:
    first, second = (BirdTarget(directory) for directory in daemons)
    program(first, node(1, 2, blocks=(Cidr.parse("10.65.1.0/26"),)))
    program(second, node(2, 1))
    eventually(lambda: established(daemons[0]) and established(daemons[1]))
    eventually(lambda: "10.65.1.0/26 via 172.31.9.1" in run("ip", "-n", "tt-bgp2", "route"))
    with BirdControl(daemons[0] / "bird.ctl") as control:
        before = sessions(control)[0].since

    program(first, node(1, 2, blocks=(Cidr.parse("10.65.1.0/26"), Cidr.parse("10.65.7.0/26"))))
    eventually(lambda: "10.65.7.0/26 via 172.31.9.1" in run("ip", "-n", "tt-bgp2", "route"))
    with BirdControl(daemons[0] / "bird.ctl") as control:
        after = sessions(control)[0]
    assert after.established
    # BIRD works the time out anew at each answer, which wobbles by a millisecond; a lost session takes seconds.
    assert abs(clock(after.since) - clock(before)) < timedelta(milliseconds=100)


def test_a_workload_route_in_a_foreign_block_is_announced_and_one_in_an_own_block_is_not(daemons: list[Path]) -> None:
    first, second = (BirdTarget(directory) for directory in daemons)
    program(first, node(1, 2, blocks=(Cidr.parse("10.65.1.0/26"),)))
    program(second, node(2, 1))
    for address in ("10.65.1.5", "10.65.2.5", "10.99.0.5"):
        run("ip", "-n", "tt-bgp1", "route", "add", f"{address}/32", "dev", "eth0", "proto", "80")
    eventually(lambda: "10.65.2.5 via 172.31.9.1" in run("ip", "-n", "tt-bgp2", "route"))
    routes = run("ip", "-n", "tt-bgp2", "route")
    assert "10.65.1.5" not in routes
    assert "10.99.0.5" not in routes


def test_what_is_right_is_not_configured_again(daemons: list[Path]) -> None:
    target = BirdTarget(daemons[0])
    assert program(target, node(1, 2)) == 1
    assert program(target, node(1, 2)) == 0
    assert target.plan(DesiredState(bgp=node(1)), target.read(), Changes()).operations == ()


def test_a_refused_configuration_leaves_the_last_good_one_in_force(daemons: list[Path]) -> None:
    target = BirdTarget(daemons[0])
    program(target, node(1, 2))
    good = (daemons[0] / "bird.conf").read_text()
    bad = msgspec.structs.replace(node(1, 2), router_id="not an address")
    with pytest.raises(KernelError, match="check the BIRD configuration"):
        program(target, bad)
    assert (daemons[0] / "bird.conf").read_text() == good


def test_a_directory_that_takes_no_files_is_an_error_that_goes_away(tmp_path: Path) -> None:
    target = BirdTarget(tmp_path / "bird")
    for _ in range(2):
        with pytest.raises(KernelError, match=r"write .*No such file or directory"):
            program(target, node(1))
    (tmp_path / "bird").mkdir()
    with pytest.raises(KernelError, match="configure BIRD"):
        program(target, node(1))
    (tmp_path / "bird" / "bird.conf").unlink()
    (tmp_path / "bird" / "bird.conf").mkdir()
    with pytest.raises(KernelError, match=r"read .*Is a directory"):
        target.read()


def test_a_check_that_does_not_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*command: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("bird", 30)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(KernelError, match=r"check the BIRD configuration.*timed out"):
        program(BirdTarget(tmp_path), node(1))
    assert not list(tmp_path.iterdir())


def test_an_absent_daemon_is_an_error_that_goes_away_when_it_starts(tmp_path: Path) -> None:
    target = BirdTarget(tmp_path)
    with pytest.raises(KernelError, match="configure BIRD"):
        program(target, node(1))
    assert target.plan(DesiredState(bgp=node(1)), target.read(), None).operations
