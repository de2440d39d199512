"""Every set of ours that has records, by its kernel name."""

from __future__ import annotations

from tortie.dataplane.nftables.address_maps import ADDRESS_MAPS
from tortie.dataplane.nftables.limit_rules import LIMIT_SETS
from tortie.dataplane.nftables.sets import KINDS, SetKind


def kind_of(name: str) -> SetKind | None:
    """The kind of a set; None for the sets of the layout."""
    return ADDRESS_MAPS.get(name) or LIMIT_SETS.get(name) or KINDS.get(name.partition("-")[0])
