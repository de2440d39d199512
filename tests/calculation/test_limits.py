"""Limits that endpoints ask for."""

from __future__ import annotations

from typing import Any

from tortie.api.workloadendpoint import QoSControls
from tortie.calculation.limits import limits
from tortie.desired.limits import NO_LIMITS, Bandwidth, Limits
from tortie.desired.policy import Direction


def test_each_direction_has_its_own(world: Any, make: Any) -> None:
    asked = QoSControls(ingress_packet_rate=100, ingress_packet_burst=7, egress_max_connections=3)
    world.go(make.endpoint("a", "10.0.0.1", qos_controls=asked))
    (endpoint,) = world.state.endpoints.values()
    assert endpoint.ingress_limits == Limits(packet_rate=100, packet_burst=7)
    assert endpoint.egress_limits == Limits(connections=3)
    world.go(make.endpoint("a", "10.0.0.1"))
    (endpoint,) = world.state.endpoints.values()
    assert endpoint.ingress_limits == endpoint.egress_limits == NO_LIMITS


def test_bursts_have_defaults_and_mean_nothing_without_their_rate() -> None:
    def ingress(**asked: int) -> Limits:
        return limits(QoSControls(**asked), Direction.INGRESS)

    assert ingress(ingress_packet_rate=100) == Limits(packet_rate=100, packet_burst=5)
    assert ingress(ingress_packet_burst=100, ingress_burst=9000, ingress_minburst=1000) == NO_LIMITS
    assert ingress(ingress_bandwidth=10**6) == Limits(bandwidth=Bandwidth(10**6, 2**32))
    assert ingress(ingress_bandwidth=10**6, ingress_burst=5000, ingress_minburst=4000) == Limits(
        bandwidth=Bandwidth(10**6, 5000)
    )
    assert ingress(ingress_bandwidth=10**6, ingress_burst=5000, ingress_peakrate=2 * 10**6, ingress_minburst=4000) == (
        Limits(bandwidth=Bandwidth(10**6, 5000, 2 * 10**6, 4000))
    )
    assert ingress(egress_bandwidth=10**6) == ingress(ingress_bandwidth=-1) == NO_LIMITS
