"""Target: routes to workloads, here and through overlays, and tracked connections of addresses that move or depart.

Ours are the routes of protocol 80 in table main; no other is touched. A route whose interface is missing or
down waits. An address that gets another holder loses its old route first, then its tracked connections, and
only then is routed to the new holder; one that its holder takes along from or to another host keeps them, and they are
loosened, because they go on elsewhere unseen. A route whose priority changes is there throughout. Where a workload of
this node has an address, nothing of the cluster counts.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.dataplane.cluster_routes import NOTHING, Answer, kernel_route
from tortie.dataplane.conntrack import Holders
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import NO_WAYS, Underlay, Ways
from tortie.desired.endpoints import Migration
from tortie.desired.routes import Route
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import conntrack, route
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.monitor import LinkTable, RouteEvent
from tortie.netlink.socket import NetlinkSocket

PROTOCOL = 80
"""Marks a route as ours."""

_VANISHED = frozenset({errno.ENODEV, errno.ENETDOWN, errno.ENXIO})
_ABSENT = frozenset({errno.ESRCH, errno.ENODEV, errno.ENOENT})


class Remove(msgspec.Struct, frozen=True, gc=False):
    """Delete a route."""

    route: route.Route


class Retire(msgspec.Struct, frozen=True, gc=False):
    """Delete a route once the one that takes its place is there."""

    route: route.Route


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Forget the tracked connections of an address, unless its holder runs on elsewhere."""

    address: Cidr
    departed: bool
    keeps: bool = False


class Loosen(msgspec.Struct, frozen=True, gc=False):
    """Take sequence numbers as they come in the tracked connections of an address."""

    address: Cidr


class Install(msgspec.Struct, frozen=True, gc=False):
    """Add a route, or replace the one to its destination."""

    route: route.Route


Operation = Remove | Forget | Install | Retire | Loosen
Actual = dict[Cidr, frozenset[route.Route]]


class RoutesTarget:
    """Routes to workloads.

    Args:
        links: kept up to date in the event loop; each change is also to be told to the loop
            (`Reconciler.interface_changed`).
        routes: a NETLINK_ROUTE socket, for the worker thread alone.
        connections: a NETLINK_NETFILTER socket, for the worker thread alone; None tracks no connections.
        underlay: of this host; None is without overlays.
    """

    name = "routes"

    def __init__(
        self,
        links: LinkTable,
        routes: NetlinkSocket,
        connections: NetlinkSocket | None,
        underlay: Underlay | None = None,
    ) -> None:
        self._underlay = underlay
        self._ways = NO_WAYS
        self._links = links
        self._routes = routes
        self._connections = connections
        self._holders = Holders()
        self._port = routes.port

    def is_foreign(self, event: RouteEvent) -> bool:
        """Whether an event is someone else's change to our routes, to be told to `Reconciler.drifted`.

        What the kernel does by itself (port 0) follows from a link, whose event is heard too.
        """
        ours = event.route.protocol == PROTOCOL and event.route.table == route.TABLE_MAIN
        return ours and event.port not in (0, self._port)

    def read(self) -> Actual:
        found: dict[Cidr, set[route.Route]] = {}
        for family in (4, 6):
            for one in route.list_routes(self._routes, family, protocol=PROTOCOL):
                found.setdefault(one.destination, set()).add(one)
        return {destination: frozenset(routes) for destination, routes in found.items()}

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        before = self._ways
        if self._underlay and (changes is None or changes.addresses or changes.vteps):
            self._ways = self._underlay.ways(desired)
        if changes is None:
            local = (one for routes in actual.values() for one in routes if self._is_local(one))
            self._holders.adopt((one.destination, one.index) for one in local)
        moved = before != self._ways
        return _Planner(self._links, self._holders, actual, changes, self._ways).plan(desired, moved=moved)

    def apply(self, operations: Sequence[Operation]) -> None:
        _send(self._routes, [route.delete(one.route) for one in operations if isinstance(one, Remove)], _ABSENT)
        addresses = {one.address for one in operations if isinstance(one, Forget) and not one.keeps}
        if addresses and self._connections is not None:
            conntrack.forget(self._connections, addresses)
        # A link that vanished since the plan was made is reported by an event, and then planned for.
        _send(self._routes, [route.replace(one.route) for one in operations if isinstance(one, Install)], _VANISHED)
        _send(self._routes, [route.delete(one.route) for one in operations if isinstance(one, Retire)], _ABSENT)
        moving = {one.address for one in operations if isinstance(one, Loosen)}
        if moving and self._connections is not None:
            conntrack.loosen(self._connections, moving)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for operation in plan.operations:
            if isinstance(operation, Remove | Retire):
                destination = operation.route.destination
                actual[destination] = actual.get(destination, frozenset()) - {operation.route}
                if not actual[destination]:
                    del actual[destination]
            elif isinstance(operation, Install):
                destination = operation.route.destination
                actual[destination] = frozenset({operation.route})
                if self._is_local(operation.route):
                    self._holders.given(destination, operation.route.index)
            elif isinstance(operation, Forget) and operation.departed:
                self._holders.departed(operation.address)
        return actual

    def _is_local(self, one: route.Route) -> bool:
        """Whether a route leads to a workload of this node."""
        is_attached = one.gateway is None and one.type is route.RouteType.UNICAST
        return is_attached and one.index not in self._ways.tunnels


