"""The moment at which new connections change from open to closed, and back."""

from __future__ import annotations

import time

import pytest

from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport, Verdict
from tortie.lab.probe.watch import FIRST_ALLOWED, FIRST_REFUSED, Watch

pytestmark = pytest.mark.kernel

CUT = "add table inet t; add chain inet t f { type filter hook forward priority 0; policy drop; }"


@pytest.mark.parametrize("transport", list(Transport))
def test_the_first_refused_connection_was_opened_after_the_cut_began(lab: Lab, transport: Transport) -> None:
    watching = lab.prober.watch(Probe("w1", "10.65.0.2", transport), FIRST_REFUSED)
    before = time.monotonic()
    assert lab.exec("h1", ["nft", CUT]).returncode == 0
    sighting = watching.result()
    assert sighting is not None
    assert sighting.started >= before
    assert sighting.outcome.verdict is Verdict.DENIED


def test_the_first_allowed_connection_was_opened_after_the_way_was_free(lab: Lab) -> None:
    assert lab.exec("h1", ["nft", CUT]).returncode == 0
    watching = lab.prober.watch(Probe("w1", "10.65.0.2"), FIRST_ALLOWED)
    before = time.monotonic()
    assert lab.exec("h1", ["nft", "delete table inet t"]).returncode == 0
    sighting = watching.result()
    assert sighting is not None
    assert sighting.started >= before - 0.3


def test_a_watch_for_what_does_not_happen_ends(lab: Lab) -> None:
    wanted = Watch(FIRST_REFUSED.until, within=0.1)
    assert lab.prober.watch(Probe("w1", "10.65.0.2"), wanted).result() is None
