"""Streams see cuts, and only those."""

from __future__ import annotations

import time

import pytest

from tortie.base.errors import Unsupported
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.stream import Stream

pytestmark = pytest.mark.kernel

STREAMED = pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP, Transport.ICMP])
FAMILIES = pytest.mark.parametrize("address", ["10.65.0.2", "fd00:65::2"])
CUT = "add table inet t; add chain inet t f { type filter hook forward priority 0; policy drop; }"


def flow(stream: Stream, requests: int) -> None:
    """Let so many more requests be sent."""
    wanted = stream.sent + requests
    while stream.sent < wanted:
        time.sleep(0.002)


@STREAMED
@FAMILIES
def test_a_cut_made_on_purpose_is_one_outage_and_the_flow_goes_on(lab: Lab, transport: Transport, address: str) -> None:
    with lab.prober.stream(Probe("w1", address, transport)) as stream:
        flow(stream, 20)
        assert lab.exec("h1", ["nft", CUT]).returncode == 0
        started = time.monotonic()
        flow(stream, 75)
        cut = (time.monotonic() - started) * 1000
        assert lab.exec("h1", ["nft", "delete table inet t"]).returncode == 0
        flow(stream, 250)
        report = stream.stop()
    assert report.longest >= cut * 0.8
    assert report.broken == ""
    assert report.lost < report.sent / 2


@STREAMED
def test_an_undisturbed_stream_loses_nothing(lab: Lab, transport: Transport) -> None:
    with lab.prober.stream(Probe("w1", "10.65.0.2", transport)) as stream:
        flow(stream, 100)
        report = stream.stop()
    assert (report.lost, report.broken) == (0, "")


def test_a_tcp_stream_tells_that_its_connection_was_reset(lab: Lab) -> None:
    with lab.prober.stream(Probe("w1", "10.65.0.2")) as stream:
        flow(stream, 20)
        lab.prober.unlisten("w2", 80)
        time.sleep(0.1)
        assert stream.stop().broken


def test_sctp_has_no_stream(lab: Lab) -> None:
    with pytest.raises(Unsupported):
        lab.prober.stream(Probe("w1", "10.65.0.2", Transport.SCTP))


def test_a_stream_to_a_closed_port_is_an_error(lab: Lab) -> None:
    with pytest.raises(ConnectionRefusedError):
        lab.prober.stream(Probe("w1", "10.65.0.2", port=4711))
