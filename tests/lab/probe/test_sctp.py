"""Hand-made SCTP packets: what is packed is parsed, damage is noticed, the server follows the handshake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.lab.probe import sctp
from tortie.lab.probe.sctp import Chunk, Packet

PORTS = st.integers(0, 65535)
TAGS = st.integers(0, 0xFFFFFFFF)
PACKETS = st.builds(Packet, PORTS, PORTS, TAGS, st.integers(0, 255), st.binary(max_size=64))


@given(PACKETS)
def test_a_packed_packet_parses_to_itself(packet: Packet) -> None:
    assert sctp.parse(sctp.pack(packet)) == packet


@given(PACKETS, st.data())
def test_one_flipped_bit_makes_a_packet_unreadable(packet: Packet, data: st.DataObject) -> None:
    packed = bytearray(sctp.pack(packet))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    assert sctp.parse(bytes(packed)) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_or_refused_without_error(data: bytes) -> None:
    sctp.parse(data)
    sctp.state_cookie(data)
    sctp.initiate_tag(data)


def test_an_init_to_an_open_port_is_acknowledged_with_a_cookie_that_names_the_server() -> None:
    init = Packet(1000, 80, 0, Chunk.INIT, sctp.init_body(7))
    answer = sctp.respond(init, {80}, "web")
    assert answer is not None
    assert (answer.source_port, answer.destination_port, answer.tag, answer.chunk) == (80, 1000, 7, Chunk.INIT_ACK)
    assert sctp.state_cookie(answer.body) == b"\0\0\0\7web"


def test_an_init_to_a_closed_port_is_aborted() -> None:
    answer = sctp.respond(Packet(1000, 81, 0, Chunk.INIT, sctp.init_body(7)), {80}, "web")
    assert answer == Packet(81, 1000, 7, Chunk.ABORT)


def test_an_echoed_cookie_is_acknowledged_with_the_tag_that_it_carries() -> None:
    answer = sctp.respond(Packet(1000, 80, 9, Chunk.COOKIE_ECHO, b"\0\0\0\7web"), {80}, "web")
    assert answer == Packet(80, 1000, 7, Chunk.COOKIE_ACK)


@pytest.mark.parametrize("chunk", [Chunk.INIT_ACK, Chunk.COOKIE_ACK, Chunk.ABORT])
def test_what_a_client_waits_for_is_not_answered(chunk: Chunk) -> None:
    assert sctp.respond(Packet(1000, 80, 7, chunk), {80}, "web") is None
