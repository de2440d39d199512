"""How the endpoints of a node are, from what its reconcilers have really done and what interfaces say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tortie.base.addresses import Cidr
from tortie.dataplane.status import TargetStatus
from tortie.datastore.statuskeys import EndpointState
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import Guardians, HostEndpoint, HostEndpointName, guardians
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.links import Link

_OF_WORKLOADS = frozenset({"nftables", "interfaces", "routes"})
_OF_HOSTS = frozenset({"nftables"})
"""Targets that an endpoint needs."""


class Seen(msgspec.Struct, frozen=True):
    """What a pass of the reconciler has left.

    Args:
        link: the interface of a name, if there is one.
        addresses: gives what each interface of the host itself has.
    """

    desired: DesiredState
    targets: Sequence[TargetStatus]
    link: Callable[[str], Link | None]
    addresses: Callable[[], Mapping[str, Collection[Cidr]]]


class EndpointStates:
    """Judges, after each pass, the endpoints that the pass may have changed.

    A target that is refused has not done what the pass asked of it, so whatever the pass touched is an error until
    the target recovers. What it did before stays in the kernel: endpoints that nobody touches stay as they were.
    """

    def __init__(self) -> None:
        self._unfinished: set[EndpointId] = set()
        self._hosts_unfinished = False

    def workloads(self, changes: Changes, seen: Seen) -> dict[EndpointId, EndpointState | None]:
        """Workload endpoints that may be otherwise than before; None is for those that are gone."""
        known = seen.desired.endpoints
        touched = changes.endpoints | self._unfinished
        if changes.interfaces:
            touched |= {one.id for one in known.values() if one.interface in changes.interfaces}
        refused = _is_refused(seen, _OF_WORKLOADS)
        self._unfinished = touched & known.keys() if refused else set()
        waiting = {name for target in seen.targets if target.name in _OF_WORKLOADS for name in target.waiting}
        return {
            one: (EndpointState.ERROR if refused else _workload(known[one], seen, waiting)) if one in known else None
            for one in touched
        }

    def hosts(self, changes: Changes, seen: Seen) -> dict[HostEndpointName, EndpointState | None]:
        """Host endpoints that may be otherwise than before; None is for those that are gone.

        There are few, so all are looked at when one is: whom one does not guard any more another may.
        """
        known = seen.desired.host_endpoints
        named = any(one.interface in changes.interfaces for one in known.values())
        if not (changes.host_endpoints or changes.addresses or named or self._hosts_unfinished):
            return {}
        refused = _is_refused(seen, _OF_HOSTS)
        self._hosts_unfinished = refused
        states: dict[HostEndpointName, EndpointState | None] = dict.fromkeys(changes.host_endpoints)
        guards = guardians(known.values(), seen.addresses() if known else {})
        for one in known.values():
            states[one.name] = EndpointState.ERROR if refused else _host(one, guards, seen)
        return states


def _is_refused(seen: Seen, targets: Collection[str]) -> bool:
    return any(target.failing for target in seen.targets if target.name in targets)


def _workload(endpoint: Endpoint, seen: Seen, waiting: Collection[str]) -> EndpointState:
    """Up is: active, its interface has a carrier, and none of its objects waits for anything."""
    link = seen.link(endpoint.interface)
    is_up = endpoint.active and link is not None and link.running
    waits = str(endpoint.id) in waiting or any(str(address) in waiting for address in endpoint.addresses)
    return EndpointState.UP if is_up and not waits else EndpointState.DOWN


def _host(endpoint: HostEndpoint, guards: Guardians, seen: Seen) -> EndpointState:
    """Up is: all that it guards is up. One that guards nothing is an error, as in Felix; one for all is always up."""
    if guards.wildcard is not None and guards.wildcard.name == endpoint.name:
        return EndpointState.UP
    guarded = [name for name, guard in guards.by_interface.items() if guard.name == endpoint.name]
    links = [link for name in guarded if (link := seen.link(name))]
    if not links:
        return EndpointState.ERROR
    return EndpointState.UP if all(link.running for link in links) else EndpointState.DOWN
