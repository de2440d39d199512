"""Host endpoints: interfaces of the host itself, and the policies that guard them.

A host endpoint has one list of tiers for each place where packets of its interface are judged. Which
interface it is follows from names and addresses: `guardians`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NewType

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.policy import Direction, PolicyId, PolicyList, TierPolicies

HostEndpointName = NewType("HostEndpointName", str)
"""Name of a HostEndpoint resource: its identity."""

WILDCARD = "*"
"""What stands for every interface that no other host endpoint guards."""

LOOPBACK = "lo"
"""Guarded only by a host endpoint of its own: what a host says to itself crosses no border."""

Tiers = tuple[TierPolicies, ...]


class Place(enum.Enum):
    """Where packets of a host's interface are judged, in the order in which a packet gets there.

    What tiers do not decide goes on, but where a place `decides`: there profiles are asked then.
    """

    UNTRACKED_INGRESS = "untracked-in"
    """All that arrives, before connection tracking and address translation."""
    PRE_DNAT = "pre-dnat"
    """All that arrives, before its destination is translated."""
    INGRESS = "host-in"
    """What arrives for a process of the host."""
    FORWARD_INGRESS = "forward-in"
    """What arrives for others."""
    FORWARD_EGRESS = "forward-out"
    """What leaves and came from others."""
    UNTRACKED_EGRESS = "untracked-out"
    """What a process of the host sends, before connection tracking and address translation."""
    EGRESS = "host-out"
    """What a process of the host sends, as it leaves."""

    @property
    def direction(self) -> Direction:
        """Seen from the host."""
        outward = (Place.FORWARD_EGRESS, Place.UNTRACKED_EGRESS, Place.EGRESS)
        return Direction.EGRESS if self in outward else Direction.INGRESS

    @property
    def decides(self) -> bool:
        """Whether it is the last for its packets: what neither tiers nor profiles allow is denied."""
        return self in (Place.INGRESS, Place.EGRESS)

    @property
    def is_forward(self) -> bool:
        """Whether it is for packets between others."""
        return self in (Place.FORWARD_INGRESS, Place.FORWARD_EGRESS)

    @property
    def is_untracked(self) -> bool:
        """Whether it is before connection tracking, so that replies are judged like everything else."""
        return self in (Place.UNTRACKED_INGRESS, Place.UNTRACKED_EGRESS)


class HostEndpoint(msgspec.Struct, frozen=True, gc=False):
    """One interface of this node, or all that nobody else guards.

    Args:
        interface: name of the interface, WILDCARD, or empty: whichever has one of the `expected` addresses.
        expected: addresses, each of full length.
        ingress, egress: for the host's own processes; the profiles decide what no tier does.
        forward_ingress, forward_egress: for what is forwarded.
        pre_dnat: for all that arrives, with the destinations that the senders wrote.
        untracked_ingress, untracked_egress: for what shall not be tracked. Never of a wildcard.
    """

    name: HostEndpointName
    interface: str
    expected: tuple[Cidr, ...] = ()
    ingress: PolicyList = PolicyList()
    egress: PolicyList = PolicyList()
    forward_ingress: Tiers = ()
    forward_egress: Tiers = ()
    pre_dnat: Tiers = ()
    untracked_ingress: Tiers = ()
    untracked_egress: Tiers = ()

    def policies(self, place: Place) -> PolicyList:
        """What governs one place; without profiles where they do not count."""
        match place:
            case Place.INGRESS:
                return self.ingress
            case Place.EGRESS:
                return self.egress
            case Place.FORWARD_INGRESS:
                return PolicyList(self.forward_ingress)
            case Place.FORWARD_EGRESS:
                return PolicyList(self.forward_egress)
            case Place.PRE_DNAT:
                return PolicyList(self.pre_dnat)
            case Place.UNTRACKED_INGRESS:
                return PolicyList(self.untracked_ingress)
            case Place.UNTRACKED_EGRESS:
                return PolicyList(self.untracked_egress)

    def policy_ids(self) -> set[PolicyId]:
        """Every policy and profile that governs it somewhere."""
        return set[PolicyId]().union(*(self.policies(place).policy_ids() for place in Place))


class Guardians(msgspec.Struct, frozen=True):
    """Who guards which interface.

    Args:
        by_interface: those of single interfaces.
        wildcard: that of all others, but for loopback.
    """

    by_interface: Mapping[str, HostEndpoint]
    wildcard: HostEndpoint | None = None

    def of(self, interface: str) -> HostEndpoint | None:
        """Who guards an interface of the host, or of a workload of it."""
        found = self.by_interface.get(interface)
        return self.wildcard if found is None and interface != LOOPBACK else found


NOBODY = Guardians(MappingProxyType({}))
"""Without any host endpoint."""


def guardians(endpoints: Iterable[HostEndpoint], addresses: Mapping[str, Collection[Cidr]]) -> Guardians:
    """Who guards what: of several that claim an interface, by name or by address, the one whose name sorts first.

    Args:
        addresses: what each interface of the host has, of full length; not those of workloads.
    """
    found: dict[str, HostEndpoint] = {}
    wildcard = None
    for endpoint in sorted(endpoints, key=lambda one: one.name, reverse=True):
        if endpoint.interface == WILDCARD:
            wildcard = endpoint
        elif endpoint.interface:
            found[endpoint.interface] = endpoint
        else:
            expected = set(endpoint.expected)
            found |= {name: endpoint for name, held in addresses.items() if not expected.isdisjoint(held)}
    return Guardians(found, wildcard)
