"""What a CalicoNodeStatus says, from what the BGP daemon of the node says. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping

from tortie.api.caliconodestatus import (
    AgentStatus,
    BGPDaemonStatus,
    BGPStatus,
    CalicoNodeStatusStatus,
    LearnedFrom,
    PeerStatus,
    RoutesStatus,
    RouteStatus,
)
from tortie.bgp import route as bgp_route
from tortie.bgp.speaker import Speaker
from tortie.bgp.status import SessionStatus

AGENT, BGP, ROUTES = "Agent", "BGP", "Routes"
"""Classes that can be asked for."""

_STATES = frozenset({"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close"})
_OTHER_STATES = {"Passive": "Active"}
_SOURCES = {"inherit": "Kernel", "static": "Static", "device": "Direct"}
_VIA = re.compile(r"via (\S+)")
_DEVICE = re.compile(r"(?:on|dev) (\S+)")


def answer(classes: Collection[str], speaker: Speaker | None, now: float) -> CalicoNodeStatusStatus:
    """The answer to a request for some classes; parts that nobody asked for are empty.

    Args:
        speaker: what the daemon says; None when it does not answer.
        now: seconds since the epoch.
    """
    return CalicoNodeStatusStatus(
        last_updated=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        agent=_agent(speaker) if AGENT in classes else AgentStatus(),
        bgp=_bgp(speaker.sessions) if BGP in classes and speaker else BGPStatus(),
        routes=_routes(speaker) if ROUTES in classes and speaker else RoutesStatus(),
    )


def _agent(speaker: Speaker | None) -> AgentStatus:
    """One daemon speaks both families, and says the same of each."""
    if speaker is None:
        silent = BGPDaemonStatus(state="NotReady")
        return AgentStatus(bird_v4=silent, bird_v6=silent)
    one = speaker.daemon
    status = BGPDaemonStatus(
        state="Ready",
        version=one.version,
        router_id=one.router_id,
        last_boot_time=one.booted,
        last_reconfiguration_time=one.configured,
    )
    return AgentStatus(bird_v4=status, bird_v6=status)


def _bgp(sessions: Collection[SessionStatus]) -> BGPStatus:
    v4 = [one for one in sessions if one.family == 4]
    v6 = [one for one in sessions if one.family == 6]
    return BGPStatus(
        number_established_v4=sum(one.established for one in v4),
        number_not_established_v4=sum(not one.established for one in v4),
        number_established_v6=sum(one.established for one in v6),
        number_not_established_v6=sum(not one.established for one in v6),
        peers_v4=tuple(map(_peer, v4)),
        peers_v6=tuple(map(_peer, v6)),
    )


def _peer(one: SessionStatus) -> PeerStatus:
    state = one.state if one.state in _STATES else _OTHER_STATES.get(one.state, "Idle")
    return PeerStatus(peer_ip=one.peer, type=one.type, state=state, since=one.since)


def _routes(speaker: Speaker) -> RoutesStatus:
    peers = {one.name: one for one in speaker.sessions}
    found = [_route(one, peers) for one in speaker.routes]
    return RoutesStatus(
        routes_v4=tuple(one for one in found if ":" not in one.destination),
        routes_v6=tuple(one for one in found if ":" in one.destination),
    )


def _route(one: bgp_route.RouteStatus, peers: Mapping[str, SessionStatus]) -> RouteStatus:
    """Of several next hops the first."""
    hop = one.next_hops[0] if one.next_hops else ""
    gateway, device = _VIA.search(hop), _DEVICE.search(hop)
    return RouteStatus(
        type="FIB" if one.best else "RIB",
        destination=one.prefix,
        gateway=gateway[1] if gateway else "N/A",
        interface=device[1] if device else "N/A",
        learned_from=_learned(one, peers.get(one.protocol)),
    )


def _learned(one: bgp_route.RouteStatus, peer: SessionStatus | None) -> LearnedFrom:
    if peer is None:
        return LearnedFrom(source_type=_SOURCES.get(one.source, "Static"))
    return LearnedFrom(source_type="NodeMesh" if peer.type == "NodeMesh" else "BGPPeer", peer_ip=peer.peer)
