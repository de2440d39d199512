"""What governs endpoints, place by place; those that the same policies select share the work and the result."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tortie.calculation.policies import ActivePolicies
from tortie.calculation.profiles import profile_id
from tortie.desired.hosts import Tiers
from tortie.desired.policy import Action, Direction, PolicyId, PolicyList, Stage

Profiles = tuple[str, ...]
Key = tuple[frozenset[PolicyId], Profiles]


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
        self._workloads: dict[tuple[Key, frozenset[PolicyId]], tuple[PolicyList, PolicyList]] = {}
        self._hosts: dict[tuple[Key, frozenset[PolicyId]], HostLists] = {}

    def of_workload(self, item: int, profiles: Profiles) -> tuple[PolicyList, PolicyList]:
        """Ingress and egress."""
        enforced = self._key(item, Stage.NORMAL, profiles)
        pending = frozenset(self._policies.pending(item))
        key = (enforced, pending)
        if key not in self._workloads:
            self._workloads[key] = self._with_pending(self._normal(enforced), pending)
        return self._workloads[key]

    def of_host(self, item: int, profiles: Profiles) -> HostLists:
        """All lists of a host endpoint."""
        enforced = (frozenset[PolicyId]().union(*(self._key(item, stage, ())[0] for stage in Stage)), profiles)
        key = (enforced, frozenset(self._policies.pending(item)))
        if key not in self._hosts:
            self._hosts[key] = self._of_host(item, profiles)
        return self._hosts[key]

    def _of_host(self, item: int, profiles: Profiles) -> HostLists:
        normal = self._key(item, Stage.NORMAL, profiles)
        forward = {policy for policy in normal[0] if self._ordering.policies[policy].on_forward}
        untracked = self._key(item, Stage.UNTRACKED, ())[0]
        pre_dnat = self._key(item, Stage.PRE_DNAT, ())[0]
        ingress, egress = self._with_pending(self._normal(normal), frozenset(self._policies.pending(item)))
        return HostLists(
            ingress=ingress,
            egress=egress,
            forward_ingress=self._ordering.tiers_of(forward, Direction.INGRESS),
            forward_egress=self._ordering.tiers_of(forward, Direction.EGRESS),
            pre_dnat=self._ordering.tiers_of(pre_dnat, Direction.INGRESS, Action.PASS),
            untracked_ingress=self._ordering.tiers_of(untracked, Direction.INGRESS, Action.PASS),
            untracked_egress=self._ordering.tiers_of(untracked, Direction.EGRESS, Action.PASS),
        )

    def _normal(self, key: Key) -> tuple[PolicyList, PolicyList]:
        policies, names = key
        profiles = tuple(profile_id(name) for name in names)
        return (
            PolicyList(self._ordering.tiers_of(policies, Direction.INGRESS), profiles),
            PolicyList(self._ordering.tiers_of(policies, Direction.EGRESS), profiles),
        )

    def _with_pending(
        self, enforced: tuple[PolicyList, PolicyList], policies: frozenset[PolicyId]
    ) -> tuple[PolicyList, PolicyList]:
        """The lists, each with what would be there if all that is staged were enforced, where that is different."""
        ingress, egress = enforced
        return self._pending(ingress, policies, Direction.INGRESS), self._pending(egress, policies, Direction.EGRESS)

    def _pending(self, enforced: PolicyList, policies: frozenset[PolicyId], way: Direction) -> PolicyList:
        tiers = self._ordering.tiers_of(policies, way)
        return enforced if tiers == enforced.tiers else PolicyList(enforced.tiers, enforced.profiles, tiers)

    def _key(self, item: int, stage: Stage, profiles: Iterable[str]) -> Key:
        return frozenset(self._policies.matching(item, stage)), tuple(profiles)
