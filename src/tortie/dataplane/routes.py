"""Target: routes to local workloads, and the tracked connections of addresses that move or depart.

Ours are the routes of protocol 80 in table main; no other is touched. A route whose interface is missing or
down waits. An address that gets another holder loses its old route first, then its tracked connections, and
only then is routed to the new holder.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.dataplane.conntrack import Holders
from tortie.dataplane.target import Plan
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


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Forget the tracked connections of an address."""

    address: Cidr
    departed: bool


class Install(msgspec.Struct, frozen=True, gc=False):
    """Add a route, or replace the one to its destination."""

    route: route.Route


Operation = Remove | Forget | Install
Actual = dict[Cidr, frozenset[route.Route]]


class RoutesTarget:
    """Routes to local workloads.

    Args:
        links: kept up to date in the event loop; each change is also to be told to the loop
            (`Reconciler.interface_changed`).
        routes: a NETLINK_ROUTE socket, for the worker thread alone.
        connections: a NETLINK_NETFILTER socket, for the worker thread alone; None tracks no connections.
    """

    name = "routes"

    def __init__(self, links: LinkTable, routes: NetlinkSocket, connections: NetlinkSocket | None) -> None:
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
        if changes is None:
            self._holders.adopt((one.destination, one.index) for routes in actual.values() for one in routes)
        return _Planner(self._links, self._holders, actual, changes).plan(desired.routes)

    def apply(self, operations: Sequence[Operation]) -> None:
        _send(self._routes, [route.delete(one.route) for one in operations if isinstance(one, Remove)], _ABSENT)
        addresses = {one.address for one in operations if isinstance(one, Forget)}
        if addresses and self._connections is not None:
            conntrack.forget(self._connections, addresses)
        # A link that vanished since the plan was made is reported by an event, and then planned for.
        _send(self._routes, [route.replace(one.route) for one in operations if isinstance(one, Install)], _VANISHED)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for operation in plan.operations:
            if isinstance(operation, Remove):
                destination = operation.route.destination
                remaining = actual.get(destination, frozenset()) - {operation.route}
                actual[destination] = remaining
                if not remaining:
                    del actual[destination]
            elif isinstance(operation, Install):
                destination = operation.route.destination
                actual[destination] = frozenset({operation.route})
                self._holders.given(destination, operation.route.index)
            elif operation.departed:
                self._holders.departed(operation.address)
        return actual


class _Planner:
    """One plan in the making: operations of each step, put in order at the end."""

    def __init__(self, links: LinkTable, holders: Holders, actual: Actual, changes: Changes | None) -> None:
        self._links = links
        self._holders = holders
        self._actual = actual
        self._changes = changes
        self._removals: list[Operation] = []
        self._forgotten: list[Operation] = []
        self._installs: list[Operation] = []
        self._waiting: dict[str, str] = {}

    def plan(self, routes: Mapping[Cidr, Route]) -> Plan[Operation]:
        destinations = self._destinations(routes)
        for destination in sorted(destinations):
            self._look_at(destination, routes.get(destination))
        settled = [text for one in destinations if (text := str(one)) not in self._waiting] if self._changes else ()
        return Plan([*self._removals, *self._forgotten, *self._installs], self._waiting, settled)

    def _destinations(self, routes: Mapping[Cidr, Route]) -> Iterable[Cidr]:
        if self._changes is None:
            return routes.keys() | self._actual.keys()
        interfaces = self._changes.interfaces
        if not interfaces:
            return self._changes.routes
        return self._changes.routes | {one.destination for one in routes.values() if one.interface in interfaces}

    def _look_at(self, destination: Cidr, desired: Route | None) -> None:
        wanted = self._wanted(desired) if desired else None
        present = self._actual.get(destination, frozenset())
        self._removals += [Remove(one) for one in sorted(present) if one != wanted]
        if desired is None:
            if self._holders.holds(destination):
                self._forgotten.append(Forget(destination, departed=True))
            return
        if wanted is None:
            return
        if wanted not in present and self._holders.changes(destination, wanted.index):
            self._forgotten.append(Forget(destination, departed=False))
        if wanted not in present or self._may_be_dropped(desired):
            self._installs.append(Install(wanted))

    def _wanted(self, desired: Route) -> route.Route | None:
        link = self._links.get(desired.interface)
        if link is None or not link.running:
            what = "does not exist" if link is None else "is down"
            self._waiting[str(desired.destination)] = f"interface {desired.interface} {what}"
            return None
        return route.device_route(desired.destination, link.index, desired.metric, PROTOCOL)

    def _may_be_dropped(self, desired: Route) -> bool:
        """A link that changed may have been down in between, and taken its routes along without a word."""
        return self._changes is not None and desired.interface in self._changes.interfaces


def _send(socket: NetlinkSocket, requests: Sequence[Request], harmless: frozenset[int]) -> None:
    """Try every request, then raise the first refusal that matters."""
    for error in send_batch(socket, requests) if requests else ():
        if error is not None and error.errno not in harmless:
            raise error
