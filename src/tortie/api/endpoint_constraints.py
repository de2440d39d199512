"""WorkloadEndpoints are named after what they are: the name, and the fields from which it follows, must agree."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.endpointnames import is_ambiguous, name_of_workload_endpoint, named_after
from tortie.api.workloadendpoint import WorkloadEndpoint


def _search(endpoint: WorkloadEndpoint) -> Iterator[Finding]:
    parts = named_after(endpoint.spec)
    wrong = {field: part for field, part in parts.items() if is_ambiguous(part)}
    rule = f"the endpoint's name is made of {', '.join(parts)}"
    for field, part in wrong.items():
        yield f"spec.{field}", f"{part!r} begins or ends with a dash" if part else "is required", rule
    if not wrong and endpoint.metadata.name:
        name = name_of_workload_endpoint(endpoint.spec)
        if name != endpoint.metadata.name:
            yield "metadata.name", "does not follow from the specification", f"must be {name}, or left out"


CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {WorkloadEndpoint: _search}
"""What takes more than one sentence, by struct."""
