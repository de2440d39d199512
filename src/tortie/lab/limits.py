"""Neighbour-table limits: one for all namespaces of a machine, raised while labs that need it stand."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tortie.base.files import write_atomically
from tortie.lab.topology import Topology

SYSCTLS = Path("/proc/sys/net")
_RAISED = {"gc_thresh1": 8192, "gc_thresh2": 32768, "gc_thresh3": 65536}
_FAMILIES = ("ipv4", "ipv6")
_COMFORTABLE = 512
_FILE = "neighbour-limits.json"


class Limits(msgspec.Struct, frozen=True):
    """What the limits were before the first lab raised them, and which labs need them raised."""

    original: Mapping[str, int]
    users: tuple[str, ...]


def needed(topology: Topology) -> bool:
    """Whether the lab's neighbours may come near the kernel's usual limit of 1024 for the whole machine."""
    hosts, workloads = len(topology.hosts), len(topology.workloads)
    return hosts * hosts + 2 * workloads > _COMFORTABLE


def raise_limits(topology: Topology, sysctls: Path = SYSCTLS) -> None:
    """Raise the limits if the lab needs it; nothing is ever lowered."""
    if not needed(topology) or not _path(sysctls, "ipv4", "gc_thresh3").exists():
        return
    directory = Path(topology.directory)
    with _locked(directory):
        limits = _read(directory) or Limits(_current(sysctls), ())
        users = tuple(sorted({*limits.users, topology.name}))
        write_atomically(directory / _FILE, msgspec.json.encode(Limits(limits.original, users)))
        for key, value in limits.original.items():
            family, name = key.split("/")
            _path(sysctls, family, name).write_text(str(max(value, _RAISED[name])))


def restore_limits(topology: Topology, sysctls: Path = SYSCTLS) -> None:
    """Put the limits back when this was the last lab that needed them; labs that are gone do not count."""
    directory = Path(topology.directory)
    if not directory.exists():
        return
    with _locked(directory):
        limits = _read(directory)
        if limits is None:
            return
        users = tuple(user for user in limits.users if user != topology.name and (directory / user).exists())
        if users:
            write_atomically(directory / _FILE, msgspec.json.encode(Limits(limits.original, users)))
            return
        for key, value in limits.original.items():
            _path(sysctls, *key.split("/")).write_text(str(value))
        (directory / _FILE).unlink()


def _current(sysctls: Path) -> dict[str, int]:
    return {
        f"{family}/{name}": int(_path(sysctls, family, name).read_text()) for family in _FAMILIES for name in _RAISED
    }


def _path(sysctls: Path, family: str, name: str) -> Path:
    return sysctls / family / "neigh" / "default" / name


def _read(directory: Path) -> Limits | None:
    try:
        return msgspec.json.decode((directory / _FILE).read_bytes(), type=Limits)
    except FileNotFoundError:
        return None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
