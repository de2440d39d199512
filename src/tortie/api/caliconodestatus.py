"""CalicoNodeStatus: a request for what a node knows of its agents, sessions and routes, and the answer."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class CalicoNodeStatusSpec(Model, frozen=True, kw_only=True):
    """`classes` are Agent, BGP and Routes; a period of zero seconds ends the updates."""

    node: str = ""
    classes: tuple[str, ...] = ()
    update_period_seconds: int | None = None


class BGPDaemonStatus(Model, frozen=True, kw_only=True):
    """`state` is Ready or NotReady; times are as the daemon tells them."""

    state: str = ""
    version: str = ""
    router_id: str = msgspec.field(default="", name="routerID")
    last_boot_time: str = ""
    last_reconfiguration_time: str = ""


class AgentStatus(Model, frozen=True, kw_only=True):
    """The BGP daemon, by family."""

    bird_v4: BGPDaemonStatus = msgspec.field(default_factory=BGPDaemonStatus)
    bird_v6: BGPDaemonStatus = msgspec.field(default_factory=BGPDaemonStatus)


class PeerStatus(Model, frozen=True, kw_only=True):
    """`type` is NodeMesh, NodePeer or GlobalPeer; `state` is a state of RFC 4271, or Close."""

    peer_ip: str = msgspec.field(default="", name="peerIP")
    type: str = ""
    state: str = ""
    since: str = ""


class BGPStatus(Model, frozen=True, kw_only=True):
    """Sessions of a node, counted and one by one."""

    number_established_v4: int = msgspec.field(default_factory=int)
    number_not_established_v4: int = msgspec.field(default_factory=int)
    number_established_v6: int = msgspec.field(default_factory=int)
    number_not_established_v6: int = msgspec.field(default_factory=int)
    peers_v4: tuple[PeerStatus, ...] = ()
    peers_v6: tuple[PeerStatus, ...] = ()


class LearnedFrom(Model, frozen=True, kw_only=True):
    """`source_type` is Kernel, Static, Direct, NodeMesh or BGPPeer."""

    source_type: str = ""
    peer_ip: str = msgspec.field(default="", name="peerIP")


class RouteStatus(Model, frozen=True, kw_only=True):
    """`type` is FIB for a route in use, else RIB."""

    type: str = ""
    destination: str = ""
    gateway: str = ""
    interface: str = ""
    learned_from: LearnedFrom = msgspec.field(default_factory=LearnedFrom)


class RoutesStatus(Model, frozen=True, kw_only=True):
    """Routes that the BGP daemon knows, by family."""

    routes_v4: tuple[RouteStatus, ...] = ()
    routes_v6: tuple[RouteStatus, ...] = ()


class CalicoNodeStatusStatus(Model, frozen=True, kw_only=True):
    """The answer of the node, all parts always present."""

    last_updated: str | None = msgspec.field(default_factory=lambda: None)
    agent: AgentStatus = msgspec.field(default_factory=AgentStatus)
    bgp: BGPStatus = msgspec.field(default_factory=BGPStatus)
    routes: RoutesStatus = msgspec.field(default_factory=RoutesStatus)


class CalicoNodeStatus(Resource, frozen=True, kw_only=True):
    """What one node reports."""

    kind: ClassVar[str] = "CalicoNodeStatus"
    plural: ClassVar[str] = "caliconodestatuses"

    spec: CalicoNodeStatusSpec = msgspec.field(default_factory=CalicoNodeStatusSpec)
    status: CalicoNodeStatusStatus = msgspec.field(default_factory=CalicoNodeStatusStatus)
