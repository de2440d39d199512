"""Fields that are given without a value: told where they make an object match more than it seems to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tortie.api.constraint import Finding
from tortie.api.fields import FIELDS
from tortie.api.rules import ICMP, EntityRule, HTTPMatch, Rule, ServiceAccountMatch, ServiceMatch
from tortie.api.stagedkubernetespolicy import (
    EgressRule,
    IngressRule,
    LabelSelector,
    PolicyPeer,
    PolicyPort,
    StagedKubernetesNetworkPolicySpec,
)
from tortie.api.strict import Blank

CONDITIONS: frozenset[type] = frozenset(
    {
        *(EntityRule, HTTPMatch, ICMP, Rule, ServiceAccountMatch, ServiceMatch),
        *(EgressRule, IngressRule, LabelSelector, PolicyPeer, PolicyPort),
    }
)
"""Structs whose every field narrows what they match."""

_NO_CONDITIONS: frozenset[tuple[type, str]] = frozenset({(Rule, "action"), (Rule, "metadata")})
SELECTORS: frozenset[tuple[type, str]] = frozenset({(StagedKubernetesNetworkPolicySpec, "pod_selector")})
"""Fields that select everything when they are left out."""


def told_blanks(
    blanks: Iterable[Blank],
    conditions: Collection[type] = CONDITIONS,
    selectors: Collection[tuple[type, str]] = SELECTORS,
) -> Iterator[Finding]:
    """What a person should know of fields without a value, which count as left out.

    Args:
        conditions: structs whose every field narrows what they match.
        selectors: other fields that select everything when they are left out.
    """
    for blank in blanks:
        here = (blank.struct, blank.attribute)
        field = FIELDS.get(blank.struct, {}).get(blank.attribute)
        if here in selectors:
            yield blank.path, "has no value, and so selects everything", "write {} if that is meant"
        elif field is not None and field.selector == "never":
            yield blank.path, "has no value, and so selects everything", "write all() if that is meant"
        elif blank.struct in conditions and here not in _NO_CONDITIONS:
            yield blank.path, "has no value, and so narrows nothing", "leave it out if that is meant"
