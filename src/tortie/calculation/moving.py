"""Which routes of this node a migration takes away, prefers or lets be: one small state machine an endpoint. Pure.

What resources say (the part that an endpoint plays) is not enough: when the traffic changes sides is told by the
guest itself, which announces itself where it runs. So this stands behind the calculation, and is fed with its deltas,
with announcements and with the time; it changes nothing but routes to workloads.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId, Migration
from tortie.desired.routes import ELEVATED_METRIC, NORMAL_METRIC, Route

HESITATION = 0.5
"""Seconds that a guest that was never heard of is not routed to after its migration is gone: most often it was
cancelled, and the endpoint goes next."""


class Stage(enum.Enum):
    """How far an endpoint is."""

    SETTLED = "settled"
    """Nothing moves."""
    LEAVING = "leaving"
    """It goes to another host, and has the traffic until that one's route is preferred."""
    WAITING = "waiting"
    """It comes from another host, which has the traffic until the guest announces itself here."""
    DOUBTED = "doubted"
    """Its migration is gone, but the guest was never heard of here."""
    LIVE = "live"
    """The guest runs here; its route is preferred to that of the host that it came from."""
    CONVERGING = "converging"
    """The migration is over; the route is preferred until everybody has heard that the old one is gone."""


class Cause(enum.Enum):
    """What moves an endpoint on: the part that resources give it, the guest, or the time."""

    NO_PART = "no part"
    SOURCE = "source"
    TARGET = "target"
    ANNOUNCED = "announced"
    ELAPSED = "elapsed"


_S, _C = Stage, Cause

TRANSITIONS: Mapping[tuple[Stage, Cause], Stage] = {
    (_S.SETTLED, _C.SOURCE): _S.LEAVING,
    (_S.SETTLED, _C.TARGET): _S.WAITING,
    (_S.LEAVING, _C.NO_PART): _S.SETTLED,
    (_S.LEAVING, _C.TARGET): _S.WAITING,
    (_S.WAITING, _C.NO_PART): _S.DOUBTED,
    (_S.WAITING, _C.SOURCE): _S.LEAVING,
    (_S.WAITING, _C.ANNOUNCED): _S.LIVE,
    (_S.DOUBTED, _C.SOURCE): _S.LEAVING,
    (_S.DOUBTED, _C.TARGET): _S.WAITING,
    (_S.DOUBTED, _C.ANNOUNCED): _S.CONVERGING,
    (_S.DOUBTED, _C.ELAPSED): _S.CONVERGING,
    (_S.LIVE, _C.NO_PART): _S.CONVERGING,
    (_S.LIVE, _C.SOURCE): _S.LEAVING,
    (_S.CONVERGING, _C.SOURCE): _S.LEAVING,
    (_S.CONVERGING, _C.TARGET): _S.LIVE,
    (_S.CONVERGING, _C.ELAPSED): _S.SETTLED,
}
"""Where each cause leads; what is not here changes nothing."""

UNROUTED = frozenset({Stage.WAITING, Stage.DOUBTED})
"""The other host has the route; the guest is listened for."""
ELEVATED = frozenset({Stage.LIVE, Stage.CONVERGING})

_CAUSES = {Migration.NONE: Cause.NO_PART, Migration.SOURCE: Cause.SOURCE, Migration.TARGET: Cause.TARGET}
_FOUND = {Migration.NONE: Stage.CONVERGING, Migration.SOURCE: Stage.LEAVING, Migration.TARGET: Stage.LIVE}
"""Stages of what the kernel preferred already when the agent started."""


class Priorities(msgspec.Struct, frozen=True):
    """Metrics of routes to workloads, by family, and for how long a new holder is preferred, in seconds."""

    normal: Mapping[int, int] = msgspec.field(default_factory=lambda: dict.fromkeys((4, 6), NORMAL_METRIC))
    elevated: Mapping[int, int] = msgspec.field(default_factory=lambda: dict.fromkeys((4, 6), ELEVATED_METRIC))
    convergence: float = 30.0


class Awaited(msgspec.Struct, frozen=True):
    """A guest that is listened for: at which interface, and its hardware address, or nothing where that is unknown."""

    interface: str
    mac: str


class _Mover(msgspec.Struct):
    """One endpoint; `due` is when the time moves it on."""

    interface: str
    mac: str
    stage: Stage = Stage.SETTLED
    due: float = float("inf")


