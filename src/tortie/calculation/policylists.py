"""What governs endpoints, place by place; those that the same policies select share the work and the result."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from tortie.calculation.policies import ActivePolicies, Kind
from tortie.calculation.profiles import profile_id
from tortie.desired.hosts import Tiers
from tortie.desired.policy import Action, Direction, PolicyId, PolicyList, Stage

Profiles = tuple[str, ...]


class HostLists(msgspec.Struct, frozen=True, gc=False):
    """As in `tortie.desired.hosts.HostEndpoint`, whose fields these are."""

    ingress: PolicyList
    egress: PolicyList
    forward_ingress: Tiers
    forward_egress: Tiers
    pre_dnat: Tiers
    untracked_ingress: Tiers
    untracked_egress: Tiers


class PolicyLists:
    """Policy lists of one flush."""

    def __init__(self, policies: ActivePolicies) -> None:
        self._policies = policies
        self._ordering = policies.ordering
        self._tiers: dict[Kind, tuple[PolicyList, PolicyList]] = {}
        self._workloads: dict[tuple[Kind, Profiles], tuple[PolicyList, PolicyList]] = {}
        self._hosts: dict[tuple[Kind, Profiles], HostLists] = {}

    def of_workload(self, item: int, profiles: Profiles) -> tuple[PolicyList, PolicyList]:
        """Ingress and egress."""
        key = (self._policies.kind_of(item), profiles)
        if key not in self._workloads:
            self._workloads[key] = self._normal(*key)
        return self._workloads[key]

    def of_host(self, item: int, profiles: Profiles) -> HostLists:
        """All lists of a host endpoint."""
        key = (self._policies.kind_of(item), profiles)
        if key not in self._hosts:
            self._hosts[key] = self._of_host(*key)
        return self._hosts[key]

    def _of_host(self, kind: Kind, profiles: Profiles) -> HostLists:
        normal = self._policies.matching(kind, Stage.NORMAL)
        forward = {policy for policy in normal if self._ordering.policies[policy].on_forward}
        untracked = self._policies.matching(kind, Stage.UNTRACKED)
        pre_dnat = self._policies.matching(kind, Stage.PRE_DNAT)
        ingress, egress = self._normal(kind, profiles)
        return HostLists(
            ingress=ingress,
            egress=egress,
            forward_ingress=self._ordering.tiers_of(forward, Direction.INGRESS),
            forward_egress=self._ordering.tiers_of(forward, Direction.EGRESS),
            pre_dnat=self._ordering.tiers_of(pre_dnat, Direction.INGRESS, Action.PASS),
            untracked_ingress=self._ordering.tiers_of(untracked, Direction.INGRESS, Action.PASS),
            untracked_egress=self._ordering.tiers_of(untracked, Direction.EGRESS, Action.PASS),
        )

    def _normal(self, kind: Kind, profiles: Profiles) -> tuple[PolicyList, PolicyList]:
        """Ingress and egress; endpoints of a kind with other profiles share the tiers."""
        if kind not in self._tiers:
            enforced, pending = self._policies.matching(kind, Stage.NORMAL), self._policies.pending(kind)
            ingress, egress = (self._list(enforced, pending, way) for way in (Direction.INGRESS, Direction.EGRESS))
            self._tiers[kind] = ingress, egress
        ids = tuple(profile_id(name) for name in profiles)
        ingress, egress = self._tiers[kind]
        return msgspec.structs.replace(ingress, profiles=ids), msgspec.structs.replace(egress, profiles=ids)

    def _list(self, enforced: Set[PolicyId], pending: Set[PolicyId], way: Direction) -> PolicyList:
        """Without profiles; with what would be there if all that is staged were enforced, where that is different."""
        tiers = self._ordering.tiers_of(enforced, way)
        others = tiers if pending == enforced else self._ordering.tiers_of(pending, way)
        return PolicyList(tiers) if tiers == others else PolicyList(tiers, pending=others)
