"""Flows that stand already: which of them the host endpoints of this node would deny if they began now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.calculation.crossing import Crossing, Host, Surroundings
from tortie.calculation.standing import named_sets
from tortie.calculation.verdict import Packet
from tortie.desired.hosts import guardians
from tortie.desired.policy import Action
from tortie.desired.settings import FilterSettings
from tortie.desired.state import Changes, DesiredState


class StandingHosts:
    """A node as it was when this was made.

    Connections do not say by which interfaces they go; those are taken by which the other ends are reached now.

    Args:
        addresses: of the host's own interfaces, by name.
        towards: the interface by which each other end is reached; an end without one is not judged.
    """

    def __init__(
        self, state: DesiredState, addresses: Mapping[str, Collection[Cidr]], towards: Mapping[Cidr, str]
    ) -> None:
        settings = state.settings.filter if state.settings else FilterSettings()
        self._prefixes = settings.interface_prefixes
        surroundings = Surroundings(
            addresses=addresses,
            failsafes=settings.failsafes,
            prefixes=self._prefixes,
            external_nodes=settings.external_nodes,
            vxlan_port=settings.vxlan_port,
            reach_host=True,
        )
        self._host = Host(msgspec.structs.replace(state, policies=dict(state.policies)), surroundings)
        self._guards = guardians(state.host_endpoints.values(), addresses)
        self._own = {one for held in addresses.values() for one in held}
        self._towards = towards

    def is_denied(self, first: Packet, original: Packet | None = None) -> bool:
        """Whether the guard of an interface that a flow goes by denies its first packet.

        Args:
            first: as it is forwarded: its destination is translated already, its source not yet.
            original: as it was before.
        """
        incoming, outgoing = (
            self._interface(first.family, first.source),
            self._interface(first.family, first.destination),
        )
        outer = [one for one in (incoming, outgoing) if one and not one.startswith(self._prefixes)]
        if incoming is None or outgoing is None or not any(map(self._guards.of, outer)):
            return False
        crossing = Crossing(first, incoming, outgoing, original, routed=outgoing)
        stops = self._host.judge(crossing).stops
        # What workloads deny is judged by `Standing`, and where a workload sends from was judged packet by packet.
        return bool(stops) and stops[-1].action is Action.DENY and stops[-1].where.startswith("HostEndpoint ")

    def _interface(self, family: int, address: int) -> str | None:
        """Empty for the host's own end; None when nothing is known."""
        end = Cidr(family, address, BITS[family])
        return "" if end in self._own else self._towards.get(end)


def concerns_standing_hosts(state: DesiredState, changes: Changes) -> bool:
    """Whether packets of the host's interfaces may fare differently after these changes."""
    if not state.host_endpoints:
        return False
    if changes.host_endpoints or changes.settings or changes.addresses:
        return True
    governing = {one for endpoint in state.host_endpoints.values() for one in endpoint.policy_ids()}
    sets = changes.sets | changes.set_changes.keys()
    return not governing.isdisjoint(changes.policies) or any(
        not sets.isdisjoint(named_sets(state.policies[one])) for one in governing
    )
