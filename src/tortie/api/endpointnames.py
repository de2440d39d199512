"""Names of workload endpoints (`<node>-<orchestrator>-<workload>-<endpoint>`, inner dashes doubled) and interfaces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from tortie.api.workloadendpoint import WorkloadEndpointSpec

_SEPARATOR = re.compile(r"(?<!-)-(?!-)")


class WorkloadEndpointParts(NamedTuple):
    """The four parts of a name: pod, container or virtual machine is the `workload`."""

    node: str
    orchestrator: str
    workload: str
    endpoint: str


def workload_endpoint_name(node: str, orchestrator: str, workload: str, endpoint: str) -> str:
    """The name of an endpoint.

    Raises:
        ValueError: a part is empty, or begins or ends with a dash, so that the name could not be read back.
    """
    parts = (node, orchestrator, workload, endpoint)
    _refuse_ambiguous(parts)
    return "-".join(map(_double, parts))


def workload_endpoint_prefix(*parts: str) -> str:
    """What the names of all endpoints with these leading parts begin with; ends in a dash.

    Names with a longer part can begin with it too, so each match must be parsed and compared.

    Raises:
        ValueError: as for a whole name.
    """
    _refuse_ambiguous(parts)
    return "".join(_double(part) + "-" for part in parts)


def name_of_workload_endpoint(spec: WorkloadEndpointSpec) -> str:
    """The one name that an endpoint with this specification may have.

    Raises:
        ValueError: the specification lacks a part of the name, or a part is ambiguous.
    """
    node, orchestrator, *rest = named_after(spec).values()
    workload, endpoint = rest if len(rest) == 2 else (orchestrator, *rest)
    return workload_endpoint_name(node, orchestrator, workload, endpoint)


def named_after(spec: WorkloadEndpointSpec) -> Mapping[str, str]:
    """The fields of a specification from which its name is made, in their order, and what they hold.

    Which of them names the workload is the orchestrator's choice; `libnetwork` has none, and stands there itself.
    """
    match spec.orchestrator:
        case "k8s":
            workload = {"pod": spec.pod}
        case "cni":
            workload = {"containerID": spec.container_id}
        case "libnetwork":
            workload = {}
        case _:
            workload = {"workload": spec.workload}
    return {"node": spec.node, "orchestrator": spec.orchestrator, **workload, "endpoint": spec.endpoint}


def host_interface_name(prefix: str, namespace: str, pod: str, container_id: str) -> str:
    """Stable name of the host's end: from namespace and pod where there are such, else from the container."""
    if pod:
        return prefix + hashlib.sha1(f"{namespace}.{pod}".encode(), usedforsecurity=False).hexdigest()[:11]
    return prefix + container_id[:11]


def parse_workload_endpoint_name(name: str) -> WorkloadEndpointParts | None:
    """The parts of a name, or None when it is not the name of any endpoint."""
    parts = [part.replace("--", "-") for part in _SEPARATOR.split(name)]
    if len(parts) != 4 or any(map(is_ambiguous, parts)) or "-".join(map(_double, parts)) != name:
        return None
    return WorkloadEndpointParts(*parts)


def is_ambiguous(part: str) -> bool:
    """Whether a name with this part could not be read back."""
    return not part or part.startswith("-") or part.endswith("-")


def _refuse_ambiguous(parts: tuple[str, ...]) -> None:
    for part in parts:
        if is_ambiguous(part):
            raise ValueError(f"{part!r} cannot be part of a workload endpoint's name")


def _double(part: str) -> str:
    return part.replace("-", "--")
