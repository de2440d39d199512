"""What a BGPFilter does to routes: rules in order, read and checked, for each direction and family."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr

LOWEST_PREFERENCE = 2**31 - 1
"""A route's BGP local preference is this minus its priority: the larger priority loses."""


class NetMatch(msgspec.Struct, frozen=True, gc=False):
    """How a route's prefix relates to `cidr`.

    Args:
        inside: longer prefixes inside `cidr` count too.
        negated: everything else matches instead.
        shortest, longest: lengths that count, where given.
    """

    cidr: Cidr
    inside: bool = True
    negated: bool = False
    shortest: int | None = None
    longest: int | None = None


class AddCommunity(msgspec.Struct, frozen=True, gc=False):
    """A standard (two numbers) or large (three) community to add."""

    community: tuple[int, ...]


class PrependPath(msgspec.Struct, frozen=True, gc=False):
    """AS numbers to stand before the path, in this order."""

    as_numbers: tuple[int, ...]


class SetPriority(msgspec.Struct, frozen=True, gc=False):
    """The new priority of the route, 1 to 2^31-2."""

    priority: int


Operation = AddCommunity | PrependPath | SetPriority


class FilterRule(msgspec.Struct, frozen=True, gc=False):
    """All that is given must match; then the operations are carried out, and the route is accepted or rejected.

    Args:
        learned: only routes learned from BGP peers.
        interface: pattern of the name of the route's interface; `*` stands for anything.
        internal: only sessions inside one AS (True), or between two (False).
        community: of two or three numbers.
        path_prefix: how the AS path begins.
    """

    accept: bool
    net: NetMatch | None = None
    learned: bool = False
    interface: str = ""
    internal: bool | None = None
    community: tuple[int, ...] = ()
    path_prefix: tuple[int, ...] = ()
    priority: int | None = None
    operations: tuple[Operation, ...] = ()


class Filter(msgspec.Struct, frozen=True, gc=False):
    """One filter. A route that no rule matches goes on to the next filter, or to what happens without any.

    Args:
        name: of the resource.
        imports, exports: rules of what is learned and announced, by family (4, 6); families without rules are absent.
    """

    name: str
    imports: dict[int, tuple[FilterRule, ...]]
    exports: dict[int, tuple[FilterRule, ...]]
