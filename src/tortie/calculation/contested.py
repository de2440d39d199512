"""What several claim and one has, in words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from tortie.desired.endpoints import EndpointId

Thing = TypeVar("Thing")


def contested(what: str, claims: Mapping[Thing, Collection[EndpointId]]) -> Iterator[str]:
    """One sentence for each thing that several endpoints claim; the lowest of them has it."""
    for thing, claimants in claims.items():
        if len(claimants) > 1:
            first, *others = sorted(claimants)
            yield f"{what} {thing} is claimed by {first}, which has it, and in vain by {', '.join(map(str, others))}"
