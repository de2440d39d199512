"""GC: which attachments of a network its runtime no longer knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.agent.attached_endpoint import NETWORK
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.cni.errors import INVALID_NETWORK_CONFIG, CniError
from tortie.cni.request import Request


def stale_requests(request: Request, endpoints: Iterable[WorkloadEndpoint]) -> list[Request]:
    """A DEL for each endpoint of the request's network that is not among its valid attachments.

    Args:
        endpoints: all of this node.

    Raises:
        CniError: the request does not say which are valid.
    """
    config = request.config
    valid = config.valid_attachments if config.valid_attachments is not None else config.early_valid_attachments
    if valid is None:
        remedy = "GC needs what the runtime still has, if only an empty list"
        raise CniError(INVALID_NETWORK_CONFIG, "the configuration has no cni.dev/valid-attachments", remedy)
    known = {(one.container_id, one.interface) for one in valid}
    return [
        _deletion(request, endpoint)
        for endpoint in endpoints
        if _is_of(endpoint, config.name) and (endpoint.spec.container_id, endpoint.spec.endpoint) not in known
    ]


def _is_of(endpoint: WorkloadEndpoint, network: str) -> bool:
    """Those that older plugins wrote name their network in no other way than by its profile, and pods not at all."""
    noted = endpoint.metadata.annotations.get(NETWORK)
    if noted is not None:
        return noted == network
    return endpoint.spec.orchestrator == "cni" and endpoint.spec.profiles == (network,)


def _deletion(request: Request, endpoint: WorkloadEndpoint) -> Request:
    spec = endpoint.spec
    about = {"CNI_CONTAINERID": spec.container_id, "CNI_IFNAME": spec.endpoint, "CNI_NETNS": ""}
    return msgspec.structs.replace(
        request,
        command="DEL",
        container_id=spec.container_id,
        netns="",
        interface=spec.endpoint,
        namespace=endpoint.metadata.namespace if spec.pod else "",
        pod=spec.pod,
        variables={**request.variables, **about},
    )
