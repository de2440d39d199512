"""EndpointSlice: some backends of a service, a Kubernetes object kept whole (`discovery.k8s.io/v1`)."""

from __future__ import annotations

from typing import ClassVar

from tortie.api.resource import Model, Resource

SERVICE_LABEL = "kubernetes.io/service-name"
"""Label of a slice that names its service, which is of the same namespace."""


class EndpointConditions(Model, frozen=True, kw_only=True):
    """What is known of one backend; unknown is None."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ObjectReference(Model, frozen=True, kw_only=True):
    """The object that stands behind a backend."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class Zone(Model, frozen=True, kw_only=True):
    """A zone or node that a backend is meant for."""

    name: str = ""


class EndpointHints(Model, frozen=True, kw_only=True):
    """Who should use a backend."""

    for_zones: tuple[Zone, ...] = ()
    for_nodes: tuple[Zone, ...] = ()


class Backend(Model, frozen=True, kw_only=True):
    """One endpoint: its addresses are alternatives for each other."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    deprecated_topology: dict[str, str] = {}
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class BackendPort(Model, frozen=True, kw_only=True):
    """A port of every backend of the slice; TCP unless said otherwise."""

    name: str = ""
    protocol: str = ""
    port: int | None = None
    app_protocol: str | None = None


class EndpointSlice(Resource, frozen=True, kw_only=True):
    """Backends of one address type with the same ports."""

    kind: ClassVar[str] = "EndpointSlice"
    api_version: ClassVar[str] = "discovery.k8s.io/v1"
    plural: ClassVar[str] = "endpointslices"
    namespaced: ClassVar[bool] = True

    address_type: str = ""
    endpoints: tuple[Backend, ...] = ()
    ports: tuple[BackendPort, ...] = ()