class _Planner:
    """One plan in the making: operations of each step, put in order at the end."""

    def __init__(self, links: LinkTable, holders: Holders, actual: Actual, changes: Changes | None, ways: Ways) -> None:
        self._ways = ways
        self._links = links
        self._holders = holders
        self._actual = actual
        self._changes = changes
        self._removals: list[Operation] = []
        self._forgotten: list[Operation] = []
        self._installs: list[Operation] = []
        self._retired: list[Operation] = []
        self._loosened: set[Cidr] = set()
        self._waiting: dict[str, str] = {}

    def plan(self, desired: DesiredState, *, moved: bool) -> Plan[Operation]:
        """`moved` says that devices of overlays are others than before."""
        destinations = self._destinations(desired, moved)
        # The narrowest first: an address is not led astray by the route of its block, nor is a gateway.
        for destination in sorted(destinations, key=lambda one: (-one.length, one)):
            local = desired.routes.get(destination)
            if local is not None:
                self._look_at_local(destination, local)
            else:
                self._look_at_cluster(destination, self._answer(destination, desired))
        settled = [text for one in destinations if (text := str(one)) not in self._waiting] if self._changes else ()
        self._loosened |= self._moving(desired)
        loosened = map(Loosen, sorted(self._loosened))
        operations = [*self._removals, *self._forgotten, *self._installs, *self._retired, *loosened]
        return Plan(operations, self._waiting, settled)

    def _moving(self, desired: DesiredState) -> set[Cidr]:
        """Addresses that a machine takes along, as far as that is new."""
        changed = desired.endpoints if self._changes is None else self._changes.endpoints
        found = (desired.endpoints[one] for one in changed if one in desired.endpoints)
        return {address for one in found if one.migration is not Migration.NONE for address in one.addresses}

    def _destinations(self, desired: DesiredState, moved: bool) -> set[Cidr]:
        changes = self._changes
        if changes is None:
            return desired.routes.keys() | desired.cluster_routes.keys() | self._actual.keys()
        found = changes.routes | changes.cluster_routes
        if changes.interfaces:
            found |= {one.destination for one in desired.routes.values() if one.interface in changes.interfaces}
        if moved or changes.interfaces & self._ways.names:
            return found | desired.cluster_routes.keys()
        nodes = {one.node for one in changes.vteps}
        return found | {one.destination for one in desired.cluster_routes.values() if nodes and one.node in nodes}

    def _answer(self, destination: Cidr, desired: DesiredState) -> Answer:
        one = desired.cluster_routes.get(destination)
        return kernel_route(one, self._ways, desired.vteps, PROTOCOL) if one else NOTHING

    def _look_at_local(self, destination: Cidr, desired: Route) -> None:
        wanted = self._wanted(desired)
        present = self._actual.get(destination, frozenset())
        self._holders.moves(destination, desired.moving)
        for one in _sorted(present):
            if wanted is not None and one != wanted and one == _with_metric(wanted, one.metric):
                self._retired.append(Retire(one))
            elif one != wanted:
                self._removals.append(Remove(one))
        if wanted is None:
            return
        if wanted not in present and self._holders.changes(destination, wanted.index) and not desired.moving:
            self._forgotten.append(Forget(destination, departed=False))
        if wanted not in present or self._may_be_dropped(desired.interface):
            self._installs.append(Install(wanted))
            self._loosened |= {destination} if desired.moving else set()

    def _look_at_cluster(self, destination: Cidr, answer: Answer) -> None:
        """Of what is elsewhere, or of what nobody has any more."""
        wanted, present = answer.route, self._actual.get(destination, frozenset())
        departs = self._holders.holds(destination)
        if answer.waits:
            self._waiting[str(destination)] = answer.waits
        if not answer.stays or departs:
            gone = [one for one in _sorted(present) if one.gateway not in answer.keeps]
            self._removals += [Remove(one) for one in gone if not _gives_way(one, wanted) or departs]
        if departs:
            keeps = self._holders.runs_on(destination)
            self._forgotten.append(Forget(destination, departed=True, keeps=keeps))
        if wanted is not None and (wanted not in present or departs or self._may_be_dropped(*self._ways.names)):
            self._installs.append(Install(wanted))

    def _wanted(self, desired: Route) -> route.Route | None:
        link = self._links.get(desired.interface)
        if link is None or not link.running:
            what = "does not exist" if link is None else "is down"
            self._waiting[str(desired.destination)] = f"interface {desired.interface} {what}"
            return None
        return route.device_route(desired.destination, link.index, desired.metric, PROTOCOL)

    def _may_be_dropped(self, *interfaces: str) -> bool:
        """A link that changed may have been down in between, and taken its routes along without a word."""
        return self._changes is not None and not self._changes.interfaces.isdisjoint(interfaces)


def _sorted(routes: Iterable[route.Route]) -> list[route.Route]:
    return sorted(routes, key=str)


def _with_metric(one: route.Route, metric: int) -> route.Route:
    return msgspec.structs.replace(one, metric=metric)


def _gives_way(present: route.Route, wanted: route.Route | None) -> bool:
    """Whether the kernel puts a route in the place of another, so that no packet is without one in between."""
    if wanted is None or present == wanted:
        return present == wanted
    shapes = [(one.metric, one.type, one.gateway is None) for one in (present, wanted)]
    return shapes[0] == shapes[1]


def _send(socket: NetlinkSocket, requests: Sequence[Request], harmless: frozenset[int]) -> None:
    """Try every request, then raise the first refusal that matters."""
    for error in send_batch(socket, requests) if requests else ():
        if error is not None and error.errno not in harmless:
            raise error
