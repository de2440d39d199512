"""Limits from annotations: beyond its range is at its end, alone is nothing, and a pod's own plugin counts last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.workloadendpoint import QoSControls
from tortie.convert.qos import LIMITS, PREFIX, Limit, limits

Q = PREFIX


def controls(annotations: dict[str, str]) -> QoSControls:
    found = limits(annotations)
    assert found.warnings == ()
    assert found.controls is not None
    return found.controls


def test_no_annotation_is_no_limit() -> None:
    assert limits({"a": "b"}) == limits({})
    assert limits({}).controls is None


def test_bandwidth_has_a_burst_and_a_packet_rate_too() -> None:
    found = controls({f"{Q}ingressBandwidth": "10M", f"{Q}egressPacketRate": "100"})
    assert found == QoSControls(
        ingress_bandwidth=10_000_000, ingress_burst=2**32, egress_packet_rate=100, egress_packet_burst=5
    )


def test_every_limit_has_its_annotation() -> None:
    annotations = {f"{Q}{direction}{limit.annotation}": "2k" for limit in LIMITS for direction in ("ingress", "egress")}
    found = controls(annotations | {f"{Q}dscp": "ef"})
    assert all(getattr(found, field) == 2000 for field in QoSControls.__struct_fields__ if field != "dscp")
    assert found.dscp == "ef"


@pytest.mark.parametrize("limit", LIMITS, ids=[limit.annotation for limit in LIMITS])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_what_is_out_of_range_becomes_the_end_of_the_range_and_is_told(limit: Limit, direction: str) -> None:
    needed = next((f"{Q}{direction}{one.annotation}" for one in LIMITS if one.field == limit.of), "unneeded")
    name = f"{Q}{direction}{limit.annotation}"
    for text, value in (("0", limit.least), ("-5", limit.least), (f"{limit.most + 1}", limit.most)):
        found = limits({needed: "2k", name: text})
        assert getattr(found.controls, f"{direction}_{limit.field}") == value
        (warning,) = found.warnings
        assert warning == f"{name}: {text} is not within {limit.least} to {limit.most}; {value} is used"


@pytest.mark.parametrize("limit", [limit for limit in LIMITS if limit.of], ids=lambda limit: limit.annotation)
def test_what_means_nothing_alone_is_left_out_and_told(limit: Limit) -> None:
    found = limits({f"{Q}egress{limit.annotation}": "3k"})
    assert found.controls is None
    assert len(found.warnings) == 1
    assert "means nothing without" in found.warnings[0]


def test_the_bandwidth_plugins_annotations_count_where_ours_are_not() -> None:
    annotations = {"kubernetes.io/ingress-bandwidth": "1M", "kubernetes.io/egress-bandwidth": "2M"}
    found = controls(annotations | {f"{Q}egressBandwidth": "3M"})
    assert (found.ingress_bandwidth, found.egress_bandwidth) == (1_000_000, 3_000_000)


def test_what_cannot_be_read_is_no_limit_and_told() -> None:
    found = limits({f"{Q}ingressBandwidth": "fast", f"{Q}dscp": "64", f"{Q}egressBandwidth": "1M"})
    assert found.controls == QoSControls(egress_bandwidth=1_000_000, egress_burst=2**32)
    assert [warning.partition(":")[0] for warning in found.warnings] == [f"{Q}ingressBandwidth", f"{Q}dscp"]


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("63", 63), ("AF41", "AF41"), ("cs1", "cs1")])
def test_code_points_are_numbers_or_names(text: str, value: int | str) -> None:
    assert controls({f"{Q}dscp": text}).dscp == value


NAMES = st.sampled_from(
    [f"{Q}{direction}{limit.annotation}" for limit in LIMITS for direction in ("ingress", "egress")]
)


@given(st.dictionaries(NAMES, st.text(max_size=6) | st.integers(-5, 2**60).map(str)))
def test_whatever_is_asked_every_limit_is_within_its_range(annotations: dict[str, str]) -> None:
    found = limits(annotations).controls or QoSControls()
    for limit in LIMITS:
        for direction in ("ingress", "egress"):
            value = getattr(found, f"{direction}_{limit.field}")
            assert value == 0 or limit.least <= value <= limit.most
            assert not (value and limit.of) or getattr(found, f"{direction}_{limit.of}")
