"""What callers ask of address management, and what they get."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.ipam.errors import NotEnoughAddresses

LOAD_BALANCER = "virtual:load-balancer"
"""Owner of the blocks whose addresses go to services instead of nodes."""

DEFAULT_BLOCK_LIMIT = 20
"""Blocks that one node may own per family, when neither request nor configuration says."""


class AssignRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Addresses for one holder.

    Args:
        node: where the holder runs; ignored for use LoadBalancer.
        num4, num6: how many of each family.
        handle: name under which all of the holder's addresses can be released.
        attributes: facts for people; `node` tells borrowed addresses from others.
        use: Workload, Tunnel or LoadBalancer.
        pools4, pools6: names or prefixes of pools to use, in this order; empty leaves it to selectors.
        namespace_labels: labels of the holder's namespace, for the pools' namespaceSelector.
        max_blocks: most blocks the node may own per family; 0 leaves it to the configuration.
        max_per_handle: when the handle already holds this many of a family, it gets these back; 0 is no limit.
        all_or_nothing: release everything and raise when either family falls short.
    """

    node: str
    num4: int = 0
    num6: int = 0
    handle: str | None = None
    attributes: Mapping[str, str] = {}
    use: str = "Workload"
    pools4: tuple[str, ...] = ()
    pools6: tuple[str, ...] = ()
    namespace_labels: Mapping[str, str] = {}
    max_blocks: int = 0
    max_per_handle: int = 0
    all_or_nothing: bool = False

    @property
    def owner(self) -> str:
        """Whose blocks serve the request, as blocks store it."""
        return LOAD_BALANCER if self.use == "LoadBalancer" else f"host:{self.node}"

    def count(self, family: int) -> int:
        """How many addresses of a family."""
        return self.num4 if family == 4 else self.num6

    def pools(self, family: int) -> tuple[str, ...]:
        """The pools asked for by name."""
        return self.pools4 if family == 4 else self.pools6


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """What was given, as single addresses; `messages` say why it is less than asked for."""

    v4: tuple[Cidr, ...] = ()
    v6: tuple[Cidr, ...] = ()
    messages: tuple[str, ...] = ()

    def require(self, num4: int, num6: int) -> None:
        """Check that nothing is missing.

        Raises:
            NotEnoughAddresses: fewer were given than asked for.
        """
        if len(self.v4) < num4 or len(self.v6) < num6:
            raise NotEnoughAddresses(
                f"only {len(self.v4)} of {num4} IPv4 and {len(self.v6)} of {num6} IPv6 addresses: "
                f"{'; '.join(self.messages) or 'none are free'} (add an IPPool or release addresses)"
            )


class ReleaseRequest(msgspec.Struct, frozen=True, gc=False):
    """One address to release, if it is still held by `handle` and with `sequence_number`, where given."""

    address: Cidr
    handle: str | None = None
    sequence_number: int | None = None


class Released(msgspec.Struct, frozen=True, gc=False):
    """What a release did; `unallocated` were free already."""

    released: tuple[Cidr, ...] = ()
    unallocated: tuple[Cidr, ...] = ()


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """Blocks that a claim won, and those that others own."""

    claimed: tuple[Cidr, ...] = ()
    failed: tuple[Cidr, ...] = ()
