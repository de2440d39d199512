"""LiveMigration: a virtual machine on its way from one host to another."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class WorkloadIdentifier(Model, frozen=True, kw_only=True):
    """A workload, all of its endpoints."""

    hostname: str = ""
    orchestrator_id: str = msgspec.field(default="", name="orchestratorID")
    workload_id: str = msgspec.field(default="", name="workloadID")


class WorkloadEndpointIdentifier(WorkloadIdentifier, frozen=True, kw_only=True):
    """One endpoint of a workload."""

    endpoint_id: str = msgspec.field(default="", name="endpointID")


class MigrationSource(Model, frozen=True, kw_only=True):
    """What leaves: exactly one field is given."""

    workload: WorkloadIdentifier | None = None
    workload_endpoint: WorkloadEndpointIdentifier | None = None


class MigrationTarget(Model, frozen=True, kw_only=True):
    """What arrives: exactly one field is given."""

    selector: str | None = None
    workload_endpoint: WorkloadEndpointIdentifier | None = None


class LiveMigrationSpec(Model, frozen=True, kw_only=True):
    """Both ends of the way."""

    source: MigrationSource | None = None
    target: MigrationTarget | None = None


class LiveMigration(Resource, frozen=True, kw_only=True):
    """One migration; written by orchestrators."""

    kind: ClassVar[str] = "LiveMigration"
    plural: ClassVar[str] = "livemigrations"
    namespaced: ClassVar[bool] = True

    spec: LiveMigrationSpec = msgspec.field(default_factory=LiveMigrationSpec)