class Moves:
    """All endpoints of this node, and the routes as they were told on.

    Args:
        priorities: see there.
        elevated: addresses that the kernel preferred here when the agent started: the guest ran here then.
    """

    def __init__(self, priorities: Priorities | None = None, elevated: Collection[Cidr] = ()) -> None:
        self._priorities = priorities or Priorities()
        self._found = frozenset(elevated)
        self._movers: dict[EndpointId, _Mover] = {}
        self._by_interface: dict[str, EndpointId] = {}
        self._unsettled: dict[EndpointId, _Mover] = {}
        self._given: dict[Cidr, Route] = {}
        self._through: dict[str, set[Cidr]] = {}
        self._told: dict[Cidr, Route] = {}

    @property
    def stages(self) -> dict[EndpointId, Stage]:
        """Of all that are not settled."""
        return {one: mover.stage for one, mover in self._unsettled.items()}

    @property
    def awaited(self) -> dict[EndpointId, Awaited]:
        """Guests that are listened for."""
        waiting = ((one, mover) for one, mover in self._unsettled.items() if mover.stage in UNROUTED)
        return {one: Awaited(mover.interface, mover.mac) for one, mover in waiting}

    @property
    def due(self) -> float:
        """When the time moves something on; infinity is never."""
        return min((mover.due for mover in self._unsettled.values()), default=float("inf"))

    def take(self, delta: Delta, now: float) -> Delta:
        """What the calculation says, with the routes that it has here. The first delta tells of all that is here."""
        touched = {route.destination for route in delta.routes}.union(delta.removed_routes)
        for destination in touched:
            self._give(destination, None)
        for route in delta.routes:
            self._give(route.destination, route)
        for endpoint in delta.endpoints:
            touched |= self._put(endpoint, now)
        for one in delta.removed_endpoints:
            touched |= self._remove(one)
        self._found = frozenset()
        if not touched:
            return delta
        routes, removed = self._tell(touched)
        return msgspec.structs.replace(delta, routes=routes, removed_routes=removed)

    def announced(self, one: EndpointId, now: float) -> Delta:
        """A guest runs here."""
        return self._moved(self._move(one, Cause.ANNOUNCED, now))

    def elapsed(self, now: float) -> Delta:
        """So late is it."""
        late = [one for one, mover in self._unsettled.items() if mover.due <= now]
        return self._moved(*(self._move(one, Cause.ELAPSED, now) for one in late))

    def configure(self, priorities: Priorities) -> Delta:
        """Other priorities from now on; what waits already waits as long as it was told to."""
        if priorities == self._priorities:
            return Delta()
        self._priorities = priorities
        return self._moved(set(self._given))

    def _give(self, destination: Cidr, route: Route | None) -> None:
        old = self._given.pop(destination, None)
        if old is not None:
            self._through[old.interface].remove(destination)
            if not self._through[old.interface]:
                del self._through[old.interface]
        if route is not None:
            self._given[destination] = route
            self._through.setdefault(route.interface, set()).add(destination)

    def _put(self, endpoint: Endpoint, now: float) -> set[Cidr]:
        """Destinations whose routes may be others now."""
        mover = self._movers.get(endpoint.id)
        if mover is not None and mover.interface == endpoint.interface:
            mover.mac = endpoint.mac
            return self._move(endpoint.id, _CAUSES[endpoint.migration], now)
        touched = self._remove(endpoint.id)
        mover = self._movers[endpoint.id] = _Mover(endpoint.interface, endpoint.mac)
        self._by_interface[endpoint.interface] = endpoint.id
        if self._found.isdisjoint(endpoint.addresses):
            self._move(endpoint.id, _CAUSES[endpoint.migration], now)
        else:
            self._enter(endpoint.id, mover, _FOUND[endpoint.migration], now)
        return touched | self._routed_to(mover)

    def _remove(self, one: EndpointId) -> set[Cidr]:
        """Destinations whose routes may be others now: whoever has the interface next inherits no stage."""
        mover = self._movers.pop(one, None)
        self._unsettled.pop(one, None)
        if mover is None or self._by_interface.get(mover.interface) != one:
            return set()
        del self._by_interface[mover.interface]
        return self._routed_to(mover)

    def _move(self, one: EndpointId, cause: Cause, now: float) -> set[Cidr]:
        """Destinations whose routes may be others now."""
        mover = self._movers.get(one)
        stage = TRANSITIONS.get((mover.stage, cause)) if mover else None
        if mover is None or stage is None:
            return set()
        self._enter(one, mover, stage, now)
        return self._routed_to(mover)

    def _enter(self, one: EndpointId, mover: _Mover, stage: Stage, now: float) -> None:
        lasts = {Stage.DOUBTED: HESITATION, Stage.CONVERGING: self._priorities.convergence}
        mover.stage, mover.due = stage, now + lasts.get(stage, float("inf"))
        if stage is Stage.SETTLED:
            self._unsettled.pop(one, None)
        else:
            self._unsettled[one] = mover

    def _routed_to(self, mover: _Mover) -> set[Cidr]:
        return set(self._through.get(mover.interface, ()))

    def _moved(self, *touched: set[Cidr]) -> Delta:
        routes, removed = self._tell(set().union(*touched))
        return Delta(routes=routes, removed_routes=removed)

    def _tell(self, touched: Iterable[Cidr]) -> tuple[tuple[Route, ...], tuple[Cidr, ...]]:
        """What is different from what was told, and what is gone."""
        changed, removed = [], []
        for destination in sorted(touched):
            wanted, told = self._wanted(destination), self._told.get(destination)
            if wanted is None and told is not None:
                del self._told[destination]
                removed.append(destination)
            elif wanted is not None and wanted != told:
                self._told[destination] = wanted
                changed.append(wanted)
        return tuple(changed), tuple(removed)

    def _wanted(self, destination: Cidr) -> Route | None:
        given = self._given.get(destination)
        if given is None:
            return None
        stage = self._stage_of(given.interface)
        if stage in UNROUTED:
            return None
        metrics = self._priorities.elevated if stage in ELEVATED else self._priorities.normal
        moving = stage is not Stage.SETTLED
        return msgspec.structs.replace(given, metric=metrics[destination.family], moving=moving)

    def _stage_of(self, interface: str) -> Stage:
        one = self._by_interface.get(interface)
        return self._movers[one].stage if one is not None else Stage.SETTLED
