"""BGP sessions of one node: those that peers ask for and, for the rest, the full mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tortie.api.bgp import BGPPeer, BGPPeerSpec
from tortie.base.addresses import Cidr
from tortie.calculation.problems import Problems
from tortie.desired.bgp import Session
from tortie.selector.parser import parse

_NOT_CARRIED_OUT: Mapping[str, object] = {
    "local_as_number": None,
    "keep_original_next_hop": False,
    "next_hop_mode": "Auto",
    "password": None,
    "source_address": "UseNodeIP",
    "max_restart_time": None,
    "keepalive_time": None,
    "num_allowed_local_as_numbers": None,
    "ttl_security": None,
    "reachable_by": "",
    "filters": (),
    "local_workload_selector": "",
}
"""Fields of a peer that change a session in ways that are not built yet, and their values that ask for nothing."""


class Settings(msgspec.Struct, frozen=True, gc=False):
    """Settings of the whole cluster."""

    as_number: int
    port: int
    mesh: bool


class Peer(msgspec.Struct, frozen=True, gc=False):
    """A node as a BGP speaker. A reflector takes no part in the mesh."""

    name: str
    labels: Mapping[str, str]
    address4: Cidr | None
    address6: Cidr | None
    as_number: int
    port: int
    reflector: bool

    def address(self, family: int) -> Cidr | None:
        """The address of a family, where it has one."""
        return self.address4 if family == 4 else self.address6


def sessions_of(
    me: Peer, nodes: Mapping[str, Peer], peers: Mapping[str, BGPPeer], settings: Settings, problems: Problems
) -> tuple[Session, ...]:
    """All sessions, sorted by name. The first to ask for an address and port wins.

    Peers of all nodes come before those of some, and these before sessions that only the other
    side asks for; the mesh is last.
    """
    readable = [peer for _, peer in sorted(peers.items()) if _readable(peer, problems)]
    everywhere = [peer for peer in readable if not peer.spec.node and not peer.spec.node_selector]
    somewhere = [peer for peer in readable if peer.spec.node or peer.spec.node_selector]
    offers = [session for peer in everywhere for session in _asked(me, nodes, peer.spec, "Global", settings)]
    offers += [session for peer in somewhere for session in _asked(me, nodes, peer.spec, "Node", settings)]
    offers += [session for peer in readable for session in _returned(me, nodes, peer.spec)]
    if settings.mesh:
        offers += _mesh(me, nodes.values())
    chosen: dict[tuple[Cidr, int], Session] = {}
    for session in offers:
        chosen.setdefault((session.peer, session.port), session)
    return tuple(sorted(chosen.values()))


def _mesh(me: Peer, nodes: Iterable[Peer]) -> Iterator[Session]:
    if me.reflector:
        return
    for other in nodes:
        if not other.reflector:
            yield from _between(me, other, "Mesh")


def _asked(
    me: Peer, nodes: Mapping[str, Peer], spec: BGPPeerSpec, prefix: str, settings: Settings
) -> Iterator[Session]:
    """Sessions of this node that a peer resource asks for."""
    if not _in_scope(me, spec):
        return
    if spec.peer_ip:
        yield _to_address(nodes, spec, prefix, settings)
    elif spec.peer_selector:
        for other in nodes.values():
            if parse(spec.peer_selector).matches(other.labels):
                yield from _between(me, other, prefix)


def _returned(me: Peer, nodes: Mapping[str, Peer], spec: BGPPeerSpec) -> Iterator[Session]:
    """The other ends of what selected nodes were asked to set up with this one."""
    if not spec.peer_selector or spec.reverse_peering == "Manual" or not parse(spec.peer_selector).matches(me.labels):
        return
    for other in nodes.values():
        if _in_scope(other, spec):
            yield from _between(me, other, "Node")


def _between(me: Peer, other: Peer, prefix: str) -> Iterator[Session]:
    """A session per family that both have. The end with the lower address text waits for the other."""
    for family in (4, 6):
        mine, theirs = me.address(family), other.address(family)
        if mine is None or theirs is None or other.name == me.name:
            continue
        yield Session(
            name=_name(prefix, theirs),
            peer=theirs,
            peer_as=other.as_number,
            passive=theirs.text > mine.text,
            port=other.port,
        )


def _to_address(nodes: Mapping[str, Peer], spec: BGPPeerSpec, prefix: str, settings: Settings) -> Session:
    """A session with an address; without a port, a node at that address and AS is met on its own port."""
    peer, port = split_address(spec.peer_ip)
    peer_as = settings.as_number if spec.as_number is None else as_number(spec.as_number)
    ports = [node.port for node in nodes.values() if node.address(peer.family) == peer and node.as_number == peer_as]
    return Session(_name(prefix, peer), peer, peer_as, port=port or (ports or [179])[0])


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


def as_number(value: int | str) -> int:
    """An AS number given by number, decimal text or dotted halves (RFC 5396 asdot+).

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int):
        return value
    high, dot, low = value.partition(".")
    return (int(high) << 16) + int(low) if dot else int(value)


def _in_scope(node: Peer, spec: BGPPeerSpec) -> bool:
    if spec.node:
        return spec.node == node.name
    return not spec.node_selector or parse(spec.node_selector).matches(node.labels)


def _readable(peer: BGPPeer, problems: Problems) -> bool:
    spec = peer.spec
    try:
        for selector in (spec.node_selector, spec.peer_selector):
            parse(selector)
        if spec.peer_ip:
            split_address(spec.peer_ip)
        as_number(spec.as_number or 0)
        _refuse_what_is_not_carried_out(spec)
    except ValueError as error:
        problems.note(peer.key, error)
        return False
    return True


def _refuse_what_is_not_carried_out(spec: BGPPeerSpec) -> None:
    """A session without the password or the filters that were asked for is worse than none. Raises ValueError."""
    asked = [field for field, unset in _NOT_CARRIED_OUT.items() if getattr(spec, field) not in (unset, None, "")]
    if asked:
        raise ValueError(f"{', '.join(asked)}: not carried out by this release, so there is no session; remove them")


def _name(prefix: str, address: Cidr) -> str:
    return f"{prefix}_{address.text.replace('.', '_').replace(':', '_')}"
