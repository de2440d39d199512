"""Echo requests of an exact size, on a real path that carries less than it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tortie.agent.echo import Echo
from tortie.base.addresses import Cidr
from tortie.netlink.namespace import anonymous_namespace, inside

pytestmark = pytest.mark.kernel

SETUP = """
ip link add here0 type veth peer name port1
ip link add there0 type veth peer name port2
ip link add fabric type bridge
for port in port1 port2; do ip link set $port master fabric up; done
ip link set fabric up mtu 1500
ip link set port2 mtu 1400
ip link set there0 netns /proc/$PPID/fd/{there}
ip link set here0 up
ip addr add 192.0.2.1/24 dev here0
ip addr add fd00::1/64 dev here0 nodad
"""
THERE = """
ip link set there0 up
ip addr add 192.0.2.2/24 dev there0
ip addr add fd00::2/64 dev there0 nodad
"""


@pytest.fixture
def path() -> Iterator[int]:
    """This side of a bridge that drops what is larger than 1400 bytes on its way to the other side."""
    here, there = anonymous_namespace(), anonymous_namespace()
    with inside(here):
        subprocess.run(["sh", "-ec", SETUP.format(there=there)], check=True)
    with inside(there):
        subprocess.run(["sh", "-ec", THERE], check=True)
    yield here
    os.close(here)
    os.close(there)


@pytest.mark.parametrize("address", ["192.0.2.2", "fd00::2"])
async def test_what_fits_is_answered_and_what_is_lost_on_the_way_is_not(path: int, address: str) -> None:
    with inside(path):
        echo = Echo()
    echo.listen()
    try:
        for _ in range(20):
            if await echo.answers(Cidr.host(address), 1280, 0.5):
                break
        assert await echo.answers(Cidr.host(address), 1400, 2)
        assert not await echo.answers(Cidr.host(address), 1401, 0.2)
        assert not await echo.answers(Cidr.host(address), 1500, 0.2)
        assert not await echo.answers(Cidr.host(address), 1501, 0.2)
    finally:
        echo.close()


async def test_where_there_is_no_way_there_is_no_answer(path: int) -> None:
    with inside(path):
        echo = Echo(mark=1)
    echo.listen()
    assert not await echo.answers(Cidr.host("198.51.100.1"), 100, 0.1)
    echo.close()
