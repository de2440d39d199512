"""ICMP messages of both families."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.lab.probe import icmp
from tortie.lab.probe.checksum import internet_checksum
from tortie.lab.probe.icmp import Notice

BOTH = pytest.mark.parametrize("family", [4, 6])


def quoted(family: int, protocol: int, transport: bytes) -> bytes:
    """A packet as an ICMP error quotes it."""
    if family == 4:
        return b"\x45" + bytes(8) + bytes([protocol]) + bytes(10) + transport
    return b"\x60" + bytes(5) + bytes([protocol]) + bytes(33) + transport


def test_an_echo_request_of_ipv4_carries_a_valid_checksum() -> None:
    assert internet_checksum(icmp.echo_request(4, 4711, 3)) == 0


@BOTH
def test_an_echo_reply_is_recognised(family: int) -> None:
    reply = bytes([icmp.ECHO_REPLY[family]]) + icmp.echo_request(family, 4711, 3)[1:]
    assert icmp.parse(family, reply) == Notice(icmp.PROTOCOL[family], 4711, 3)


@BOTH
def test_an_error_about_an_echo_names_its_identifier(family: int) -> None:
    error = bytes([icmp.UNREACHABLE[family], 1]) + bytes(6)
    request = icmp.echo_request(family, 4711, 3)
    notice = icmp.parse(family, error + quoted(family, icmp.PROTOCOL[family], request))
    assert notice == Notice(icmp.PROTOCOL[family], 4711, code=1)


@BOTH
def test_an_error_about_another_protocol_names_its_source_port(family: int) -> None:
    error = bytes([icmp.UNREACHABLE[family], 2]) + bytes(6)
    notice = icmp.parse(family, error + quoted(family, 132, b"\x12\x34\0\x50" + bytes(4)))
    assert notice == Notice(132, 0x1234, code=2)


@given(st.sampled_from([4, 6]), st.binary(max_size=120))
def test_any_bytes_are_parsed_or_refused_without_error(family: int, data: bytes) -> None:
    icmp.parse(family, data)
    icmp.parse(family, bytes([icmp.UNREACHABLE[family]]) + data)
