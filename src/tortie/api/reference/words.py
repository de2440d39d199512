"""All tables of meanings as one, and the sentences about several fields of an object."""

from __future__ import annotations

import msgspec

from tortie.api.constraints import CONSTRAINTS
from tortie.api.defaults import FELIX_DEFAULTS
from tortie.api.felixconfiguration import FelixConfigurationSpec
from tortie.api.reference.meaning import Meanings, WhenAbsent
from tortie.api.reference.meanings import (
    addresses,
    bgp,
    combinations,
    controllers,
    endpoints,
    felix,
    kubernetes,
    kubernetespolicy,
    metadata,
    nodes,
    policy,
)
from tortie.api.resource import Resource

_TABLES = (addresses, bgp, controllers, endpoints, felix, kubernetes, kubernetespolicy, nodes, policy)

MEANINGS: Meanings = metadata.MEANINGS | {
    struct: words for table in _TABLES for struct, words in table.MEANINGS.items()
}
"""What each field means, by struct and attribute."""

WHEN_ABSENT: WhenAbsent = {struct: words for table in _TABLES for struct, words in table.WHEN_ABSENT.items()}
"""What stands for an absent field, by struct and attribute."""


def meaning(struct: type[msgspec.Struct], attribute: str) -> str:
    """What a field means; empty when nobody wrote it down."""
    words = MEANINGS.get(struct, {}).get(attribute, "")
    return words or (metadata.ENVELOPE.get(attribute, "") if issubclass(struct, Resource) else "")


def when_absent(struct: type[msgspec.Struct], attribute: str) -> str:
    """What stands for a field that nobody gave; empty when nothing does."""
    if struct is FelixConfigurationSpec and attribute in FELIX_DEFAULTS:
        return str(FELIX_DEFAULTS[attribute])
    return WHEN_ABSENT.get(struct, {}).get(attribute, "")


def refusals(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """How an object is told that its fields do not go together, by the constraints' own words."""
    return tuple(
        f"{f'`{one.path}` ' if one.path else ''}{one.problem}{f' ({one.remedy})' if one.remedy else ''}"
        for one in CONSTRAINTS.get(struct, ())
    )


def requirements(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """What must be true between the fields of an object, beyond its constraints."""
    return combinations.SEARCHES.get(struct, ())
