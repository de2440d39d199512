"""Failsafe ports: as people write them, and for whom they are open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.desired.failsafes import TCP, UDP, Failsafe, failsafes_text, is_failsafe, parse_failsafes

NETS = st.sampled_from((None, Cidr.parse("10.0.0.0/8"), Cidr.parse("192.0.2.7/32"), Cidr.parse("fd00::/8")))
PORTS = st.builds(Failsafe, st.sampled_from((TCP, UDP, 132)), st.integers(1, 65535), NETS)


def test_every_form_is_read() -> None:
    found = parse_failsafes("tcp:22, UDP:10.0.0.0/8:68,tcp:[fd00::/8]:22, 179, sctp:192.0.2.1:9, 179")
    assert found == (
        Failsafe(TCP, 22),
        Failsafe(UDP, 68, Cidr.parse("10.0.0.0/8")),
        Failsafe(TCP, 22, Cidr.parse("fd00::/8")),
        Failsafe(TCP, 179),
        Failsafe(132, 9, Cidr.parse("192.0.2.1")),
    )
    assert parse_failsafes("none") == parse_failsafes("") == ()


@given(st.lists(PORTS, unique=True).map(tuple))
def test_what_is_shown_can_be_read(ports: tuple[Failsafe, ...]) -> None:
    assert parse_failsafes(failsafes_text(ports)) == ports


@pytest.mark.parametrize("text", ["tcp", "tcp:", "tcp:0", "tcp:65536", "icmp:1", "tcp:10.0.0.0/40:1", "tcp:[x]:1", ","])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_failsafes(text)


def test_a_port_is_open_for_its_peers_only() -> None:
    ports = parse_failsafes("tcp:10.0.0.0/8:22, udp:53")
    assert is_failsafe(ports, TCP, 22, Cidr.host("10.1.2.3"))
    assert not is_failsafe(ports, TCP, 22, Cidr.host("192.0.2.1"))
    assert not is_failsafe(ports, UDP, 22, Cidr.host("10.1.2.3"))
    assert is_failsafe(ports, UDP, 53, Cidr.host("fd00::1"))
    assert not is_failsafe(ports, TCP, None, Cidr.host("10.1.2.3"))
