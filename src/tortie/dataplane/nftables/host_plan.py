"""The part of a plan that concerns interfaces of the host itself."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tortie.dataplane.nftables.chain_plan import ChainPlan
from tortie.dataplane.nftables.chains import Seat
from tortie.dataplane.nftables.host_layout import HOST_MAPS
from tortie.dataplane.nftables.model import Kernel
from tortie.dataplane.nftables.operations import PutHost
from tortie.desired.hosts import WILDCARD, Guardians, HostEndpoint, HostEndpointName, Place
from tortie.desired.policy import PolicyList
from tortie.desired.state import Changes, DesiredState


class HostPlan:
    """Collects operations on the maps of host endpoints. There are few of these, so all are looked at every time."""

    def __init__(self, kernel: Kernel, chains: ChainPlan) -> None:
        self._kernel = kernel
        self._chains = chains
        self.operations: list[PutHost] = []

    def put(self, guards: Guardians, put_list: Callable[[PolicyList, Seat], str]) -> None:
        """Every interface that is guarded by name, the guard of all others, and what base chains need for them."""
        wildcard = {
            place: put_list(guards.wildcard.policies(place), place)
            for place in Place
            if guards.wildcard and _judges(guards.wildcard, place)
        }
        wanted = {
            (HOST_MAPS[place], interface): put_list(guard.policies(place), place)
            for interface, guard in guards.by_interface.items()
            for place in Place
            # Where the guard itself does not judge, that of all others must not do so instead.
            if _judges(guard, place) or place in wildcard
        }
        known = self._kernel.hosts
        for key in sorted(known.keys() | wanted.keys()):
            old, new = known.get(key, ""), wanted.get(key, "")
            if old != new:
                self.operations.append(PutHost(*key, old, new))
        used = {name for name, _ in wanted}
        self._chains.put_host_base([place for place in Place if HOST_MAPS[place] in used], wildcard)


def _judges(guard: HostEndpoint, place: Place) -> bool:
    return place.decides or bool(guard.policies(place).tiers)


def concerns_hosts(desired: DesiredState, changes: Changes) -> bool:
    """Whether another host endpoint than before may guard some interface, or guard it otherwise."""
    return bool(changes.host_endpoints) or (changes.addresses and bool(desired.host_endpoints))


def idle(desired: DesiredState, guards: Guardians, interfaces: Collection[str]) -> dict[str, str]:
    """Host endpoints that guard none of these interfaces, to the reason."""
    busy = {guards.by_interface[name].name for name in guards.by_interface.keys() & set(interfaces)}
    busy |= {guards.wildcard.name} if guards.wildcard else set()
    return {_text(one.name): _reason(one, guards) for one in desired.host_endpoints.values() if one.name not in busy}


def touched(desired: DesiredState, changes: Changes) -> set[str]:
    """Host endpoints that may guard something now, or are gone."""
    return {_text(name) for name in (*desired.host_endpoints, *changes.host_endpoints)}


def _text(name: HostEndpointName) -> str:
    return f"HostEndpoint {name}"


def _reason(idle: HostEndpoint, guards: Guardians) -> str:
    if not idle.interface:
        return f"no interface that it could guard has {' or '.join(one.text for one in idle.expected)}"
    guard = guards.wildcard if idle.interface == WILDCARD else guards.by_interface[idle.interface]
    if guard is None or guard.name == idle.name:
        return f"interface {idle.interface} does not exist"
    return f"{idle.interface} is guarded by {_text(guard.name)}"
