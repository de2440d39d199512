"""BGP sessions of one node: those that peers ask for and, for the rest, the full mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tortie.api.bgp import BGPPeer, BGPPeerSpec
from tortie.base.addresses import Cidr
from tortie.calculation.bgpsettings import Settings, as_number, password, seconds
from tortie.calculation.problems import Problems
from tortie.desired.bgp import DEFAULT_PORT, NextHop, Session
from tortie.selector.parser import parse

_NEXT_HOPS = {"Self": NextHop.SELF, "Keep": NextHop.KEEP}


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


class Speakers(msgspec.Struct, frozen=True, gc=False):
    """This node, all nodes that speak BGP by name, itself among them, and names of the filters that can be used."""

    me: Peer
    nodes: Mapping[str, Peer]
    filters: frozenset[str]
    settings: Settings

    def at(self, address: Cidr) -> Peer | None:
        """The node that has an address."""
        return next((node for node in self.nodes.values() if node.address(address.family) == address), None)


def sessions_of(speakers: Speakers, peers: Mapping[str, BGPPeer], problems: Problems) -> tuple[Session, ...]:
    """All sessions, sorted by name. The first to ask for an address and port wins.

    Peers of all nodes come before those of some, and these before sessions that only the other
    side asks for; the mesh is last.
    """
    readable = [peer for _, peer in sorted(peers.items()) if _readable(peer, speakers.filters, problems)]
    everywhere = [peer for peer in readable if not peer.spec.node and not peer.spec.node_selector]
    somewhere = [peer for peer in readable if peer.spec.node or peer.spec.node_selector]
    offers = [session for peer in everywhere for session in _asked(speakers, peer.spec, "Global")]
    offers += [session for peer in somewhere for session in _asked(speakers, peer.spec, "Node")]
    offers += [session for peer in readable for session in _returned(speakers, peer.spec)]
    if speakers.settings.mesh:
        offers += _mesh(speakers)
    chosen: dict[tuple[Cidr, int], Session] = {}
    for session in offers:
        chosen.setdefault((session.peer, session.port), session)
    return tuple(sorted(chosen.values(), key=lambda session: session.name))


def _mesh(speakers: Speakers) -> Iterator[Session]:
    """Both ends are sure of a session here, so the one with the lower address text waits for the other."""
    me, settings = speakers.me, speakers.settings
    if me.cluster_id:
        return
    for other in speakers.nodes.values():
        if other.cluster_id:
            continue
        for session in _between(me, other, "Mesh"):
            yield msgspec.structs.replace(
                session,
                passive=_waits(me, session.peer),
                password=settings.mesh_password,
                restart_time=settings.mesh_restart_time,
            )


def _asked(speakers: Speakers, spec: BGPPeerSpec, prefix: str) -> Iterator[Session]:
    """Sessions of this node that a peer resource asks for."""
    me = speakers.me
    if not _in_scope(me, spec):
        return
    if spec.peer_ip:
        session = _to_address(speakers, spec, prefix)
        if me.address(session.peer.family) != session.peer:
            yield _as_asked(session, speakers, spec, returned=False)
    elif spec.peer_selector:
        for other in speakers.nodes.values():
            if parse(spec.peer_selector).matches(other.labels):
                for session in _between(me, other, prefix):
                    yield _as_asked(session, speakers, spec, returned=False)


def _returned(speakers: Speakers, spec: BGPPeerSpec) -> Iterator[Session]:
    """The other ends of what nodes were asked to set up with this one."""
    families = () if spec.reverse_peering == "Manual" else _families_meant(speakers.me, spec)
    for other in speakers.nodes.values() if families else ():
        if _in_scope(other, spec):
            for session in _between(speakers.me, other, "Node"):
                if session.peer.family in families:
                    yield _as_asked(session, speakers, spec, returned=True)


def _families_meant(me: Peer, spec: BGPPeerSpec) -> tuple[int, ...]:
    """Families in which this node is what a peer resource names as the neighbour."""
    if spec.peer_selector:
        return (4, 6) if parse(spec.peer_selector).matches(me.labels) else ()
    if not spec.peer_ip:
        return ()
    address, port = split_address(spec.peer_ip)
    is_me = me.address(address.family) == address and port in (0, me.port)
    same_as = spec.as_number is None or as_number(spec.as_number) == me.as_number
    return (address.family,) if is_me and same_as else ()


def _between(me: Peer, other: Peer, prefix: str) -> Iterator[Session]:
    """A session per family that both have."""
    for family in (4, 6):
        theirs = other.address(family)
        if me.address(family) is not None and theirs is not None and other.name != me.name:
            yield Session(_name(prefix, theirs, other.port), theirs, other.as_number, port=other.port)


def _to_address(speakers: Speakers, spec: BGPPeerSpec, prefix: str) -> Session:
    """A session with an address; without a port, a node at that address and AS is met on its own port.

    A node that all nodes peer with peers with all of them, so of two such ends one waits.
    """
    address, given = split_address(spec.peer_ip)
    node = speakers.at(address)
    default = node.as_number if node else speakers.settings.as_number
    peer_as = default if spec.as_number is None else as_number(spec.as_number)
    known = node.port if node and node.as_number == peer_as else DEFAULT_PORT
    port = given or known
    waits = prefix == "Global" and node is not None and _waits(speakers.me, address)
    return Session(_name(prefix, address, port), address, peer_as, passive=waits, port=port)


def _as_asked(session: Session, speakers: Speakers, spec: BGPPeerSpec, *, returned: bool) -> Session:
    """The session with everything else that a peer resource says of it, seen from this end."""
    local_as = None if spec.local_as_number is None else as_number(spec.local_as_number)
    if returned and local_as is not None:
        session = msgspec.structs.replace(session, peer_as=local_as)
    shown = None if returned else local_as
    own_as = speakers.me.as_number if shown is None else shown
    internal = own_as == session.peer_as
    missing = [name for name in spec.filters if name not in speakers.filters]
    return msgspec.structs.replace(
        session,
        local_as=shown,
        source=spec.source_address != "None",
        password=password(spec.password),
        next_hop=_next_hop(spec, internal),
        hops=spec.ttl_security or None,
        restart_time=seconds(spec.max_restart_time),
        keepalive=seconds(spec.keepalive_time) or None,
        allowed_local_as=spec.num_allowed_local_as_numbers,
        gateway=None if returned or not spec.reachable_by else Cidr.host(spec.reachable_by),
        reflect=internal and _is_client(speakers, session.peer),
        filters=spec.filters,
        withheld=f"filter {', '.join(missing)} cannot be used" if missing else "",
    )


def _is_client(speakers: Speakers, address: Cidr) -> bool:
    """Whether this node reflects routes to a neighbour inside its AS: all but reflectors of the same cluster."""
    other = speakers.at(address)
    return bool(speakers.me.cluster_id) and (other is None or other.cluster_id != speakers.me.cluster_id)


def _next_hop(spec: BGPPeerSpec, internal: bool) -> NextHop:
    if spec.keep_original_next_hop and not internal:
        return NextHop.KEEP
    return _NEXT_HOPS.get(spec.next_hop_mode or "", NextHop.AUTO)


def _waits(me: Peer, theirs: Cidr) -> bool:
    mine = me.address(theirs.family)
    return mine is not None and theirs.text > mine.text


def split_address(text: str) -> tuple[Cidr, int]:
    """Read `10.0.0.1`, `10.0.0.1:179`, `fd00::1` or `[fd00::1]:179`; port 0 when none is given.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
        return Cidr.host(address.rstrip("]")), int(port or 0)
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return Cidr.host(address), int(port)
    return Cidr.host(text), 0


