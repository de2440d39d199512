"""Resources as a datastore holds them: a key and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tortie.api.resource import ResourceKey
from tortie.calculation.graph import Value
from tortie.datastore.values import decode_stored

Stored = tuple[ResourceKey, bytes]

HERE = "node-here"
"""The node whose calculation is measured."""


def stored(
    kind: str, name: str, spec: Mapping[str, Any], namespace: str = "", labels: Mapping[str, str] | None = None
) -> Stored:
    """One resource."""
    metadata = {"name": name, "creationTimestamp": "2026-08-23T09:00:00Z"}
    more = {"namespace": namespace} if namespace else {}
    value = {
        "kind": kind,
        "apiVersion": "projectcalico.org/v3",
        "metadata": {**metadata, **more, "labels": labels or {}},
        "spec": spec,
    }
    return ResourceKey(kind, namespace, name), msgspec.json.encode(value)


def endpoint(number: int, node: str, namespace: str, labels: Mapping[str, str]) -> Stored:
    """A workload with one IPv4 address, which is its number in 10.0.0.0/8."""
    spec = {
        "orchestrator": "k8s",
        "node": node,
        "pod": f"pod-{number:06}",
        "endpoint": "eth0",
        "interfaceName": f"cali{number:011x}",
        "ipNetworks": [f"{address(number)}/32"],
        "profiles": [f"kns.{namespace}"],
    }
    own = {"projectcalico.org/namespace": namespace, "projectcalico.org/orchestrator": "k8s"}
    name = f"{node.replace('-', '--')}-k8s-pod--{number:06}-eth0"
    return stored("WorkloadEndpoint", name, spec, namespace, {**own, **labels})


def profile(namespace: str, labels: Mapping[str, str] | None = None) -> Stored:
    """The profile of a namespace, which gives its workloads labels."""
    applied = {"pcns.projectcalico.org/name": namespace, **(labels or {})}
    return stored("Profile", f"kns.{namespace}", {"labelsToApply": applied})


def address(number: int) -> str:
    """The address of an endpoint."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def packed(numbers: Iterable[int]) -> bytes:
    """The addresses of endpoints, as IP sets hold them."""
    return b"".join((10 << 24 | number).to_bytes(4, "big") for number in sorted(numbers))


def decoded(resources: Iterable[Stored]) -> list[tuple[ResourceKey, Value]]:
    """What the agent makes of them."""
    return [(key, decode_stored(key, data, 1)) for key, data in resources]  # type: ignore[misc]
