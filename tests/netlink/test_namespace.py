"""Namespaces: made as ip-netns makes them, entered by threads, gone when nobody holds them."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.base.errors import KernelError
from tortie.netlink import links
from tortie.netlink import namespace as namespaces
from tortie.netlink.batch import execute
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel
PREFIX = "tt-ns-"


@pytest.fixture
def name() -> Iterator[str]:
    """A name of our own; what a killed run left is removed first."""
    for left in namespaces.NAMED.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(PREFIX)}").exists():
            namespaces.delete_namespace(left.name)
    chosen = f"{PREFIX}{os.getpid()}"
    yield chosen
    namespaces.delete_namespace(chosen)


def identity(path: Path = Path("/proc/thread-self/ns/net")) -> int:
    return path.stat().st_ino


def test_a_created_namespace_serves_ip_netns_exec(name: str) -> None:
    path = namespaces.create_namespace(name)
    shown = subprocess.run(
        ["ip", "netns", "exec", name, "readlink", "/proc/self/ns/net"], check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == f"net:[{identity(path)}]"
    assert identity(path) != identity()


def test_a_namespace_made_by_ip_netns_can_be_entered_and_deleted(name: str) -> None:
    subprocess.run(["ip", "netns", "add", name], check=True)
    path = namespaces.NAMED / name
    with namespaces.inside(path):
        assert identity() == identity(path)
    namespaces.delete_namespace(name)
    assert not path.exists()


def test_a_name_that_is_taken_is_refused_and_stays(name: str) -> None:
    path = namespaces.create_namespace(name)
    before = identity(path)
    with pytest.raises(KernelError) as refusal:
        namespaces.create_namespace(name)
    assert refusal.value.errno == errno.EEXIST
    assert identity(path) == before


def test_deleting_what_is_not_there_is_an_error_only_if_asked(name: str) -> None:
    namespaces.delete_namespace(name)
    with pytest.raises(KernelError) as refusal:
        namespaces.delete_namespace(name, missing_ok=False)
    assert refusal.value.errno == errno.ENOENT


def test_inside_comes_back_after_an_error() -> None:
    home = identity()
    descriptor = namespaces.anonymous_namespace()
    with pytest.raises(ZeroDivisionError), namespaces.inside(descriptor):
        assert identity() != home
        raise ZeroDivisionError
    os.close(descriptor)
    assert identity() == home


def test_a_missing_namespace_is_an_error(name: str) -> None:
    for use in (namespaces.open_namespace, namespaces.enter, namespaces.NamespaceThread):
        with pytest.raises(KernelError) as refusal:
            use(namespaces.NAMED / name)
        assert refusal.value.errno == errno.ENOENT


async def test_sockets_and_sysctls_follow_the_namespace_thread(name: str) -> None:
    path = namespaces.create_namespace(name)
    home = identity()
    thread = namespaces.NamespaceThread(path)
    loop = asyncio.get_running_loop()

    def work() -> tuple[int, list[str], str]:
        setting = Path("/proc/sys/net/ipv4/conf/cali-here/proxy_arp")
        with NetlinkSocket(NETLINK_ROUTE) as socket:
            execute(socket, links.create_veth(links.NewLink("cali-here"), links.NewLink("peer")))
            setting.write_text("1")
            return identity(), [link.name for link in links.list_links(socket)], setting.read_text().strip()

    entered, names, value = await loop.run_in_executor(thread, work)
    thread.shutdown()
    assert entered == identity(path) != home
    assert sorted(names) == ["cali-here", "lo", "peer"]
    assert value == "1"
    assert identity() == home
    with NetlinkSocket(NETLINK_ROUTE) as own:
        assert links.get_link(own, "cali-here") is None
