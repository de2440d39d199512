"""All constraints between fields, and the search for those that an object breaks."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api import (
    address_constraints,
    bgp_constraints,
    endpoint_constraints,
    kubernetes_fields,
    policy_constraints,
    settings_constraints,
    staged_constraints,
)
from tortie.api.constraint import Finding

_TABLES = (
    address_constraints,
    bgp_constraints,
    endpoint_constraints,
    kubernetes_fields,
    policy_constraints,
    settings_constraints,
    staged_constraints,
)

CONSTRAINTS = {struct: found for table in _TABLES for struct, found in table.CONSTRAINTS.items()}
"""Constraints by struct."""

SEARCHES = {struct: search for table in _TABLES for struct, search in table.SEARCHES.items()}
"""What takes more than one sentence, by struct."""


def findings(value: object) -> Iterator[Finding]:
    """Every constraint that an object itself breaks; what it holds is looked at on its own."""
    for constraint in CONSTRAINTS.get(type(value), ()):
        if constraint.broken(value):
            yield constraint.path, constraint.problem, constraint.remedy
    search = SEARCHES.get(type(value))
    if search is not None:
        yield from search(value)
