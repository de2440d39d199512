"""Durations are read in every spelling and stored in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api import durations
from tortie.api.bgp import BGPPeer, BGPPeerSpec
from tortie.api.defaults import with_defaults
from tortie.api.felixconfiguration import FelixConfiguration, FelixConfigurationSpec, HealthTimeoutOverride
from tortie.api.kubecontrollers import (
    Controllers,
    KubeControllersConfiguration,
    KubeControllersConfigurationSpec,
    NodeController,
)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0", "0s"),
        ("0s", "0s"),
        ("0h", "0s"),
        ("90s", "1m30s"),
        ("1.5m", "1m30s"),
        ("60m", "1h0m0s"),
        ("24h", "24h0m0s"),
        ("1h1.5s", "1h0m1.5s"),
        (".5s", "500ms"),
        ("1.s", "1s"),
        ("1500us", "1.5ms"),
        ("1μs", "1µs"),
        ("1500ns", "1.5µs"),
        ("999ns", "999ns"),
        ("0.1ns", "0s"),
        ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
    ],
)
def test_a_duration_has_one_stored_spelling(given: str, stored: str) -> None:
    assert durations.canonical(given) == stored
    assert durations.canonical(stored) == stored


@pytest.mark.parametrize(
    "text",
    ["", "s", ".s", "5", "-5s", "+5s", "5 s", "5S", "1d", "5s ", "٣s", "2562047h47m16.854775808s", "9" * 50 + "h"],
)
def test_what_is_no_duration_stays(text: str) -> None:
    assert durations.nanoseconds(text) is None
    assert durations.canonical(text) == text


@given(st.integers(0, durations.LONGEST))
def test_every_duration_reads_back(value: int) -> None:
    assert durations.nanoseconds(durations.spelt(value)) == value


def test_durations_are_stored_in_one_spelling_wherever_they_stand() -> None:
    override = HealthTimeoutOverride(name="a", timeout="60s")
    felix = FelixConfiguration(
        spec=FelixConfigurationSpec(route_refresh_interval="90s", health_timeout_overrides=(override,))
    )
    stored = with_defaults(felix).spec
    assert (stored.route_refresh_interval, stored.health_timeout_overrides[0].timeout) == ("1m30s", "1m0s")
    assert with_defaults(BGPPeer(spec=BGPPeerSpec(keepalive_time="0"))).spec.keepalive_time == "0s"
    controllers = Controllers(node=NodeController(leak_grace_period="0"))
    kcc = with_defaults(KubeControllersConfiguration(spec=KubeControllersConfigurationSpec(controllers=controllers)))
    assert kcc.spec.controllers.node and kcc.spec.controllers.node.leak_grace_period == "0s"
    assert kcc.spec.etcd_v3_compaction_period == "10m0s"
