"""Which endpoints of this node are on their way to or from another host."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tortie.api.endpointnames import named_after
from tortie.api.livemigration import LiveMigration, MigrationSource, MigrationTarget, WorkloadIdentifier
from tortie.api.resource import ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpointSpec
from tortie.calculation.problems import Problems
from tortie.desired.endpoints import EndpointId, Migration
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import Selector, parse

Labels = Callable[[int], Mapping[str, str]]


class Migrations:
    """All that are under way; few at a time, and each endpoint is compared with every one of them.

    Args:
        labels: the effective ones of an item of the label index.
    """

    def __init__(self, problems: Problems, labels: Labels) -> None:
        self._problems = problems
        self._labels = labels
        self._migrations: dict[ResourceKey, LiveMigration] = {}
        self._selectors: dict[ResourceKey, Selector] = {}
        self._is_dirty = False

    def put(self, key: ResourceKey, migration: LiveMigration | None) -> None:
        """Add, replace or, with None, remove one."""
        self._is_dirty |= self._migrations.get(key) != migration
        self._migrations.pop(key, None)
        self._selectors.pop(key, None)
        target = migration.spec.target if migration else None
        try:
            if target is not None and target.selector is not None:
                self._selectors[key] = parse(target.selector)
        except InvalidSelector as error:
            self._problems.note(key, error)
            return
        if migration is not None:
            self._migrations[key] = migration

    def take_changes(self) -> bool:
        """Whether something changed since this was last asked."""
        changed, self._is_dirty = self._is_dirty, False
        return changed

    @property
    def selects(self) -> bool:
        """Whether labels of endpoints count."""
        return bool(self._selectors)

    def of(self, endpoint_id: EndpointId, spec: WorkloadEndpointSpec, item: int) -> Migration:
        """The part that an endpoint plays. One that leaves again at once still carries its traffic: it is a source."""
        if not self._migrations:
            return Migration.NONE
        name = _Name(endpoint_id, spec)
        if any(_is_source(name, one.spec.source) for one in self._migrations.values()):
            return Migration.SOURCE
        for key, one in self._migrations.items():
            selector = self._selectors.get(key)
            selected = (
                selector is not None and selector.matches(self._labels(item)) and not _is_away(name, one.spec.source)
            )
            if selected or _is_target(name, one.spec.target):
                return Migration.TARGET
        return Migration.NONE

    def is_empty(self) -> bool:
        """Whether there are none."""
        return not (self._migrations or self._selectors)


class _Name:
    """How orchestrators call an endpoint."""

    def __init__(self, endpoint_id: EndpointId, spec: WorkloadEndpointSpec) -> None:
        parts = tuple(named_after(spec).values())
        workload = parts[2] if len(parts) == 4 else parts[1]
        self.of_workload = (parts[0], parts[1], f"{endpoint_id.namespace}/{workload}")
        self.endpoint = parts[-1]

    def is_of(self, identifier: WorkloadIdentifier) -> bool:
        """Whether it belongs to a workload."""
        return self.of_workload == (identifier.hostname, identifier.orchestrator_id, identifier.workload_id)


def _is_source(name: _Name, source: MigrationSource | None) -> bool:
    if source is None:
        return False
    one = source.workload_endpoint
    of_workload = source.workload is not None and name.is_of(source.workload)
    return of_workload or (one is not None and name.is_of(one) and name.endpoint == one.endpoint_id)


def _is_target(name: _Name, target: MigrationTarget | None) -> bool:
    one = target.workload_endpoint if target else None
    return one is not None and name.is_of(one) and name.endpoint == one.endpoint_id


def _is_away(name: _Name, source: MigrationSource | None) -> bool:
    """Whether a migration begins at this very host, so that nothing here can be where it ends."""
    ends = (source.workload, source.workload_endpoint) if source else ()
    return any(one is not None and one.hostname == name.of_workload[0] for one in ends)
