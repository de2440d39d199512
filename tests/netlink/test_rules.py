"""Routing rules as the kernel keeps them, and as `ip` shows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tortie.netlink import rules
from tortie.netlink.batch import execute
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.rules import RoutingRule
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel


@pytest.fixture
def socket() -> Iterator[NetlinkSocket]:
    namespace = anonymous_namespace()
    with inside(namespace), NetlinkSocket(NETLINK_ROUTE) as one:
        yield one
    os.close(namespace)


@pytest.mark.parametrize("family", [4, 6])
def test_a_rule_is_read_as_it_was_added_and_goes_again(socket: NetlinkSocket, family: int) -> None:
    wanted = [RoutingRule(family, 99, 80, 0x40000, 80), RoutingRule(family, 120, 1000, 0, 80)]
    execute(socket, *map(rules.add, wanted), rules.add(RoutingRule(family, 130, 80, 0, 4)))
    assert rules.list_rules(socket, family, 80) == wanted
    shown = subprocess.run(["ip", f"-{family}", "rule"], capture_output=True, text=True, check=True).stdout
    assert "99:\tnot from all fwmark 0x40000/0x40000 lookup 80 proto 80" in shown
    execute(socket, *map(rules.delete, wanted))
    assert rules.list_rules(socket, family, 80) == []
    assert len(rules.list_rules(socket, family, 4)) == 1
