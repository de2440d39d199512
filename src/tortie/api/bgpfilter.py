"""BGPFilter: which routes are taken from BGP peers and given to them, and how they are changed."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class PrefixLengths(Model, frozen=True, kw_only=True):
    """Lengths of prefixes inside the rule's CIDR, both included."""

    min: int | None = None
    max: int | None = None


class CommunityMatch(Model, frozen=True, kw_only=True):
    """Exactly one community that the route must carry."""

    values: tuple[str, ...] = msgspec.field(default_factory=tuple)


class AddCommunity(Model, frozen=True, kw_only=True):
    """Adds a standard (`aa:nn`) or large (`aa:nn:mm`) community."""

    value: str = msgspec.field(default_factory=str)


class PrependASPath(Model, frozen=True, kw_only=True):
    """Puts AS numbers, in this order, before the path."""

    prefix: tuple[int | str, ...] = msgspec.field(default_factory=tuple)


class SetPriority(Model, frozen=True, kw_only=True):
    """Sets the priority of the route; the larger number loses."""

    value: int = msgspec.field(default_factory=int)


class FilterOperation(Model, frozen=True, kw_only=True):
    """One change of an accepted route; exactly one field is given."""

    add_community: AddCommunity | None = None
    prepend_as_path: PrependASPath | None = msgspec.field(default=None, name="prependASPath")
    set_priority: SetPriority | None = None


class FilterRule(Model, frozen=True, kw_only=True):
    """All conditions given must match. `action` is Accept or Reject and ends the evaluation.

    `match_operator` (Equal, NotEqual, In, NotIn) says how the route's prefix relates to `cidr`;
    `interface` may hold `*`.
    """

    cidr: str = ""
    prefix_length: PrefixLengths | None = None
    source: str = ""
    interface: str = ""
    match_operator: str = ""
    peer_type: str = ""
    communities: CommunityMatch | None = None
    as_path_prefix: tuple[int | str, ...] = msgspec.field(default=(), name="asPathPrefix")
    priority: int | None = None
    action: str = msgspec.field(default_factory=str)
    operations: tuple[FilterOperation, ...] = ()


class FilterRuleV4(FilterRule, frozen=True, kw_only=True):
    """A rule for IPv4 routes."""


class FilterRuleV6(FilterRule, frozen=True, kw_only=True):
    """A rule for IPv6 routes."""


class BGPFilterSpec(Model, frozen=True, kw_only=True):
    """Rules in order; a route that none matches goes on to the next filter of the peer."""

    export_v4: tuple[FilterRuleV4, ...] = ()
    import_v4: tuple[FilterRuleV4, ...] = ()
    export_v6: tuple[FilterRuleV6, ...] = ()
    import_v6: tuple[FilterRuleV6, ...] = ()


class BGPFilter(Resource, frozen=True, kw_only=True):
    """A filter that BGP peers can name."""

    kind: ClassVar[str] = "BGPFilter"
    plural: ClassVar[str] = "bgpfilters"

    spec: BGPFilterSpec = msgspec.field(default_factory=BGPFilterSpec)
