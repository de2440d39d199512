"""BGP sessions of one node: those that peers ask for and, for the rest, the full mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tortie.api.bgp import BGPPeer
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import Settings
from tortie.calculation.peerspec import PeerSpec, bfd_of, read_peer
from tortie.calculation.problems import Problems
from tortie.desired.bgp import DEFAULT_PORT, Session


class Peer(msgspec.Struct, frozen=True, gc=False):
    """A node as a BGP speaker. One with a cluster id is a reflector and takes no part in the mesh."""

    name: str
    labels: Mapping[str, str]
    address4: Cidr | None
    address6: Cidr | None
    as_number: int
    port: int
    cluster_id: str

    def address(self, family: int) -> Cidr | None:
        """The address of a family, where it has one."""
        return self.address4 if family == 4 else self.address6


class Speakers:
    """All nodes that speak BGP.

    Args:
        me: this node.
        nodes: all of them, sorted by name.
        settings: what holds for every node.
        filters: names of the filters that can be used.
    """

    def __init__(self, me: Peer, nodes: Iterable[Peer], settings: Settings, filters: Iterable[str]) -> None:
        self.me = me
        self.nodes = tuple(nodes)
        self.settings = settings
        self.filters = frozenset(filters)
        # Of nodes that claim one address the first has it.
        self._by_address: dict[Cidr, Peer] = {}
        for node in self.nodes:
            for address in (node.address4, node.address6):
                if address is not None:
                    self._by_address.setdefault(address, node)

    def at(self, address: Cidr) -> Peer | None:
        """The node that has an address."""
        return self._by_address.get(address)


def sessions_of(speakers: Speakers, peers: Mapping[str, BGPPeer], problems: Problems) -> tuple[Session, ...]:
    """All sessions, sorted by name. The first to ask for an address and port wins.

    Peers of all nodes come before those of some, and these before sessions that only the other
    side asks for; the mesh is last.
    """
    specs = list(_read(peers, speakers.filters, problems))
    offers = [session for one in specs if one.is_global for session in _asked(speakers, one, "Global")]
    offers += [session for one in specs if not one.is_global for session in _asked(speakers, one, "Node")]
    offers += [session for one in specs for session in _returned(speakers, one)]
    if speakers.settings.mesh:
        offers += _mesh(speakers)
    chosen: dict[tuple[Cidr, int], Session] = {}
    for session in offers:
        chosen.setdefault((session.peer, session.port), session)
    return tuple(sorted(chosen.values(), key=lambda session: session.name))


def _read(peers: Mapping[str, BGPPeer], filters: frozenset[str], problems: Problems) -> Iterator[PeerSpec]:
    for _, peer in sorted(peers.items()):
        try:
            spec = read_peer(peer)
        except ValueError as error:
            problems.note(peer.key, error)
            continue
        if missing := _missing(spec, filters):
            problems.note(peer.key, f"filters: {missing} cannot be used, so its sessions are not started")
        yield spec


def _missing(spec: PeerSpec, filters: frozenset[str]) -> str:
    return ", ".join(name for name in spec.filters if name not in filters)


def _mesh(speakers: Speakers) -> Iterator[Session]:
    """Both ends are sure of a session here, so the one with the lower address text waits for the other."""
    me, settings = speakers.me, speakers.settings
    if me.cluster_id:
        return
    for other in speakers.nodes:
        if other.cluster_id:
            continue
        for session in _between(me, other, "Mesh"):
            if _is_spared(session, me, other, settings):
                continue
            yield msgspec.structs.replace(
                session,
                passive=_waits(me, session.peer),
                password=settings.mesh_password,
                restart_time=settings.mesh_restart_time,
                bfd=bfd_of(settings.mesh_extensions),
                carries_ipv4=settings.mesh_extensions.extended_next_hop and session.peer.family == 6,
            )


def _is_spared(session: Session, me: Peer, other: Peer, settings: Settings) -> bool:
    """Whether the session over IPv6 carries the routes of this one over IPv4."""
    by_ipv6 = me.address6 is not None and other.address6 is not None
    return settings.mesh_extensions.extended_next_hop and session.peer.family == 4 and by_ipv6


def _asked(speakers: Speakers, spec: PeerSpec, prefix: str) -> Iterator[Session]:
    """Sessions of this node that a peer resource asks for."""
    me = speakers.me
    if not spec.covers(me.name, me.labels):
        return
    if spec.address is not None:
        if me.address(spec.address.family) != spec.address:
            yield _as_asked(_to_address(speakers, spec, spec.address, prefix), speakers, spec)
    elif spec.whom is not None:
        for other in speakers.nodes:
            if spec.whom.matches(other.labels):
                for session in _between(me, other, prefix):
                    yield _as_asked(session, speakers, spec)


def _returned(speakers: Speakers, spec: PeerSpec) -> Iterator[Session]:
    """The other ends of what nodes were asked to set up with this one: they show another AS where told so."""
    me = speakers.me
    families = _families_meant(me, spec) if spec.mirrored else ()
    theirs = msgspec.structs.replace(spec, local_as=None, gateway=None)
    for other in speakers.nodes if families else ():
        if not spec.covers(other.name, other.labels):
            continue
        for session in _between(me, other, "Node"):
            if session.peer.family in families:
                shown = session.peer_as if spec.local_as is None else spec.local_as
                yield _as_asked(msgspec.structs.replace(session, peer_as=shown), speakers, theirs)


def _families_meant(me: Peer, spec: PeerSpec) -> tuple[int, ...]:
    """Families in which this node is what a peer resource names as the neighbour."""
    if spec.whom is not None:
        return (4, 6) if spec.whom.matches(me.labels) else ()
    if spec.address is None:
        return ()
    is_me = me.address(spec.address.family) == spec.address and spec.port in (0, me.port)
    return (spec.address.family,) if is_me and spec.peer_as in (None, me.as_number) else ()


def _between(me: Peer, other: Peer, prefix: str) -> Iterator[Session]:
    """A session per family that both have."""
    for family in (4, 6):
        theirs = other.address(family)
        if me.address(family) is not None and theirs is not None and other.name != me.name:
            yield Session(_name(prefix, theirs, other.port), theirs, other.as_number, port=other.port)


def _to_address(speakers: Speakers, spec: PeerSpec, address: Cidr, prefix: str) -> Session:
    """A session with an address; without a port, a node at that address and AS is met on its own port.

    A node that all nodes peer with peers with all of them, so of two such ends one waits.
    """
    node = speakers.at(address)
    default = node.as_number if node else speakers.settings.as_number
    peer_as = default if spec.peer_as is None else spec.peer_as
    known = node.port if node and node.as_number == peer_as else DEFAULT_PORT
    port = spec.port or known
    waits = prefix == "Global" and node is not None and _waits(speakers.me, address)
    return Session(_name(prefix, address, port), address, peer_as, passive=waits, port=port)


def _as_asked(session: Session, speakers: Speakers, spec: PeerSpec) -> Session:
    """The session with everything else that a peer resource says of it."""
    own_as = speakers.me.as_number if spec.local_as is None else spec.local_as
    internal = own_as == session.peer_as
    missing = _missing(spec, speakers.filters)
    return msgspec.structs.replace(
        session,
        local_as=spec.local_as,
        source=spec.source,
        password=spec.password,
        next_hop=spec.next_hop_towards(internal=internal),
        hops=spec.hops,
        restart_time=spec.restart_time,
        keepalive=spec.keepalive,
        allowed_local_as=spec.allowed_local_as,
        gateway=spec.gateway,
        reflect=internal and _is_client(speakers, session.peer),
        filters=spec.filters,
        bfd=spec.bfd,
        carries_ipv4=spec.carries_ipv4 and session.peer.family == 6,
        withheld=f"filter {missing} cannot be used" if missing else "",
    )


def _is_client(speakers: Speakers, address: Cidr) -> bool:
    """Whether this node reflects routes to a neighbour inside its AS: to all but reflectors of the same cluster."""
    own = speakers.me.cluster_id
    if not own:
        return False
    other = speakers.at(address)
    return other is None or other.cluster_id != own


def _waits(me: Peer, theirs: Cidr) -> bool:
    mine = me.address(theirs.family)
    return mine is not None and theirs.text > mine.text


def _name(prefix: str, address: Cidr, port: int) -> str:
    plain = f"{prefix}_{address.text.replace('.', '_').replace(':', '_')}"
    return plain if port == DEFAULT_PORT else f"{plain}_port_{port}"
