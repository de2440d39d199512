"""Programs in a namespace: started, watched and ended by pid and start time, so that no other is ever hit."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from tortie.base.errors import Unavailable
from tortie.netlink.namespace import inside

_PROC = Path("/proc")
_START_TIME = 19
_STOP_PATIENCE = 5.0
_KILL_PATIENCE = 5.0
_POLL_SECONDS = 0.002
_ENDED = "ZX"
_STANDING = "TtZX"


class Process(msgspec.Struct, frozen=True):
    """A started program.

    Args:
        place: the host that it runs on.
        start_time: clock ticks since boot (proc(5), field 22 of stat); with the pid, an identity.
        log: file with its standard output and error.
    """

    name: str
    place: str
    pid: int
    start_time: int
    argv: tuple[str, ...]
    log: str


def start(
    name: str, place: str, namespace: Path | None, argv: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Process:
    """Start a program in a network namespace, in a session of its own; its output is appended to `log`.

    Without a namespace it stays in that of the calling thread, which needs no privilege.

    The child takes the namespace of the thread that starts it, which needs no code between fork and exec.

    Raises:
        KernelError: there is no such namespace.
        OSError: there is no such program.
    """
    to_log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), to_log, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    with inside(namespace) if namespace else nullcontext():
        pid = os.posix_spawnp(argv[0], list(argv), dict(environment), file_actions=files, setsid=True)
    return Process(name, place, pid, start_time(pid) or 0, tuple(argv), str(log))


def is_alive(process: Process) -> bool:
    """Whether it still runs; a child of ours that has ended is reaped."""
    _reap(process.pid)
    return start_time(process.pid) == process.start_time


def stop(process: Process, patience: float = _STOP_PATIENCE) -> None:
    """Ask it to end, wait up to `patience` seconds, then kill it and its session; returns when it is gone.

    Raises:
        Unavailable: it outlives even being killed (it hangs in the kernel).
    """
    if not _signal_and_wait(process, signal.SIGTERM, patience):
        kill(process)


def kill(process: Process) -> None:
    """Kill it and its session at once, as a crash would, and wait until it is gone. Raises Unavailable."""
    if not is_alive(process):
        return
    _kill_session(process.pid)
    if not _signal_and_wait(process, signal.SIGKILL, _KILL_PATIENCE):
        raise Unavailable(f"{process.name} (pid {process.pid}) does not end")


def pause(process: Process) -> None:
    """Let it stand still, as a machine does that swaps or is being moved: its connections stay open and silent.

    Returns when none of its threads runs any more, since the signal alone takes each of them only later.

    Raises:
        Unavailable: one of them hangs in the kernel.
    """
    if not is_alive(process):
        return
    os.kill(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + _STOP_PATIENCE
    while not set(_thread_states(process.pid)) <= set(_STANDING):
        if time.monotonic() > deadline:
            raise Unavailable(f"{process.name} (pid {process.pid}) does not stand still")
        time.sleep(_POLL_SECONDS)


def resume(process: Process) -> None:
    """Let it go on where it stood still."""
    if is_alive(process):
        os.kill(process.pid, signal.SIGCONT)


def stop_all(started: Iterable[Process]) -> None:
    """End many: all are asked first, then each is waited for. Raises Unavailable."""
    living = [one for one in started if is_alive(one)]
    for one in living:
        _signal_and_wait(one, signal.SIGTERM, 0)
    for one in living:
        stop(one)


def inhabitants(namespaces: Iterable[Path]) -> list[int]:
    """Processes, other than this one, whose main thread is in one of the namespaces."""
    wanted = {path.stat().st_ino for path in namespaces if path.exists()}
    return [pid for pid in _pids() if pid != os.getpid() and _namespace(pid) in wanted]


def identify(pid: int, place: str) -> Process | None:
    """A running process that nobody recorded, or None when it has ended."""
    ticks = start_time(pid)
    return None if ticks is None else Process("unrecorded", place, pid, ticks, (), "")


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none, or only a zombie.

    A zombie with a thread that still ends is none yet: its sockets are open.
    """
    fields = _status_fields(_PROC / str(pid))
    is_over = not fields or (fields[0] in _ENDED and all(state in _ENDED for state in _thread_states(pid)))
    return None if is_over else int(fields[_START_TIME])


def _thread_states(pid: int) -> list[str]:
    """The states of a process's threads, as letters (proc(5), field 3 of stat); none when it has ended."""
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [fields[0] for thread in threads if (fields := _status_fields(thread))]


def _status_fields(entry: Path) -> list[str]:
    """The fields of a process's or thread's stat after its name; none when it has ended."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _signal_and_wait(process: Process, number: signal.Signals, patience: float) -> bool:
    """Whether it is gone. The descriptor keeps the pid from meaning another process between check and signal."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(process):
            return True
        signal.pidfd_send_signal(descriptor, number)
        gone = select.poll()
        gone.register(descriptor, select.POLLIN)
        return bool(gone.poll(patience * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)
        _reap(process.pid)


def _kill_session(pid: int) -> None:
    """What the program itself started; only when it leads a process group, as everything started here does."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _namespace(pid: int) -> int:
    try:
        return (_PROC / str(pid) / "ns" / "net").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
