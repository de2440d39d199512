"""Plans lead from any state to any other, in an order that a kernel accepts, and touch nothing that is right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables import chain_plan
from tortie.dataplane.nftables.layout import FIXED_SETS
from tortie.dataplane.nftables.model import Kernel, KernelRule
from tortie.dataplane.nftables.named_kinds import kind_of
from tortie.dataplane.nftables.operations import (
    ChangeElements,
    CreateChain,
    CreateSet,
    DeleteChain,
    DeleteSet,
    FillChain,
    Operation,
    PutHost,
    PutWorkload,
    evolve,
    leads,
)
from tortie.dataplane.nftables.planning import plan_all, plan_changes
from tortie.dataplane.nftables.renderings import Renderings
from tortie.dataplane.nftables.rules import policy_rules
from tortie.dataplane.nftables.sets import KINDS
from tortie.dataplane.nftables.settings import Settings
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import guardians
from tortie.desired.packed import difference, union
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.desired.sets import Members, SetChange
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.wire import as_text, attribute_list, attributes

States = Callable[[], st.SearchStrategy[DesiredState]]
SETTINGS = Settings()


class StrictKernel:
    """A kernel that refuses what the real one refuses."""

    def __init__(self) -> None:
        self.mirror = Kernel()
        self.names: dict[str, set[str]] = {}

    def apply(self, operations: list[Operation]) -> None:
        for operation in operations:
            self.check(operation)
            self.mirror = evolve(self.mirror, [operation])

    def check(self, operation: Operation) -> None:
        mirror = self.mirror
        match operation:
            case CreateSet(name):
                assert name not in mirror.sets
            case ChangeElements(name, added, removed, after):
                kind = kind_of(name)
                assert kind is not None
                old, width = mirror.sets[name].records, kind.width
                assert not difference(removed, old, width), "deletes what is not there"
                assert union(difference(old, removed, width), added, width) == after
            case DeleteSet(name):
                assert name in mirror.sets
                assert not any(name in named for named in self.names.values()), "deletes a set that rules name"
            case CreateChain(name):
                assert name not in mirror.chains
            case FillChain(name, rules):
                assert operation.flush or not mirror.chains[name].tags
                self.names[name] = {one for rule in rules for one in looked_up(rule.expressions)}
                private = {one.name for rule in rules for one in rule.sets}
                assert self.names[name] - private <= mirror.sets.keys() | FIXED_SETS.keys()
                assert all(rule.target in mirror.chains for rule in rules if rule.target)
            case PutWorkload(interface, old, new):
                assert mirror.workloads.get(interface) == old
                assert all(chain in mirror.chains for chain in leads(new))
            case PutHost(name, interface, old_chain, new_chain):
                assert name in mirror.sets
                assert mirror.hosts.get((name, interface), "") == old_chain
                assert not new_chain or new_chain in mirror.chains
            case DeleteChain(name):
                self.names.pop(name, None)
                assert not mirror.users[name], "deletes a chain that something leads to"


def looked_up(expressions: bytes) -> list[str]:
    found = [attributes(one) for _, one in attribute_list(expressions)]
    return [as_text(attributes(one[2])[1]) for one in found if one[1] in (b"lookup\0", b"dynset\0")]


def difference_between(old: DesiredState, new: DesiredState, exact: bool) -> Changes:
    changes = Changes()
    for set_id in old.sets.keys() | new.sets.keys():
        before, after = old.sets.get(set_id), new.sets.get(set_id)
        if before and after and exact:
            added, removed = gained(before.members, after.members), gained(after.members, before.members)
            half = Members(hosts4=added.hosts4), Members(hosts4=removed.hosts4)
            rest = [SetChange(set_id, without_hosts4(added), without_hosts4(removed)), SetChange(set_id, *half)]
            changes.set_changes[set_id] = rest if added or removed else []
        elif before != after:
            changes.sets.add(set_id)
    changes.policies = {
        one for one in old.policies.keys() | new.policies.keys() if old.policies.get(one) != new.policies.get(one)
    }
    changes.endpoints = {
        one for one in old.endpoints.keys() | new.endpoints.keys() if old.endpoints.get(one) != new.endpoints.get(one)
    }
    changes.host_endpoints = {
        one
        for one in old.host_endpoints.keys() | new.host_endpoints.keys()
        if old.host_endpoints.get(one) != new.host_endpoints.get(one)
    }
    changes.network = old.network != new.network
    return changes


def planned(
    desired: DesiredState, kernel: Kernel, changes: Changes | None = None, renderings: Renderings | None = None
) -> list[Operation]:
    """What a target would plan on a host where eth1 has 10.0.0.1."""
    guards = guardians(desired.host_endpoints.values(), {"eth1": {Cidr.parse("10.0.0.1")}})
    if changes is None:
        return plan_all(SETTINGS, desired, kernel, guards, renderings)
    return plan_changes(SETTINGS, desired, kernel, changes, guards if changes.host_endpoints else None, renderings)


def gained(old: Members, new: Members) -> Members:
    packed = {
        name: difference(getattr(new, name), getattr(old, name), KINDS[name].width)
        for name in ("hosts4", "hosts6", "ports4", "ports6")
    }
    nets = {
        name: tuple(one for one in getattr(new, name) if one not in getattr(old, name)) for name in ("nets4", "nets6")
    }
    return Members(**packed, **nets)


def without_hosts4(one: Members) -> Members:
    return Members(b"", one.hosts6, one.nets4, one.nets6, one.ports4, one.ports6)


@given(st.data(), st.booleans())
def test_a_change_leads_to_what_a_fresh_start_would_make(
    random_states: States, data: st.DataObject, exact: bool
) -> None:
    old, new = data.draw(random_states()), data.draw(random_states())
    for set_id in old.sets.keys() & new.sets.keys():
        assert old.sets[set_id].ports == new.sets[set_id].ports
    kernel, fresh = StrictKernel(), StrictKernel()
    kernel.apply(planned(old, Kernel()))
    kernel.apply(planned(new, copy.deepcopy(kernel.mirror), difference_between(old, new, exact)))
    fresh.apply(planned(new, Kernel()))
    for part in Kernel.__struct_fields__:
        assert getattr(kernel.mirror, part) == getattr(fresh.mirror, part), part
    assert planned(new, kernel.mirror) == []


def test_a_pass_that_can_never_match_leaves_no_trace_in_its_tier() -> None:
    never = Rule(Action.PASS, 0, None, 1, source=Side(ports=(PortRange(80, 80),)))
    assert planned_twice(never, Rule(Action.ALLOW, 0)) == planned_twice(Rule(Action.ALLOW, 0))


def planned_twice(*rules: Rule) -> Kernel:
    """What stands in the kernel after a policy of one rule, for one endpoint, had each of these."""
    policy, kernel, old = PolicyId("NetworkPolicy", "shop", "a"), StrictKernel(), DesiredState()
    endpoint = EndpointId("shop", "a")
    for rule in rules:
        new = DesiredState(policies={policy: Policy(policy, "default", (rule,))})
        governed = PolicyList((TierPolicies("default", (policy,), Action.DENY),))
        new.endpoints[endpoint] = Endpoint(endpoint, "cali1", (), governed, PolicyList(()))
        kernel.apply(planned(new, copy.deepcopy(kernel.mirror), difference_between(old, new, True)))
        old = new
    return kernel.mirror


@given(st.data())
def test_a_full_pass_leads_from_any_state_to_any_other_and_then_has_nothing_to_do(
    random_states: States, data: st.DataObject
) -> None:
    old, new = data.draw(random_states()), data.draw(random_states())
    kernel = StrictKernel()
    kernel.apply(planned(old, Kernel()))
    kernel.apply(planned(new, copy.deepcopy(kernel.mirror)))
    assert planned(new, kernel.mirror) == []


@settings(max_examples=settings.default.max_examples // 5)
@given(st.data())
def test_planning_changes_nothing(random_states: States, data: st.DataObject) -> None:
    old, new = data.draw(random_states()), data.draw(random_states())
    mirror = evolve(Kernel(), planned(old, Kernel()))
    before = copy.deepcopy(mirror)
    planned(new, mirror)
    planned(new, mirror, difference_between(old, new, True))
    assert mirror == before


@given(st.data(), st.booleans())
def test_what_was_rendered_before_makes_no_difference(random_states: States, data: st.DataObject, exact: bool) -> None:
    states = data.draw(st.lists(random_states(), min_size=2, max_size=4))
    renderings, kernel, old = Renderings(), StrictKernel(), DesiredState()
    for new in states:
        for changes in (difference_between(old, new, exact), None) if kernel.mirror.present else (None,):
            expected = planned(new, copy.deepcopy(kernel.mirror), changes)
            assert planned(new, copy.deepcopy(kernel.mirror), changes, renderings) == expected
        kernel.apply(planned(new, copy.deepcopy(kernel.mirror), None, renderings))
        old = new


def test_policies_that_are_the_same_are_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[PolicyId] = []

    def render(chain: str, policy: Policy, *rest: Any) -> tuple[KernelRule, ...]:
        rendered.append(policy.id)
        return policy_rules(chain, policy, *rest)

    monkeypatch.setattr(chain_plan, "policy_rules", render)
    policies = [PolicyId("GlobalNetworkPolicy", "", name) for name in "abc"]
    state = DesiredState(policies={one: Policy(one, "default", (Rule(Action.ALLOW, 0),)) for one in policies})
    kernel, renderings = StrictKernel(), Renderings()
    kernel.apply(planned(state, Kernel(), None, renderings))
    assert set(rendered) == set(policies)
    rendered.clear()
    assert planned(state, kernel.mirror, None, renderings) == []
    assert rendered == []
    state.policies[policies[1]] = Policy(policies[1], "default", (Rule(Action.DENY, 0),))
    assert planned(state, kernel.mirror, None, renderings)
    assert set(rendered) == {policies[1]}
