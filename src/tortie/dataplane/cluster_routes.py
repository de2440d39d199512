"""How prefixes of the cluster are routed on this node where that is not BGP's business: overlays. Pure.

What is at another node goes through the tunnel to that node's end, or straight to the node where the pool does not
encapsulate within a subnet. A block of this node is a black hole: only the addresses of it that somebody has are
routed on, by their own routes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.dataplane.underlay import Ways
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, Vtep, VtepId
from tortie.desired.routes import NORMAL_METRIC
from tortie.netlink.route import Route, RouteType, device_route


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is to be in the kernel for a prefix.

    Args:
        route: None is nothing, or nothing yet.
        waits: why nothing yet; empty when that is final.
        stays: what is there now may stay while it waits: it is this node that is not ready.
        keeps: gateways with which it may stay: they are that node, which is not ready, and is reached as before.
    """

    route: Route | None = None
    waits: str = ""
    stays: bool = False
    keeps: frozenset[Cidr] = frozenset()


NOTHING = Answer()


def kernel_route(one: ClusterRoute, ways: Ways, ends: Mapping[VtepId, Vtep], protocol: int) -> Answer:
    """The route to a prefix."""
    if one.encapsulation not in (Encapsulation.VXLAN, Encapsulation.IPIP) or one.attached:
        return NOTHING
    if Kinds.REMOTE_WORKLOAD in one.kinds and one.node != ways.node:
        if one.same_subnet:
            return _direct(one, ways, protocol)
        if one.encapsulation is Encapsulation.IPIP:
            return _through_ipip(one, ways, protocol)
        return _through_tunnel(one, ways, ends, protocol)
    if _is_gateway(one, ends) and not one.same_subnet:
        return _through_tunnel(one, ways, ends, protocol)
    if Kinds.LOCAL_WORKLOAD in one.kinds and not one.destination.is_host:
        blackhole = Route(one.destination, metric=NORMAL_METRIC, protocol=protocol, type=RouteType.BLACKHOLE)
        return Answer(blackhole)
    return NOTHING


def _is_gateway(one: ClusterRoute, ends: Mapping[VtepId, Vtep]) -> bool:
    """Whether it is an end that IPv6 routes lead through.

    The kernel takes a gateway for IPv6 only when it is not routed to another device, and routes that lead there by
    another way may stand until they are replaced.
    """
    end = ends.get(VtepId(one.node, 6)) if one.kinds == Kinds.REMOTE_TUNNEL else None
    return end is not None and end.address == one.destination


def _direct(one: ClusterRoute, ways: Ways, protocol: int) -> Answer:
    way = ways.direct.get(one.destination.family)
    if way is None or one.address is None:
        return Answer(waits="no interface of this host has its own address", stays=True)
    return Answer(_via(one.destination, one.address, way.index, protocol))


def _through_ipip(one: ClusterRoute, ways: Ways, protocol: int) -> Answer:
    """Straight to the node again: the device puts the packet into one to the gateway."""
    if one.address is None:
        return Answer(waits=f"node {one.node} has no IPv4 address")
    way = ways.ipip.get(4)
    if way is None:
        return Answer(waits="this node's device of IP in IP does not exist, or is down", stays=True)
    return Answer(_via(one.destination, one.address, way.index, protocol))


def _through_tunnel(one: ClusterRoute, ways: Ways, ends: Mapping[VtepId, Vtep], protocol: int) -> Answer:
    family = one.destination.family
    end = ends.get(VtepId(one.node, family))
    if end is None:
        reached = frozenset({one.address}) if one.address else frozenset()
        return Answer(waits=f"node {one.node} has no end of a VXLAN for IPv{family}", keeps=reached)
    way = ways.vxlan.get(family)
    if way is None:
        return Answer(waits="this node's VXLAN device does not exist, or is down", stays=True)
    if end.address == one.destination:
        return Answer(device_route(one.destination, way.index, NORMAL_METRIC, protocol))
    return Answer(_via(one.destination, end.address, way.index, protocol))


def _via(destination: Cidr, gateway: Cidr, index: int, protocol: int) -> Route:
    return Route(destination, index, gateway, metric=NORMAL_METRIC, protocol=protocol, onlink=True)
