"""Which endpoint of a node somebody means: by its own name, or by that of its pod, container or machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.api.endpointnames import parse_workload_endpoint_name
from tortie.desired.endpoints import Endpoint, EndpointId

_SHOWN = 5


def endpoint_named(endpoints: Iterable[Endpoint], name: str) -> Endpoint:
    """The endpoint of this `namespace/name`, or of the workload of this `namespace/workload`.

    Raises:
        LookupError: there is none, or the workload has several; says what there is.
    """
    known = {str(one.id): one for one in endpoints}
    if exact := known.get(name):
        return exact
    found = [one for one in known.values() if _workload(one.id) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(f"workload {name} has several endpoints: {_listed(str(one.id) for one in found)}; name one")
    near = [one for one in known if one.partition("/")[0] == name.partition("/")[0]] or list(known)
    here = f"here are {_listed(near)}" if near else "none is here"
    raise LookupError(f"no workload or workload endpoint {name} is on this node; {here}")


def _workload(identity: EndpointId) -> str:
    parts = parse_workload_endpoint_name(identity.name)
    return f"{identity.namespace}/{parts.workload}" if parts else ""


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = [f"and {len(ordered) - _SHOWN} more"] if len(ordered) > _SHOWN else []
    return ", ".join([*ordered[:_SHOWN], *more])
