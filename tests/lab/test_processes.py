"""Processes are ended by identity, with their children, and never by a number that someone else has now."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tortie.lab import processes
from tortie.lab.processes import Process

pytestmark = pytest.mark.kernel

BUSY = """
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(100_000))
for _ in range(12):
    threading.Thread(target=work).start()
print("busy", flush=True)
"""
OWN = Path("/proc/self/ns/net")
DEAF = "import signal,time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"

HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("begun", flush=True)
ctypes.CDLL(None).syscall(ctypes.c_long({"x86_64": 60}.get(__import__("platform").machine(), 93)), 0)
"""
"""Its first thread ends (exit(2), of this thread alone), another goes on."""


def start(tmp_path: Path, *argv: str) -> Process:
    """Start a program in our own namespace."""
    return processes.start("one", "here", OWN, argv, tmp_path / "log", os.environ)


def wait_for(path: Path, text: str) -> None:
    """Until the log has this text."""
    for _ in range(500):
        if path.exists() and text in path.read_text():
            return
        time.sleep(0.01)
    pytest.fail(f"{text} was never written")


def states(process: Process) -> list[str]:
    """The state of each of its threads (proc(5), field 3 of stat)."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/stat")
    return [thread.read_text().rpartition(")")[2].split()[0] for thread in threads]


def test_output_goes_to_the_log_and_the_session_is_its_own(tmp_path: Path) -> None:
    one = start(tmp_path, "sh", "-c", "echo out; echo err >&2; exec sleep 600")
    try:
        wait_for(tmp_path / "log", "out\nerr\n")
        assert os.getsid(one.pid) == one.pid
        assert processes.is_alive(one)
    finally:
        processes.kill(one)
    assert not processes.is_alive(one)


def test_stop_ends_a_process_in_good_order(tmp_path: Path) -> None:
    one = start(tmp_path, "sh", "-c", "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.02; done")
    wait_for(tmp_path / "log", "up")
    processes.stop(one)
    assert not processes.is_alive(one)
    assert "bye" in (tmp_path / "log").read_text()


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    one = start(tmp_path, sys.executable, "-c", DEAF)
    wait_for(tmp_path / "log", "deaf")
    processes.stop(one, patience=0.05)
    assert not processes.is_alive(one)


def test_kill_takes_children_along(tmp_path: Path) -> None:
    one = start(tmp_path, "sh", "-c", "sleep 600 & echo child=$!; wait")
    wait_for(tmp_path / "log", "child=")
    child = int((tmp_path / "log").read_text().split("=")[1])
    processes.kill(one)
    for _ in range(200):
        if processes.start_time(child) is None:
            return
        time.sleep(0.01)
    pytest.fail("the child lives on")


def test_a_process_that_took_over_the_number_is_left_alone(tmp_path: Path) -> None:
    one = start(tmp_path, "sleep", "600")
    stranger = msgspec.structs.replace(one, start_time=one.start_time - 1)
    processes.stop(stranger)
    processes.kill(stranger)
    assert not processes.is_alive(stranger)
    assert processes.is_alive(one)
    processes.kill(one)


def test_a_process_of_another_parent_is_known_and_ended() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        orphan = processes.identify(int(parent.stdout.readline()), "here")
    assert orphan is not None
    processes.stop(orphan)
    assert not processes.is_alive(orphan)


def test_a_process_lives_as_long_as_any_of_its_threads(tmp_path: Path) -> None:
    one = start(tmp_path, sys.executable, "-c", HEADLESS)
    wait_for(tmp_path / "log", "begun")
    while "Z" not in states(one):
        time.sleep(0.001)
    assert processes.is_alive(one)
    processes.kill(one)
    assert not processes.is_alive(one)


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(tmp_path, "no-such-program")


def test_what_is_paused_runs_no_more_at_once_and_goes_on_when_resumed(tmp_path: Path) -> None:
    one = start(tmp_path, sys.executable, "-c", BUSY)
    try:
        wait_for(tmp_path / "log", "busy")
        for _ in range(20):
            processes.pause(one)
            assert set(states(one)) == {"T"}
            processes.resume(one)
            assert set(states(one)) != {"T"}
    finally:
        processes.kill(one)
