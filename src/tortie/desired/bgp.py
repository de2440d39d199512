"""What this node's BGP speaker shall do: its identity, its sessions, and what it announces and programs."""

from __future__ import annotations

from enum import Enum

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.bgpfilter import Filter
from tortie.desired.routes import NORMAL_METRIC

DEFAULT_PORT = 179
"""TCP port of BGP (RFC 4271)."""


class NextHop(Enum):
    """What becomes of a route's next hop when the route is announced."""

    AUTO = ""
    SELF = "self"
    KEEP = "keep"


class Password(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where a TCP-MD5 password (RFC 2385) is kept; never the password itself.

    Args:
        secret, key: names of the secret and of the key in it.
        optional: whether the session may do without it.
    """

    secret: str
    key: str
    optional: bool = False


class Bfd(msgspec.Struct, frozen=True, gc=False):
    """Bidirectional forwarding detection beside a session: who is silent for `interval` x `multiplier` is given up.

    Args:
        interval: milliseconds between two signs of life, sent and expected.
        multiplier: how many may be lost.
        direct: whether the neighbour is on a network of this node (RFC 5881), not any number of hops away (RFC 5883).
    """

    interval: int
    multiplier: int
    direct: bool = False


class Session(msgspec.Struct, frozen=True, gc=False):
    """One BGP session; its family is that of `peer`, and it carries that family's routes, and IPv4 ones where asked.

    Args:
        name: stable and unique: letters, digits and underscores.
        peer: the neighbour's address, of full length.
        peer_as: the neighbour's AS number.
        passive: wait for the neighbour to connect.
        port: the neighbour's TCP port.
        local_as: the AS number shown to this neighbour; the node's when None.
        source: whether the session uses this node's BGP address; else the kernel chooses.
        hops: most hops to the neighbour, enforced by TTL (RFC 5082); any number when None.
        restart_time: seconds that the neighbour shall wait for a restart of this node (RFC 4724).
        keepalive: seconds between two signs of life.
        allowed_local_as: how often the own AS number may stand in a path that is learned.
        gateway: where the neighbour is reached through, when no route leads to it.
        reflect: whether routes are reflected to the neighbour as a client (RFC 4456).
        filters: names of filters, in order.
        bfd: how soon a silent neighbour is noticed; by the session's own timers when None.
        carries_ipv4: whether a session over IPv6 exchanges IPv4 routes too, with IPv6 next hops (RFC 8950).
        withheld: why the session must not be started; empty when it may.
    """

    name: str
    peer: Cidr
    peer_as: int
    passive: bool = False
    port: int = DEFAULT_PORT
    local_as: int | None = None
    source: bool = True
    password: Password | None = None
    next_hop: NextHop = NextHop.AUTO
    hops: int | None = None
    restart_time: int | None = None
    keepalive: int | None = None
    allowed_local_as: int | None = None
    gateway: Cidr | None = None
    reflect: bool = False
    filters: tuple[str, ...] = ()
    bfd: Bfd | None = None
    carries_ipv4: bool = False
    withheld: str = ""

    @property
    def families(self) -> tuple[int, ...]:
        """Of the routes that it carries."""
        return (4, 6) if self.carries_ipv4 and self.peer.family == 6 else (self.peer.family,)


class Pool(msgspec.Struct, frozen=True, order=True, gc=False):
    """A pool: routes inside it are announced when `export` is set, and programmed by BGP when `program` is."""

    cidr: Cidr
    export: bool = True
    program: bool = True


class Advertisement(msgspec.Struct, frozen=True, order=True, gc=False):
    """Communities put on announced routes inside a prefix; each of two or three numbers."""

    cidr: Cidr
    communities: tuple[tuple[int, ...], ...]


class Services(msgspec.Struct, frozen=True, gc=False):
    """Addresses of services, announced to the network but never programmed: something else forwards to backends.

    Args:
        ranges: all that addresses of services may be in, sorted.
        announced: what this node announces, sorted: ranges, and single addresses of services.
    """

    ranges: tuple[Cidr, ...] = ()
    announced: tuple[Cidr, ...] = ()


class BGPNode(msgspec.Struct, frozen=True, gc=False):
    """All of it.

    Args:
        node: name of this node.
        router_id: dotted quad.
        as_number: this node's AS.
        address4, address6: this node's BGP addresses, of full length, where it has them.
        listen_port: own TCP port.
        sessions: sorted by name.
        blocks: blocks of this node, announced as they are; longer routes inside them are not, unless their priority
            is better than normal. Addresses borrowed from other nodes' blocks are outside these and announced alone.
        pools: sorted; nothing outside an exporting pool is announced.
        bind: listen at this node's addresses only.
        cluster_id: dotted quad of a route reflector; empty for others.
        programs_ipip: whether routes through IP-in-IP tunnels are BGP's to program.
        filters: sorted by name.
        advertisements: sorted by prefix.
        ignored_interfaces: patterns of interfaces whose connected routes are left out.
        log_severity: Debug, Info, Warning, Error, Fatal or None.
        normal_priority4, normal_priority6: priorities of a workload's routes.
    """

    node: str
    router_id: str
    as_number: int
    address4: Cidr | None = None
    address6: Cidr | None = None
    listen_port: int = DEFAULT_PORT
    sessions: tuple[Session, ...] = ()
    blocks: tuple[Cidr, ...] = ()
    pools: tuple[Pool, ...] = ()
    bind: bool = False
    cluster_id: str = ""
    programs_ipip: bool = False
    filters: tuple[Filter, ...] = ()
    advertisements: tuple[Advertisement, ...] = ()
    services: Services = Services()
    ignored_interfaces: tuple[str, ...] = ()
    log_severity: str = "Info"
    normal_priority4: int = NORMAL_METRIC
    normal_priority6: int = NORMAL_METRIC

    def address(self, family: int) -> Cidr | None:
        """This node's BGP address of a family, where it has one."""
        return self.address4 if family == 4 else self.address6

    @property
    def families(self) -> tuple[int, ...]:
        """Of the routes that this node exchanges."""
        carried = {
            family for session in self.sessions if self.address(session.peer.family) for family in session.families
        }
        return tuple(family for family in (4, 6) if self.address(family) is not None or family in carried)

    def local_as(self, session: Session) -> int:
        """The AS number that a neighbour sees."""
        return self.as_number if session.local_as is None else session.local_as

    def is_internal(self, session: Session) -> bool:
        """Whether both ends of a session are of one AS."""
        return self.local_as(session) == session.peer_as

    def normal_priority(self, family: int) -> int:
        """Of a workload's route."""
        return self.normal_priority4 if family == 4 else self.normal_priority6
