"""Rules of policies and profiles: what is matched, and what is done."""

from __future__ import annotations

import msgspec

from tortie.api.resource import Model

Port = int | str
"""A number, a range `min:max`, or the name of a port."""

Protocol = int | str
"""A protocol number 1 to 255, or one of TCP UDP ICMP ICMPv6 SCTP UDPLite."""


class ICMP(Model, frozen=True, kw_only=True):
    """ICMP or ICMPv6 type (0 to 254) and code (0 to 255; needs a type)."""

    type: int | None = None
    code: int | None = None


class ServiceMatch(Model, frozen=True, kw_only=True):
    """A Kubernetes Service, standing for the endpoints behind it."""

    name: str = ""
    namespace: str = ""


class ServiceAccountMatch(Model, frozen=True, kw_only=True):
    """Service accounts by name or by label selector; both must match when both are given."""

    names: tuple[str, ...] = ()
    selector: str = ""


class EntityRule(Model, frozen=True, kw_only=True):
    """One side of a rule. All fields given must match; within a list one match is enough."""

    nets: tuple[str, ...] = ()
    selector: str = ""
    namespace_selector: str = ""
    services: ServiceMatch | None = None
    ports: tuple[Port, ...] = ()
    not_nets: tuple[str, ...] = ()
    not_selector: str = ""
    not_ports: tuple[Port, ...] = ()
    service_accounts: ServiceAccountMatch | None = None


class HTTPPath(Model, frozen=True, kw_only=True):
    """Exactly one of an exact path and a prefix of path segments."""

    exact: str = ""
    prefix: str = ""


class HTTPMatch(Model, frozen=True, kw_only=True):
    """HTTP methods and paths; only an L7 proxy enforces them."""

    methods: tuple[str, ...] = ()
    paths: tuple[HTTPPath, ...] = ()


class RuleMetadata(Model, frozen=True, kw_only=True):
    """Free annotations of a rule."""

    annotations: dict[str, str] = {}


class Rule(Model, frozen=True, kw_only=True):
    """One rule: `action` is Allow, Deny, Log or Pass."""

    action: str
    ip_version: int | None = None
    protocol: Protocol | None = None
    icmp: ICMP | None = None
    not_protocol: Protocol | None = None
    not_icmp: ICMP | None = msgspec.field(default=None, name="notICMP")
    source: EntityRule = EntityRule()
    destination: EntityRule = EntityRule()
    http: HTTPMatch | None = None
    metadata: RuleMetadata | None = None
