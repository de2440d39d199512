"""A workload moves to another host under traffic, with real BGP between the hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tortie.lab.assembly import assemble
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.sessions import wait_established
from tortie.lab.topology import Topology, Workload

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def lab(new_topology: Callable[..., Topology]) -> Iterator[Lab]:
    with assemble(new_topology(Workload("talker", "h1"), Workload("mover", "h1"))) as one:
        wait_established(one)
        yield one


def test_streams_of_both_families_survive_a_move_there_and_back(lab: Lab) -> None:
    """Nobody has the address between detaching and attaching: silence is unavoidable, but no family's is longer."""
    addresses = lab.attachment("mover").addresses
    probes = [Probe("talker", one, transport) for one in addresses for transport in (Transport.TCP, Transport.UDP)]
    streams = [lab.prober.stream(probe) for probe in probes]
    for host in ("h2", "h1"):
        attachment = lab.move("mover", host)
        assert (attachment.host, attachment.addresses) == (host, addresses)
        time.sleep(1.2)
    reports = [stream.stop() for stream in streams]
    assert [one.broken for one in reports] == [""] * 4
    longest = {
        family: max(report.longest for probe, report in zip(probes, reports, strict=True) if probe.family == family)
        for family in (4, 6)
    }
    assert 0 < longest[4] < 3000, longest
    assert longest[6] < longest[4] + 800, longest
