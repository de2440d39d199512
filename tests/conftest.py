"""Settings of every test: hypothesis profiles, and a clear failure where root is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    max_examples=50,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# A test that wants more or fewer examples asks for a multiple of the profile's.
settings.register_profile("quick", parent=settings.get_profile("default"), max_examples=5)
settings.register_profile("soak", parent=settings.get_profile("default"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Capturing logs configures logging for good; the next test shall not see that."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def for_each() -> Callable[[Mapping[str, Any], Callable[[Any], None]], None]:
    """`for_each(cases, check)` checks every case of a table, and fails with all that do not pass, by name.

    A test for each of hundreds of cases that take no time would take much: to be found, sent to a worker and told.
    """

    def run(cases: Mapping[str, Any], check: Callable[[Any], None]) -> None:
        failures: dict[str, BaseException] = {}
        for name, case in cases.items():
            try:
                check(case)
            except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001 - one case must not hide the others
                failure.add_note(f"in the case {name}")
                failures[name] = failure
        if failures:
            raise BaseExceptionGroup(f"{len(failures)} of {len(cases)}: {', '.join(failures)}", [*failures.values()])

    return run


@pytest.fixture(autouse=True)
def _root_where_needed(request: pytest.FixtureRequest) -> None:
    needs_root = any(request.node.get_closest_marker(name) for name in ("kernel", "system"))
    if needs_root and os.geteuid() != 0:
        pytest.fail("this test programs the kernel: run `make test` as root", pytrace=False)
