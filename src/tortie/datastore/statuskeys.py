"""The keys under which Felix says that a host lives and how its endpoints are, and their values. Pure.

A region is that of OpenStack, empty where there is none. Hosts stand in keys as they are; all else is escaped.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tortie.api import codec
from tortie.datastore.keys import escape, unescape

REGIONS = "/calico/felix/v2/"
HOST_ENDPOINTS = "/calico/felix/v1/host/"

_NO_REGION = "no-region"
_REGION = "region-"


class LivenessKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """A host that lives: the key vanishes when it is not written again in time."""

    region: str
    host: str


class LastReportKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a host last said under its `LivenessKey`; this one stays."""

    region: str
    host: str


class WorkloadStatusKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """One workload endpoint of a host.

    Args:
        workload: `namespace/name`, where the name is that of a pod or container.
        endpoint: the interface, or port, of the workload.
    """

    region: str
    host: str
    orchestrator: str
    workload: str
    endpoint: str


class HostEndpointStatusKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """One host endpoint of a host."""

    host: str
    endpoint: str


StatusKey = LivenessKey | LastReportKey | WorkloadStatusKey | HostEndpointStatusKey


class Liveness(msgspec.Struct, frozen=True, gc=False):
    """What a host says of itself.

    Args:
        time: when it was said, RFC 3339, UTC, whole seconds.
        uptime: seconds since the agent's start.
        first_update: nothing was said since that start.
    """

    time: str
    uptime: float
    first_update: bool


class EndpointState(StrEnum):
    """How an endpoint is."""

    UP = "up"
    """Its policy and routes are in the kernel, and its interface is up."""
    DOWN = "down"
    """Its interface is down or absent, or it is not to send and receive anything."""
    ERROR = "error"
    """It could not be programmed."""


class EndpointStatus(msgspec.Struct, frozen=True, gc=False):
    """The value for one endpoint."""

    status: EndpointState


def status_key(key: StatusKey) -> str:
    """Where a status is stored."""
    match key:
        case LivenessKey(region, host):
            return f"{host_prefix(region, host)}status"
        case LastReportKey(region, host):
            return f"{host_prefix(region, host)}last_reported_status"
        case WorkloadStatusKey(region, host, orchestrator, workload, endpoint):
            path = f"{escape(orchestrator)}/{escape(workload)}/endpoint/{escape(endpoint)}"
            return workload_status_prefix(region, host) + path
        case HostEndpointStatusKey(host, endpoint):
            return host_endpoint_status_prefix(host) + escape(endpoint)


def host_prefix(region: str, host: str) -> str:
    """What the keys of one host begin with, but those of its host endpoints."""
    return f"{REGIONS}{_REGION + region if region else _NO_REGION}/host/{host}/"


def workload_status_prefix(region: str, host: str) -> str:
    """What the keys of all workload endpoints of one host begin with."""
    return host_prefix(region, host) + "workload/"


def host_endpoint_status_prefix(host: str) -> str:
    """What the keys of all host endpoints of one host begin with."""
    return f"{HOST_ENDPOINTS}{host}/endpoint/"


def parse_status_key(text: str) -> StatusKey | None:
    """The status that a key holds, or None when it holds none or is not spelt as `status_key` spells it."""
    found = _parse(text)
    return found if found is not None and status_key(found) == text else None


def encode_status(value: Liveness | EndpointStatus) -> bytes:
    """The bytes that are stored."""
    if isinstance(value, Liveness):
        value = msgspec.structs.replace(value, uptime=msgspec.Raw(codec.number(value.uptime).encode()))
    return codec.encode_value(value)


def decode_liveness(data: bytes) -> Liveness:
    """What a host said. Raises InvalidResource."""
    return codec.decode_value(Liveness, data)


def decode_endpoint_status(data: bytes) -> EndpointStatus:
    """How an endpoint is. Raises InvalidResource."""
    return codec.decode_value(EndpointStatus, data)


def _parse(text: str) -> StatusKey | None:
    if text.startswith(HOST_ENDPOINTS):
        return _parse_host_endpoint(text[len(HOST_ENDPOINTS) :].split("/"))
    if not text.startswith(REGIONS):
        return None
    path = text[len(REGIONS) :].split("/")
    region = _parse_region(path[0])
    return None if region is None or not all(path) else _parse_of_region(region, path[1:])


def _parse_region(segment: str) -> str | None:
    if segment == _NO_REGION:
        return ""
    return segment.removeprefix(_REGION) or None if segment.startswith(_REGION) else None


def _parse_of_region(region: str, path: list[str]) -> StatusKey | None:
    match path:
        case ["host", host, "status"]:
            return LivenessKey(region, host)
        case ["host", host, "last_reported_status"]:
            return LastReportKey(region, host)
        case ["host", host, "workload", orchestrator, workload, "endpoint", endpoint]:
            return WorkloadStatusKey(region, host, unescape(orchestrator), unescape(workload), unescape(endpoint))
        case _:
            return None


def _parse_host_endpoint(path: list[str]) -> HostEndpointStatusKey | None:
    match path:
        case [host, "endpoint", endpoint] if host and endpoint:
            return HostEndpointStatusKey(host, unescape(endpoint))
        case _:
            return None
