"""The table of cut flows in a real kernel: it drops both directions of a flow, nothing else, and goes when empty."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.cut_table import read_cut, write_cut
from tortie.netlink.conntrack import Tuple
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket

pytestmark = pytest.mark.kernel
HERE = {4: "127.0.0.1", 6: "::1"}


def cut(family: int, source: int, destination: int) -> Tuple:
    here = Cidr.host(HERE[family])
    return Tuple(here, here, 17, source, destination)


def arrives(family: int, source: int, destination: int) -> bool:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with socket.socket(kind, socket.SOCK_DGRAM) as speaker, socket.socket(kind, socket.SOCK_DGRAM) as listener:
        speaker.bind((HERE[family], source))
        listener.bind((HERE[family], destination))
        listener.settimeout(0.1)
        try:
            speaker.sendto(b"x", (HERE[family], destination))
            return listener.recv(1) == b"x"
        except (TimeoutError, PermissionError):
            return False


@pytest.mark.parametrize("family", [4, 6])
def test_both_directions_of_a_flow_are_dropped_and_no_other(namespace: int, family: int) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with NetlinkSocket(NETLINK_NETFILTER) as kernel:
        assert arrives(family, 4000, 80)
        write_cut(kernel, [cut(family, 4000, 80)])
        assert not arrives(family, 4000, 80)
        assert not arrives(family, 80, 4000)
        assert arrives(family, 4001, 80)
        write_cut(kernel, [])
        assert arrives(family, 4000, 80)


def test_what_is_written_is_read_and_an_empty_table_is_none(namespace: int) -> None:
    flows = {cut(4, 1, 2), cut(4, 3, 4), cut(6, 5, 6)}
    with NetlinkSocket(NETLINK_NETFILTER) as kernel:
        assert read_cut(kernel) == set()
        write_cut(kernel, flows)
        assert read_cut(kernel) == flows
        write_cut(kernel, [])
        assert read_cut(kernel) == set()
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert tables == ""
