"""Families of generic netlink, asked of the kernel."""

from __future__ import annotations

import errno

import pytest

from tortie.base.errors import KernelError
from tortie.netlink.generic import NETLINK_GENERIC, family_number
from tortie.netlink.socket import NetlinkSocket

pytestmark = pytest.mark.kernel


def test_a_family_is_found_by_its_name() -> None:
    with NetlinkSocket(NETLINK_GENERIC) as socket:
        assert family_number(socket, "nlctrl") == 16


def test_a_family_that_is_not_there_is_refused() -> None:
    with NetlinkSocket(NETLINK_GENERIC) as socket, pytest.raises(KernelError) as caught:
        family_number(socket, "tt-nothing")
    assert caught.value.errno == errno.ENOENT
