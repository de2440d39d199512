"""Which part endpoints play in a migration."""

from __future__ import annotations

from typing import Any

from tortie.api.livemigration import (
    LiveMigration,
    LiveMigrationSpec,
    MigrationSource,
    MigrationTarget,
    WorkloadIdentifier,
)
from tortie.api.resource import Metadata
from tortie.desired.endpoints import Migration


def migration(source: str, selector: str, hostname: str = "there") -> LiveMigration:
    workload = WorkloadIdentifier(hostname=hostname, orchestrator_id="k8s", workload_id=source)
    spec = LiveMigrationSpec(source=MigrationSource(workload=workload), target=MigrationTarget(selector=selector))
    return LiveMigration(metadata=Metadata(name="m", namespace="shop"), spec=spec)


def endpoint(make: Any, **labels: str) -> Any:
    return make.endpoint("a", "10.0.0.1", labels=labels, orchestrator="k8s", pod="a-0", endpoint="eth0")


def part(world: Any) -> Migration:
    (found,) = world.state.endpoints.values()
    role: Migration = found.migration
    return role


def test_what_a_selector_chooses_arrives_as_long_as_it_does_so(world: Any, make: Any) -> None:
    world.go(migration("shop/b-0", "vm == 'one'"), endpoint(make, vm="one"))
    assert part(world) is Migration.TARGET
    world.go(endpoint(make, vm="two"))
    assert part(world) is Migration.NONE
    world.go(endpoint(make), make.profile(labels={"vm": "one"}))
    assert part(world) is Migration.TARGET
    world.remove(migration("", ""))
    world.flush()
    assert part(world) is Migration.NONE


def test_what_leaves_is_the_source_even_if_it_is_selected(world: Any, make: Any) -> None:
    world.go(endpoint(make, vm="one"))
    world.go(migration("shop/a-0", "vm == 'one'", hostname="here"))
    assert part(world) is Migration.SOURCE
    world.go(migration("shop/a-0", "vm == 'one'"))
    assert part(world) is Migration.TARGET


def test_a_selector_that_cannot_be_read_migrates_nothing(world: Any, make: Any) -> None:
    world.go(endpoint(make, vm="one"), migration("shop/b-0", "((("))
    assert part(world) is Migration.NONE
    assert [key.kind for key in world.calculation.problems.current] == ["LiveMigration"]
    world.go(migration("shop/b-0", "vm == 'one'"))
    assert part(world) is Migration.TARGET
