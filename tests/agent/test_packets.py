"""Headers of traced packets, and filters on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.decisions import Filter, Packet
from tortie.agent.packets import fits, read_packet

IPV4 = bytes.fromhex("4500001d01f0400040113ade0a0000010a000002")
IPV6 = (
    bytes.fromhex("6000000000083a40")
    + bytes.fromhex("fd00")
    + bytes(13)
    + b"\1"
    + bytes.fromhex("fd00")
    + bytes(13)
    + b"\2"
)
UDP = Packet("10.0.0.1", "10.0.0.2", 17, 4096, 80)


def test_addresses_and_ports_are_read() -> None:
    assert read_packet(2, IPV4, b"\x10\0\0\x50") == UDP
    assert read_packet(10, IPV6, b"\x80\0") == Packet("fd00::1", "fd00::2", 58, icmp_type=128, icmp_code=0)


@given(st.integers(0, 12), st.binary(max_size=60), st.binary(max_size=20))
def test_whatever_comes_is_a_packet_or_nothing(protocol: int, network: bytes, transport: bytes) -> None:
    assert isinstance(read_packet(protocol, network, transport), Packet | None)


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        (Filter(), True),
        (Filter(source="10.0.0.0/24"), True),
        (Filter(source="10.0.0.2"), False),
        (Filter(destination="10.0.0.2", protocol=17, port=80), True),
        (Filter(destination="fd00::/8"), False),
        (Filter(port=4096), True),
        (Filter(port=81), False),
        (Filter(protocol=6), False),
    ],
)
def test_only_what_is_asked_for_fits(wanted: Filter, fit: bool) -> None:
    assert fits(UDP, wanted) == fit
