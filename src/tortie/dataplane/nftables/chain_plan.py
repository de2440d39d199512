"""The part of a plan that concerns chains and their rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from tortie.dataplane.nftables import pending
from tortie.dataplane.nftables.chains import (
    Seat,
    depth,
    direction_of,
    endpoint_chain,
    endpoint_origin,
    endpoint_rules,
    is_shared,
    list_policies,
    policy_chain,
    tier_chain,
    tier_origin,
    tier_rules,
)
from tortie.dataplane.nftables.host_layout import HOST_HOOKS, failsafe_rules, host_base_rules
from tortie.dataplane.nftables.layout import HOOKS, base_rules
from tortie.dataplane.nftables.model import Kernel, KernelRule
from tortie.dataplane.nftables.network_layout import NETWORK_HOOKS, network_rules
from tortie.dataplane.nftables.operations import (
    CreateChain,
    DeleteChain,
    FillChain,
    Operation,
    PutHost,
    PutWorkload,
    leads,
    targets,
)
from tortie.dataplane.nftables.renderings import Listener, Renderings
from tortie.dataplane.nftables.rules import Rendered, can_match, passes, policy_rules
from tortie.dataplane.nftables.set_plan import SetPlan
from tortie.dataplane.nftables.settings import Settings
from tortie.desired.hosts import Place
from tortie.desired.policy import Action, Direction, PolicyId, PolicyList, TierPolicies
from tortie.desired.state import DesiredState


class ChainPlan:
    """Collects operations on chains.

    Attributes:
        base: base chains for workloads.
        optional: base chains that are not always there, which may lead to other chains and name sets.
        created, filled: the other chains.
        deleted: chains to which nothing leads.
    """

    def __init__(
        self, settings: Settings, desired: DesiredState, kernel: Kernel, sets: SetPlan, renderings: Renderings
    ) -> None:
        self._settings = settings
        self._desired = desired
        self._kernel = kernel
        self._sets = sets
        self._renderings = renderings
        self._wanted: set[str] = set(HOOKS.keys() - HOST_HOOKS.keys() - NETWORK_HOOKS.keys())
        self.base: list[Operation] = []
        self.optional: list[Operation] = []
        self.created: list[Operation] = []
        self.filled: list[FillChain] = []
        self.deleted: list[DeleteChain] = []

    def put_base(self) -> None:
        """The base chains for workloads, and the chains of failsafes."""
        for origin, direction, rules in base_rules(self._settings):
            self._put_base(self.base, origin, direction, rules)
        for origin, direction, rules in failsafe_rules(self._settings):
            self._put(origin.name, rules, origin, direction)

    def put_host_base(self, used: Collection[Place], wildcard: Mapping[Place, str]) -> None:
        """The base chains for hosts, see `host_base_rules`."""
        self._put_optional(host_base_rules(self._settings, used, wildcard))

    def put_network(self) -> None:
        """The base chains that the network needs."""
        self._put_optional(network_rules(self._settings, self._desired))

    def put_policies(self, policies: Iterable[PolicyId]) -> None:
        """Chains of policies."""
        for policy in sorted(policies):
            if policy in self._desired.policies and not policy.is_staged:
                for direction in Direction:
                    self._put_policy(policy, direction)

    def refill_pending(self, policies: Iterable[PolicyId]) -> None:
        """The chains of policies that the kernel has for counting what is staged."""
        for policy in sorted(policies):
            for direction in Direction:
                if pending.policy_chain(policy, direction) in self._kernel.chains:
                    self._put_pending_policy(policy, direction)

    def put_list(self, policies: PolicyList, seat: Seat) -> str:
        """The chain for a list of policies, with all that it leads to; returns its name."""
        chain, direction = endpoint_chain(policies, seat), direction_of(seat)
        if chain not in self._wanted:
            rules = endpoint_rules(chain, policies, seat, self._settings)
            self._put(chain, rules, endpoint_origin(seat), direction)
            for tier in policies.tiers:
                self._put_tier(tier, direction)
            for policy in list_policies(policies):
                if policy not in self._desired.policies:
                    self._put(policy_chain(policy, direction), (), policy, direction)
            self._put_pending(policies, direction)
        return chain

    def known_list(self, policies: PolicyList, seat: Seat) -> str:
        """As `put_list`, but nothing is looked at when the kernel has the chain already."""
        chain = endpoint_chain(policies, seat)
        return chain if chain in self._kernel.chains else self.put_list(policies, seat)

    def put_turned(self, policies: Iterable[PolicyId]) -> None:
        """Tiers with policies that began or ceased to pass: their rules say so, their names do not."""
        turned = {(one, direction) for one in policies for direction in Direction if self._turned(one, direction)}
        for tier, direction in self._tiers() if turned else ():
            is_there = tier_chain(tier, direction) in self._kernel.chains
            if is_there and any((policy, direction) in turned for policy in tier.policies):
                self._put_tier(tier, direction)

    def remove_unwanted(self) -> None:
        """Every chain in the kernel that was not put."""
        unwanted = [name for name in self._kernel.chains if name not in self._wanted]
        self.deleted = [DeleteChain(name) for name in sorted(unwanted, key=depth)]

    def release(self, interfaces: Iterable[PutWorkload | PutHost], policies: Iterable[PolicyId]) -> None:
        """Chains to which nothing leads after this plan, and then those to which only they led."""
        users = self._gained(interfaces)
        for chain in [name for name in users if is_shared(name)]:
            self._release(chain, users)
        for policy in sorted(policies):
            if policy not in self._desired.policies:
                for direction in Direction:
                    self._release_policy(policy, direction, users)

    def _put_optional(self, chains: Iterable[Rendered]) -> None:
        """Base chains; those without rules are not wanted."""
        for origin, direction, rules in chains:
            if rules:
                self._wanted.add(origin.name)
                self._put_base(self.optional, origin, direction, rules)
            elif origin.name in self._kernel.chains:
                self.deleted.append(DeleteChain(origin.name))

    def _put_base(
        self, plan: list[Operation], origin: PolicyId, direction: Direction, rules: tuple[KernelRule, ...]
    ) -> None:
        old = self._kernel.chains.get(origin.name)
        if old is None:
            plan.append(CreateChain(origin.name, HOOKS[origin.name]))
        if _tags(rules) != (old.tags if old else ()):
            plan.append(FillChain(origin.name, rules, origin, direction, old is not None))

    def _put_policy(self, policy: PolicyId, direction: Direction) -> None:
        chain, wanted = policy_chain(policy, direction), self._desired.policies[policy]
        there = self._kernel.chains.get(chain)
        if there and there.tags == self._renderings.tags(wanted, direction, self._sets, self._settings):
            self._wanted.add(chain)
            return
        listener = Listener(self._sets)
        rules = policy_rules(chain, wanted, direction, listener, self._settings)
        self._renderings.remember(wanted, direction, listener, self._settings, _tags(rules))
        self._put(chain, rules, policy, direction)

    def _put_tier(self, tier: TierPolicies, direction: Direction) -> None:
        chain = tier_chain(tier, direction)
        if chain not in self._wanted:
            passing = {policy for policy in tier.policies if self._can_pass(policy, direction)}
            self._put(chain, tier_rules(tier, direction, passing, self._settings), tier_origin(tier), direction)

    def _put_pending(self, policies: PolicyList, direction: Direction) -> None:
        """What the chain of a list leads to for counting what is staged."""
        section = pending.section(policies)
        if section is None:
            return
        chain = pending.list_chain(section.tiers, direction)
        origin = PolicyId("Pending", "", "list")
        self._put(chain, pending.list_rules(section.tiers, direction, self._settings), origin, direction)
        for tier in section.tiers:
            rules = pending.tier_rules(tier, direction, self._settings)
            self._put(pending.tier_chain(tier, direction), rules, pending.tier_origin(tier), direction)
            for policy in tier.policies:
                self._put_pending_policy(policy, direction)

    def _put_pending_policy(self, policy: PolicyId, direction: Direction) -> None:
        found = self._desired.policies.get(policy)
        rules = pending.policy_rules(found, direction, self._sets, self._settings) if found else ()
        self._put(pending.policy_chain(policy, direction), rules, policy, direction)

    def _put(self, chain: str, rules: tuple[KernelRule, ...], origin: PolicyId, direction: Direction) -> None:
        if chain in self._wanted:
            return
        self._wanted.add(chain)
        old = self._kernel.chains.get(chain)
        if old is None:
            self.created.append(CreateChain(chain))
        if _tags(rules) != (old.tags if old else ()):
            self.filled.append(FillChain(chain, rules, origin, direction, old is not None))

    def _can_pass(self, policy: PolicyId, direction: Direction) -> bool:
        found = self._desired.policies.get(policy)
        return found is not None and any(
            rule.action is Action.PASS and can_match(rule, self._sets) for rule in found.rules(direction)
        )

    def _turned(self, policy: PolicyId, direction: Direction) -> bool:
        """Whether a policy that the kernel has began or ceased to pass."""
        old = self._kernel.chains.get(policy_chain(policy, direction))
        return old is not None and passes(old.tags) != self._can_pass(policy, direction)

    def _tiers(self) -> Iterator[tuple[TierPolicies, Direction]]:
        for host in self._desired.host_endpoints.values():
            for place in Place:
                yield from ((tier, place.direction) for tier in host.policies(place).tiers)
        for endpoint in self._desired.endpoints.values():
            for direction, policies in ((Direction.INGRESS, endpoint.ingress), (Direction.EGRESS, endpoint.egress)):
                for tier in policies.tiers:
                    yield tier, direction

    def _gained(self, interfaces: Iterable[PutWorkload | PutHost]) -> Counter[str]:
        """By how much the number of rules and map elements that lead to each chain changes."""
        users: Counter[str] = Counter()
        for one in interfaces:
            users.subtract(leads(one.old))
            users.update(leads(one.new))
        for gone in self.deleted:
            users.subtract(self._kernel.chains[gone.name].targets)
        for filled in (*self.filled, *(one for one in self.optional if isinstance(one, FillChain))):
            old = self._kernel.chains.get(filled.name)
            users.subtract(old.targets if old else ())
            users.update(targets(filled.rules))
        return users

    def _release(self, chain: str, users: Counter[str]) -> bool:
        """Delete a chain if nothing leads to it; returns whether it is gone."""
        if chain not in self._kernel.chains:
            return True
        if self._kernel.users[chain] + users[chain] or DeleteChain(chain) in self.deleted:
            return False
        self.deleted.append(DeleteChain(chain))
        filled = {one.name: targets(one.rules) for one in self.filled}
        led_to = filled.get(chain, self._kernel.chains[chain].targets)
        users.subtract(led_to)
        for target in led_to:
            if is_shared(target):
                self._release(target, users)
        return True

    def _release_policy(self, policy: PolicyId, direction: Direction, users: Counter[str]) -> None:
        """A policy that is still named somewhere keeps an empty chain."""
        chain = policy_chain(policy, direction)
        if not self._release(chain, users):
            self._put(chain, (), policy, direction)


def _tags(rules: Iterable[KernelRule]) -> tuple[bytes, ...]:
    return tuple(rule.tag for rule in rules)
