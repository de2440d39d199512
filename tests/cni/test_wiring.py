"""The cable between host and workload, in real namespaces."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.cni.wiring import HOST_MAC, Cable, unwire, wire
from tortie.netlink.namespace import NAMED, NamespaceThread, create_namespace, delete_namespace

ADDRESSES = (Cidr.host("10.65.9.1"), Cidr.host("fd00:65:9::1"))


def ip(namespace: str, *arguments: str) -> str:
    return subprocess.run(["ip", "-n", namespace, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    names = ("tt-wire-host", "tt-wire-workload")
    try:
        for name in names:
            create_namespace(name)
        yield names
    finally:
        for name in names:
            delete_namespace(name)


@pytest.fixture
def thread(namespaces: tuple[str, str]) -> Iterator[NamespaceThread]:
    with NamespaceThread(NAMED / namespaces[0]) as executor:
        yield executor


def cable(namespaces: tuple[str, str], netns: str = "") -> Cable:
    return Cable("cali1", "eth0", Path(netns or NAMED / namespaces[1]), ADDRESSES, mtu=1400)


@pytest.mark.kernel
def test_both_ends_are_set_up_and_ping_each_other(namespaces: tuple[str, str], thread: NamespaceThread) -> None:
    host, workload = namespaces
    mac = thread.submit(wire, cable(namespaces)).result()
    assert HOST_MAC in ip(host, "link", "show", "cali1")
    assert mac in ip(workload, "link", "show", "eth0")
    assert "mtu 1400" in ip(workload, "link", "show", "eth0")
    assert "default via 169.254.1.1 dev eth0" in ip(workload, "route")
    assert "default via fe80::ecee:eeff:feee:eeee dev eth0" in ip(workload, "-6", "route")
    assert "10.65.9.1/32" in ip(workload, "address")
    assert "tentative" not in ip(workload, "address") + ip(host, "address")
    ping = ["ip", "netns", "exec", workload, "ping", "-c1", "-W5", "fe80::ecee:eeff:feee:eeee%eth0"]
    subprocess.run(ping, check=True, capture_output=True)


@pytest.mark.kernel
def test_each_end_knows_the_other_before_any_packet(namespaces: tuple[str, str], thread: NamespaceThread) -> None:
    host, workload = namespaces
    mac = thread.submit(wire, cable(namespaces)).result()
    for address in ADDRESSES:
        assert f"{address.text} lladdr {mac} PERMANENT" in ip(host, "neighbour", "show", "dev", "cali1")
    for gateway in ("169.254.1.1", "fe80::ecee:eeff:feee:eeee"):
        assert f"{gateway} lladdr {HOST_MAC} PERMANENT" in ip(workload, "neighbour", "show", "dev", "eth0")


@pytest.mark.kernel
def test_wiring_again_replaces_the_old_pair(namespaces: tuple[str, str], thread: NamespaceThread) -> None:
    thread.submit(wire, cable(namespaces)).result()
    thread.submit(wire, cable(namespaces)).result()
    assert ip(namespaces[0], "-o", "link").count("cali1") == 1


@pytest.mark.kernel
def test_nothing_is_left_when_wiring_fails(namespaces: tuple[str, str], thread: NamespaceThread) -> None:
    ip(namespaces[1], "link", "add", "eth0", "type", "veth", "peer", "other")
    with pytest.raises(KernelError):
        thread.submit(wire, cable(namespaces)).result()
    assert "cali1" not in ip(namespaces[0], "link")
    with pytest.raises(KernelError, match="open network namespace"):
        thread.submit(wire, cable(namespaces, "/run/netns/tt-there-is-none")).result()


@pytest.mark.kernel
def test_unwiring_what_is_not_there_is_no_error(namespaces: tuple[str, str], thread: NamespaceThread) -> None:
    thread.submit(wire, cable(namespaces)).result()
    thread.submit(unwire, "cali1").result()
    thread.submit(unwire, "cali1").result()
    assert "cali1" not in ip(namespaces[0], "link")