def _in_scope(node: Peer, spec: BGPPeerSpec) -> bool:
    if spec.node:
        return spec.node == node.name
    return not spec.node_selector or parse(spec.node_selector).matches(node.labels)


def _readable(peer: BGPPeer, filters: Iterable[str], problems: Problems) -> bool:
    """Whether everything in it can be carried out, so that nothing of it fails later."""
    try:
        _check(peer.spec)
    except ValueError as error:
        problems.note(peer.key, error)
        return False
    missing = [name for name in peer.spec.filters if name not in filters]
    if missing:
        problems.note(peer.key, f"filters: {', '.join(missing)} cannot be used, so its sessions are not started")
    return True


def _check(spec: BGPPeerSpec) -> None:
    """Raises ValueError."""
    for selector in (spec.node_selector, spec.peer_selector):
        parse(selector)
    for number in (spec.as_number, spec.local_as_number):
        as_number(number or 0)
    for duration in (spec.max_restart_time, spec.keepalive_time):
        seconds(duration)
    for address in (spec.peer_ip, spec.reachable_by):
        if address:
            split_address(address)
    password(spec.password)
    if spec.local_workload_selector:
        raise ValueError("localWorkloadSelector: peering with workloads is not carried out by this release")


def _name(prefix: str, address: Cidr, port: int) -> str:
    plain = f"{prefix}_{address.text.replace('.', '_').replace(':', '_')}"
    return plain if port == DEFAULT_PORT else f"{plain}_port_{port}"
