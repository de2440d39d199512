"""BlockAffinity: the claim of a node on a block, as a resource.

With etcd this is a copy for people: address management keeps its own claims (`ipam.BlockAffinity`)
under other keys.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class BlockAffinitySpec(Model, frozen=True, kw_only=True):
    """`state` is pending, confirmed, pendingDeletion or empty; `type` is host or virtual."""

    state: str = msgspec.field(default_factory=str)
    node: str = msgspec.field(default_factory=str)
    type: str = ""
    cidr: str = msgspec.field(default_factory=str)
    deleted: bool = msgspec.field(default_factory=bool)


class BlockAffinity(Resource, frozen=True, kw_only=True):
    """A claim."""

    kind: ClassVar[str] = "BlockAffinity"
    plural: ClassVar[str] = "blockaffinities"
    aliases: ClassVar[tuple[str, ...]] = ("affinity", "affinities")

    spec: BlockAffinitySpec = msgspec.field(default_factory=BlockAffinitySpec)
