"""What Felix says of hosts and endpoints is stored byte for byte as it is published.

`golden/status.txt` was written by hand from the published layout: keys, each followed by its value.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.errors import InvalidResource
from tortie.datastore.archive import is_moved
from tortie.datastore.statuskeys import (
    EndpointState,
    EndpointStatus,
    HostEndpointStatusKey,
    LastReportKey,
    Liveness,
    LivenessKey,
    StatusKey,
    WorkloadStatusKey,
    decode_endpoint_status,
    decode_liveness,
    encode_status,
    host_endpoint_status_prefix,
    parse_status_key,
    status_key,
    workload_status_prefix,
)

GOLDEN = [line for line in (Path(__file__).parent / "golden" / "status.txt").read_text().split("\n") if line[:1] != "#"]
LINES = [line for line in GOLDEN if line]
PAIRS = list(zip(LINES[::2], LINES[1::2], strict=True))

NAMES = st.text(min_size=1)
HOSTS = NAMES.filter(lambda host: "/" not in host)
REGION = st.just("") | HOSTS
KEYS = st.one_of(
    st.builds(LivenessKey, REGION, HOSTS),
    st.builds(LastReportKey, REGION, HOSTS),
    st.builds(WorkloadStatusKey, REGION, HOSTS, NAMES, NAMES, NAMES),
    st.builds(HostEndpointStatusKey, HOSTS, NAMES),
)


def test_the_dumps_are_what_this_host_would_write() -> None:
    early = encode_status(Liveness("2026-08-23T09:10:00Z", 0.25, True)).decode()
    late = encode_status(Liveness("2026-08-23T09:11:01Z", 61.5, False)).decode()
    whole = encode_status(Liveness("2026-08-23T09:10:00Z", 3600.0, False)).decode()
    up, down, error = (encode_status(EndpointStatus(state)).decode() for state in EndpointState)
    host, far = ("", "n-1.example"), ("east-2", "compute_7")
    assert [
        *[(status_key(kind(*host)), value) for value in (early, late) for kind in (LastReportKey, LivenessKey)],
        *[(status_key(kind(*far)), whole) for kind in (LastReportKey, LivenessKey)],
        (status_key(WorkloadStatusKey(*host, "cni", "default/3fa9c1", "eth0")), down),
        (status_key(WorkloadStatusKey(*host, "k8s", "shop/web-0", "eth0")), up),
        (status_key(WorkloadStatusKey(*far, "openstack", "openstack-region-east-2/1be4-77", "0f2%3a/b")), error),
        (status_key(HostEndpointStatusKey("n-1.example", "uplink")), up),
        (status_key(HostEndpointStatusKey("n-1.example", "a/b%c")), error),
    ] == PAIRS


@pytest.mark.parametrize(("key", "value"), PAIRS)
def test_what_felix_stored_is_read_and_would_be_written_the_same(key: str, value: str) -> None:
    parsed = parse_status_key(key)
    assert parsed is not None
    assert status_key(parsed) == key
    is_liveness = isinstance(parsed, LivenessKey | LastReportKey)
    decode = decode_liveness if is_liveness else decode_endpoint_status
    assert encode_status(decode(value.encode())).decode() == value


@pytest.mark.parametrize(("key", "value"), PAIRS)
def test_no_status_moves_with_a_datastore(key: str, value: str) -> None:
    assert not is_moved(key)


@given(KEYS)
def test_every_key_is_read_back_as_it_was_meant(key: StatusKey) -> None:
    assert parse_status_key(status_key(key)) == key


@given(
    st.text()
    | st.lists(st.sampled_from(["host", "n", "status", "endpoint", "workload", "no-region", "", "%2F", "%"])).map(
        lambda path: "/calico/felix/v2/" + "/".join(path)
    )
)
def test_what_is_no_status_key_is_told_as_such(text: str) -> None:
    parsed = parse_status_key(text)
    assert parsed is None or status_key(parsed) == text


@pytest.mark.parametrize("name", ["a%2Fb", "a%b", "%"])
def test_a_name_that_nobody_would_spell_so_names_nothing(name: str) -> None:
    assert parse_status_key(f"/calico/felix/v1/host/n/endpoint/{name}") is None


def test_the_prefix_of_a_host_is_not_that_of_a_host_whose_name_begins_the_same() -> None:
    key = status_key(WorkloadStatusKey("", "n10", "k8s", "shop/web", "eth0"))
    assert not key.startswith(workload_status_prefix("", "n1"))
    assert key.startswith(workload_status_prefix("", "n10"))
    key = status_key(HostEndpointStatusKey("n10", "uplink"))
    assert not key.startswith(host_endpoint_status_prefix("n1"))
    assert key.startswith(host_endpoint_status_prefix("n10"))


@pytest.mark.parametrize("data", [b"", b"{}", b"up", b'{"status":"sideways"}', b"\xff"])
def test_a_value_that_says_nothing_is_refused(data: bytes) -> None:
    for decode in (decode_liveness, decode_endpoint_status):
        with pytest.raises(InvalidResource):
            decode(data)
