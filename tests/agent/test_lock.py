"""Two agents in one run directory would undo each other's work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tortie.agent.lock import LOCK, only_agent
from tortie.base.errors import Unavailable

HOLD = """
import sys, time
from pathlib import Path
from tortie.agent.lock import only_agent
with only_agent(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_agent_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        only_agent(tmp_path),
        pytest.raises(Unavailable, match=f"process {os.getpid()}, works in"),
        only_agent(tmp_path),
    ):
        pass
    with only_agent(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_full_disk_keeps_no_agent_from_its_work(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to("/dev/full")
    with only_agent(tmp_path):
        pass


def test_a_killed_agent_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable, match=f"process {holder.pid},"), only_agent(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with only_agent(tmp_path):
        pass
