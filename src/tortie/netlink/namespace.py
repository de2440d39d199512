"""Network namespaces: open, create, delete, enter, and a worker thread that lives in one (setns(2), ip-netns(8)).

A network namespace belongs to a thread, not to a process: sockets take that of the thread that opens
them, and so do the files under /proc/sys/net.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tortie.base.errors import KernelError

NAMED = Path("/run/netns")
"""Where ip-netns(8) keeps named namespaces."""

_OWN = Path("/proc/thread-self/ns/net")
_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SHARED = 1 << 20
_MNT_DETACH = 2

Result = TypeVar("Result")


def open_namespace(path: Path | None) -> int:
    """A file descriptor of the namespace at `path`, or of the calling thread's own; the caller closes it.

    Raises:
        KernelError: there is no such file, or it may not be read.
    """
    try:
        return os.open(path or _OWN, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(f"open network namespace {path or _OWN}", error.errno or errno.EIO) from error


def enter(namespace: int | Path) -> None:
    """Move the calling thread into a namespace, given as file descriptor or path. Raises KernelError."""
    if isinstance(namespace, int):
        _call("enter network namespace", "setns", namespace, _CLONE_NEWNET)
        return
    descriptor = open_namespace(namespace)
    try:
        enter(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def inside(namespace: int | Path) -> Iterator[None]:
    """The calling thread is in `namespace` for the length of a block; what it opens there stays there.

    Must not be held across an `await`: other tasks share the thread.
    """
    home = open_namespace(None)
    try:
        enter(namespace)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def anonymous_namespace() -> int:
    """A new namespace that lives as long as the returned file descriptor, or a process in it. Raises KernelError."""
    return _in_new_namespace(lambda: open_namespace(None))


def create_namespace(name: str) -> Path:
    """Create what `ip netns add NAME` creates; loopback is down in it.

    Raises:
        KernelError: EEXIST when the name is taken.
    """
    path = NAMED / name
    _prepare_directory()
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
    except OSError as error:
        raise KernelError(f"create network namespace {name}", error.errno or errno.EIO) from error
    try:
        _in_new_namespace(lambda: _mount(str(_OWN), path, _MS_BIND))
    except KernelError:
        path.unlink(missing_ok=True)
        raise
    return path


def delete_namespace(name: str, *, missing_ok: bool = True) -> None:
    """Do what `ip netns delete NAME` does; processes and sockets inside keep it alive unnamed.

    Raises:
        KernelError: ENOENT when it does not exist and `missing_ok` is false.
    """
    path = NAMED / name
    try:
        _call(f"unmount {path}", "umount2", os.fsencode(path), _MNT_DETACH)
    except KernelError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    try:
        path.unlink(missing_ok=missing_ok)
    except OSError as error:
        raise KernelError(f"delete network namespace {name}", error.errno or errno.EIO) from error


class NamespaceThread(ThreadPoolExecutor):
    """An executor of exactly one thread, which has entered a network namespace for good.

    Use with `loop.run_in_executor(thread, function)`; calls run in order, one at a time.

    Args:
        path: the namespace; None is that of the creating thread.

    Raises:
        KernelError: the namespace cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._namespace = open_namespace(path)
        super().__init__(1, thread_name_prefix=f"netns-{path.name if path else 'own'}", initializer=self._enter)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the thread after the call that it is in."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        if self._namespace >= 0 and wait:
            os.close(self._namespace)
            self._namespace = -1

    def _enter(self) -> None:
        enter(self._namespace)


def _in_new_namespace(function: Callable[[], Result]) -> Result:
    """Call `function` in a short-lived thread which has a fresh namespace of its own."""
    results: list[Result] = []
    refusals: list[KernelError] = []

    def run() -> None:
        try:
            _call("create network namespace", "unshare", _CLONE_NEWNET)
            results.append(function())
        except KernelError as error:
            refusals.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if refusals:
        raise refusals[0]
    return results[0]


def _prepare_directory() -> None:
    """Make /run/netns a shared mount, so that names made here are seen in every mount namespace."""
    NAMED.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = os.open(NAMED, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _mount("", NAMED, _MS_SHARED | _MS_REC)
        except KernelError as error:
            if error.errno != errno.EINVAL:
                raise
            _mount(str(NAMED), NAMED, _MS_BIND | _MS_REC)
            _mount("", NAMED, _MS_SHARED | _MS_REC)
    finally:
        os.close(lock)


def _mount(source: str, target: Path, flags: int) -> None:
    _call(f"mount {target}", "mount", source.encode(), os.fsencode(target), b"none", ctypes.c_ulong(flags), None)


def _call(request: str, function: str, *arguments: object) -> None:
    """Call a function of the C library that returns -1 and sets errno when refused."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) == -1:
        raise KernelError(request, ctypes.get_errno())
