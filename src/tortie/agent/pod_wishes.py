"""What the pod of a workload asks for by annotations: addresses and pools, floating ones, foreign sources, limits.

They come from the container runtime, over those of the stored Pod, if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.api.pod import Pod
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpointSpec
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource
from tortie.cni.errors import INVALID_NETWORK_CONFIG, CniError
from tortie.cni.request import Request, checked_mac
from tortie.convert import podaddresses
from tortie.convert.qos import limits
from tortie.datastore.resources import ResourceStore


class PodWishes(msgspec.Struct, frozen=True):
    """What an ADD must heed before there are addresses; pools of none are those of the network.

    Args:
        pod: with all annotations.
        unmanaged: addresses that no IPAM is to be asked for.
        mac: the hardware address; empty is any.
    """

    pod: Pod
    addresses: tuple[Cidr, ...]
    pools4: tuple[str, ...]
    pools6: tuple[str, ...]
    unmanaged: tuple[Cidr, ...] = ()
    mac: str = ""

    def heeded(self, spec: WorkloadEndpointSpec, own: Sequence[Cidr]) -> tuple[WorkloadEndpointSpec, list[str]]:
        """The endpoint with what the pod asks for, and what of that cannot be."""
        warnings: list[str] = []
        wanted = limits(self.pod.metadata.annotations)
        spec = msgspec.structs.replace(
            spec,
            ip_nats=podaddresses.floating(self.pod, own, warnings),
            allow_spoofed_source_prefixes=podaddresses.spoofed(self.pod, warnings),
            qos_controls=wanted.controls,
        )
        return spec, [*warnings, *wanted.warnings]


async def pod_wishes(request: Request, store: ResourceStore) -> PodWishes:
    """Raises CniError: addresses or pools are asked for in a way that cannot be read."""
    stored = await _stored(request, store)
    annotations = (stored.metadata.annotations if stored else {}) | request.annotations
    pod = Pod(metadata=Metadata(name=request.pod, namespace=request.namespace, annotations=annotations))
    try:
        return PodWishes(
            pod,
            request.requested_addresses or podaddresses.requested(pod),
            podaddresses.pools(pod, 4),
            podaddresses.pools(pod, 6),
            podaddresses.unmanaged(pod),
            request.requested_mac or checked_mac(annotations.get(podaddresses.HARDWARE_ADDRESS, "")),
        )
    except ValueError as error:
        raise CniError(INVALID_NETWORK_CONFIG, "an annotation of the pod cannot be read", str(error)) from error


async def _stored(request: Request, store: ResourceStore) -> Pod | None:
    if not request.pod:
        return None
    try:
        found = await store.get(ResourceKey(Pod.kind, request.namespace, request.pod))
    except InvalidResource:
        return None
    return found if isinstance(found, Pod) else None
