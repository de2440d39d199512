"""Target: the table of what goes through WireGuard, and the rules that have it asked before all others.

In the table each prefix at a node with a key leads into the device of its family; what lies inside such a prefix and is
elsewhere is left to the main table. Packets that WireGuard has encrypted carry a mark and do not ask. Where encryption
is required, the pools as a whole are prohibited, and only what is here or at a node with a key is not: so nothing
leaves in the clear, be a device lost, a key unknown or a block new.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.nftables.settings import MarkBits
from tortie.dataplane.sysctls import Sysctls
from tortie.dataplane.target import Plan
from tortie.desired.cluster import ClusterRoute, Kinds
from tortie.desired.settings import WireguardSettings
from tortie.desired.state import Changes, DesiredState
from tortie.desired.wireguard import WireguardPeerId
from tortie.netlink import route, rules
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.monitor import LinkTable, RouteEvent
from tortie.netlink.route import Route, RouteType
from tortie.netlink.rules import RoutingRule
from tortie.netlink.socket import NetlinkSocket

TABLE = 80
"""Of both families; only what is of our protocol in it is ours."""
PROTOCOL = 80
METRIC, FENCE_METRIC = 1024, 4096
MARKED = "ipv4/conf/all/src_valid_mark"
"""Whether sources of packets are judged by where an answer of the same mark would go."""

_HARMLESS = frozenset({errno.ESRCH, errno.ENOENT, errno.EEXIST, errno.ENODEV, errno.ENETDOWN})
_ELSEWHERE = Kinds.REMOTE_WORKLOAD | Kinds.REMOTE_TUNNEL
_HERE = Kinds.LOCAL_WORKLOAD | Kinds.LOCAL_TUNNEL | Kinds.LOCAL_HOST


class Actual(msgspec.Struct):
    """What there is of ours."""

    routes: dict[Cidr, frozenset[Route]]
    rules: frozenset[RoutingRule]
    marked: str = "0"


class Change(msgspec.Struct, frozen=True, gc=False):
    """Put routes in, then take others out; likewise with rules. `marked` is the setting, empty to leave it."""

    installed: tuple[Route, ...] = ()
    removed: tuple[Route, ...] = ()
    new_rules: tuple[RoutingRule, ...] = ()
    old_rules: tuple[RoutingRule, ...] = ()
    marked: str = ""

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))


class EncryptionTarget:
    """Which packets WireGuard gets.

    Args:
        links: as of the last event heard.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        node: name of this one.
        names: of the devices, by family.
    """

    name = "encryption"

    def __init__(
        self,
        links: LinkTable,
        socket: NetlinkSocket,
        node: str,
        names: Mapping[int, str],
        sysctls: Sysctls | None = None,
    ) -> None:
        self._links = links
        self._socket = socket
        self._node = node
        self._names = names
        self._sysctls = sysctls or Sysctls()

    def is_foreign(self, event: RouteEvent) -> bool:
        """Whether an event is someone else's change to our routes."""
        ours = event.route.protocol == PROTOCOL and event.route.table == TABLE
        return ours and event.port not in (0, self._socket.port)

    def is_device(self, name: str) -> bool:
        """Whether a device takes our routes along when it goes, or goes down, or loses its addresses."""
        return name in self._names.values()

    def read(self) -> Actual:
        routes: dict[Cidr, set[Route]] = {}
        for family in BITS:
            for one in route.list_routes(self._socket, family, protocol=PROTOCOL, table=TABLE):
                routes.setdefault(one.destination, set()).add(one)
        found = [one for family in BITS for one in rules.list_rules(self._socket, family, PROTOCOL)]
        held = {destination: frozenset(there) for destination, there in routes.items()}
        return Actual(held, frozenset(found), self._sysctls.read([MARKED]).get(MARKED, ""))

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Change]:
        filters = desired.settings.filter if desired.settings else None
        if filters is None or not (filters.wireguard or actual.routes or actual.rules):
            return Plan()
        mark = MarkBits.of(filters.mark_mask).encrypted
        found = _Wanted(desired, self._node, filters.wireguard, self._indexes())
        installed: list[Route] = []
        removed: list[Route] = []
        for destination in self._destinations(desired, actual, changes):
            wanted, present = found.routes(destination), actual.routes.get(destination, frozenset())
            installed += sorted(wanted - present)
            # What has the metric of a wanted one gives way to it.
            metrics = {one.metric for one in wanted}
            removed += [one for one in sorted(present - wanted) if one.metric not in metrics]
        asked = {RoutingRule(family, one.priority, TABLE, mark, PROTOCOL) for family, one in filters.wireguard.items()}
        needs_mark = any(one.hosts for one in filters.wireguard.values()) and actual.marked == "0"
        change = Change(
            tuple(installed),
            tuple(removed),
            tuple(sorted(asked - actual.rules)),
            tuple(sorted(actual.rules - asked)),
            "1" if needs_mark else "",
        )
        return Plan([change] if change else [])

    def apply(self, operations: Sequence[Change]) -> None:
        for one in operations:
            if one.marked:
                self._sysctls.write(MARKED, one.marked)
            # The narrowest first: what is elsewhere is not led into a tunnel by what surrounds it.
            self._send([route.replace(to) for to in sorted(one.installed, key=lambda to: -to.destination.length)])
            self._send([route.delete(to) for to in sorted(one.removed, key=lambda to: to.destination.length)])
            self._send([rules.add(rule) for rule in one.new_rules])
            self._send([rules.delete(rule) for rule in one.old_rules])

    def applied(self, actual: Actual, plan: Plan[Change]) -> Actual:
        for one in plan.operations:
            for to in one.removed:
                _put(actual, to.destination, actual.routes.get(to.destination, frozenset()) - {to})
            for to in one.installed:
                others = (held for held in actual.routes.get(to.destination, ()) if held.metric != to.metric)
                _put(actual, to.destination, frozenset((*others, to)))
            actual.rules = (actual.rules | set(one.new_rules)) - set(one.old_rules)
            actual.marked = one.marked or actual.marked
        return actual

    def _indexes(self) -> dict[int, int]:
        """Of the devices that take packets."""
        found = {family: self._links.get(name) for family, name in self._names.items()}
        return {family: link.index for family, link in found.items() if link is not None and link.up}

    def _destinations(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> set[Cidr]:
        if (
            changes is None
            or changes.settings
            or changes.network
            or changes.wireguard_peers
            or changes.interfaces.intersection(self._names.values())
        ):
            return {*desired.cluster_routes, *desired.routes, *desired.network.pools, *actual.routes}
        return changes.cluster_routes | changes.routes

    def _send(self, requests: Sequence[Request]) -> None:
        """Try every request, then raise the first refusal that matters; a lost link is told by an event."""
        for error in send_batch(self._socket, requests) if requests else ():
            if error is not None and error.errno not in _HARMLESS:
                raise error


class _Wanted:
    """What the table is to have for a prefix."""

    def __init__(
        self, desired: DesiredState, node: str, settings: Mapping[int, WireguardSettings], indexes: Mapping[int, int]
    ) -> None:
        self._desired = desired
        self._node = node
        self._settings = settings
        self._indexes = indexes
        self._own = {one.family: one for one in desired.network.own}

    def routes(self, destination: Cidr) -> frozenset[Route]:
        settings = self._settings.get(destination.family)
        if settings is None:
            return frozenset()
        one = self._desired.cluster_routes.get(destination)
        fenced = settings.required and destination in self._desired.network.pools
        found = {_route(destination, RouteType.PROHIBIT)} if fenced else set()
        if self._is_here(destination, one):
            if settings.required or one is None or one.borrowed or one.node != self._node:
                found.add(_route(destination, RouteType.THROW))
        elif one is not None and one.node:
            found |= self._elsewhere(one, settings)
        return frozenset(found)

    def _is_here(self, destination: Cidr, one: ClusterRoute | None) -> bool:
        if destination in self._desired.routes:
            return True
        return one is not None and one.node == self._node and bool(one.kinds & _HERE)

    def _elsewhere(self, one: ClusterRoute, settings: WireguardSettings) -> set[Route]:
        destination = one.destination
        peer = self._desired.wireguard_peers.get(WireguardPeerId(one.node, destination.family))
        is_workload = bool(one.kinds & _ELSEWHERE)
        if not is_workload and not (settings.hosts and Kinds.REMOTE_HOST in one.kinds):
            return set()
        index = self._indexes.get(destination.family)
        if peer is None or not index:
            fenced = settings.required and is_workload
            return {_route(destination, RouteType.PROHIBIT if fenced else RouteType.THROW)}
        source = None if is_workload else self._own.get(destination.family)
        through = route.device_route(destination, index, METRIC, PROTOCOL)
        found = {msgspec.structs.replace(through, table=TABLE, source=source)}
        # Stays when the device goes, and its routes with it.
        return found | ({_route(destination, RouteType.PROHIBIT)} if settings.required and is_workload else set())


def _route(destination: Cidr, kind: RouteType) -> Route:
    metric = FENCE_METRIC if kind is RouteType.PROHIBIT else METRIC
    return Route(destination, metric=metric, protocol=PROTOCOL, table=TABLE, type=kind)


def _put(actual: Actual, destination: Cidr, there: frozenset[Route]) -> None:
    if there:
        actual.routes[destination] = there
    else:
        actual.routes.pop(destination, None)
