"""Work is proportional to the change: counted, not timed, and the same among few endpoints as among very many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tortie.api.resource import Resource, ResourceKey
from tortie.calculation.graph import Calculation, Work
from tortie.desired.delta import Delta

pytestmark = pytest.mark.thorough

APPS = 100
SIZES = (1_000, 100_000)


class Large:
    """A cluster of as many endpoints elsewhere, a set for each app that they are of, and ten endpoints here."""

    def __init__(self, make: Any, size: int) -> None:
        self.make = make
        self.size = size
        self.calculation = Calculation("here")
        for app in range(APPS):
            self.put(self.policy(app))
        for number in range(size):
            self.put(self.endpoint(number))
        for number in range(10):
            self.put(make.endpoint(f"local{number}", f"10.255.0.{number}", labels={"app": "web"}, node="here"))
        self.calculation.set_in_sync()
        self.calculation.flush()

    def policy(self, app: int) -> Resource:
        """Who may reach everything here, and a condition that one label in ten decides."""
        rule = self.make.allow(source=self.make.Entity(selector=f"app == 'app{app}' && role == 'role{app % 10}'"))
        made: Resource = self.make.policy(f"from{app}", ingress=(rule,))
        return made

    def endpoint(self, number: int, app: int | None = None) -> Resource:
        labels = {"app": f"app{number % APPS if app is None else app}", "role": f"role{number % 10}", "n": str(number)}
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        made: Resource = self.make.endpoint(f"e{number}", address, labels=labels, node="there")
        return made

    def put(self, resource: Resource) -> None:
        self.calculation.update(resource.key, resource)

    def change(self, *resources: Resource, gone: ResourceKey | None = None) -> tuple[Work, Delta]:
        """What some changes cost, and what came of them."""
        before = self.calculation.work
        for resource in resources:
            self.put(resource)
        if gone:
            self.calculation.update(gone, None)
        delta = self.calculation.flush()
        after = self.calculation.work
        spent = {name: getattr(after, name) - getattr(before, name) for name in Work.__struct_fields__}
        return Work(**spent), delta


@pytest.fixture(scope="module", params=SIZES)
def large(request: pytest.FixtureRequest, make: Any) -> Iterator[Large]:
    yield Large(make, request.param)


def test_a_new_endpoint_is_compared_only_with_selectors_that_want_its_rarest_label(large: Large) -> None:
    work, delta = large.change(large.endpoint(large.size))
    assert work == Work(touched=1, set_evaluations=1, policy_evaluations=0, endpoints=0)
    (change,) = delta.set_changes
    assert (len(change.added.hosts4), len(change.removed.hosts4)) == (4, 0)
    assert msgspec.structs.replace(delta, set_changes=()) == Delta()


def test_an_endpoint_with_another_label_leaves_one_set_and_joins_another(large: Large) -> None:
    work, delta = large.change(large.endpoint(7, app=17))
    assert work == Work(touched=1, set_evaluations=2, policy_evaluations=0, endpoints=0)
    assert [(len(one.added.hosts4), len(one.removed.hosts4)) for one in delta.set_changes] in (
        [(4, 0), (0, 4)],
        [(0, 4), (4, 0)],
    )
    work, _ = large.change(large.endpoint(7))
    assert work.set_evaluations == 2


def test_an_endpoint_that_is_gone_is_taken_out_of_its_set_only(large: Large) -> None:
    work, delta = large.change(gone=large.endpoint(500).key)
    assert work == Work(touched=1, set_evaluations=1, policy_evaluations=0, endpoints=0)
    (change,) = delta.set_changes
    assert (len(change.added.hosts4), len(change.removed.hosts4)) == (0, 4)
    large.change(large.endpoint(500))


def test_an_endpoint_that_no_rule_means_costs_no_evaluation(large: Large) -> None:
    stranger = large.make.endpoint("stranger", "10.254.0.1", labels={"app": "unknown", "n": "x"}, node="there")
    work, delta = large.change(stranger)
    assert (work, delta) == (Work(touched=1, set_evaluations=0, policy_evaluations=0, endpoints=0), Delta())
    large.change(gone=stranger.key)


def test_a_policy_of_one_endpoint_here_touches_that_one(large: Large) -> None:
    chosen = large.make.endpoint("chosen", "10.255.1.1", labels={"app": "chosen"}, node="here")
    large.change(chosen)
    policy = large.make.policy("of-one", selector="app == 'chosen'", ingress=(large.make.allow(),))
    work, delta = large.change(policy)
    assert work == Work(touched=0, set_evaluations=0, policy_evaluations=1, endpoints=1)
    assert [one.id.name for one in delta.endpoints] == ["chosen"]
    assert len(delta.policies) == 1
    large.change(gone=policy.key)
    large.change(gone=chosen.key)


def test_another_rule_of_a_policy_of_everybody_sends_the_policy_and_one_set(large: Large) -> None:
    policy = large.policy(3)
    selector = "app == 'app4' && role == 'role4'"
    changed = large.make.policy("from3", ingress=(large.make.allow(source=large.make.Entity(selector=selector)),))
    work, delta = large.change(changed)
    assert (work.touched, work.set_evaluations) == (0, 0), "that set exists"
    assert (len(delta.policies), len(delta.endpoints), len(delta.removed_sets)) == (1, 0, 1)
    large.change(policy)


def test_a_label_of_a_namespace_of_few_leads_to_selectors_that_want_what_those_have(large: Large) -> None:
    inherits = large.make.endpoint("heir", "10.254.0.2", labels={"app": "app1"}, node="there", profiles=("kns.one",))
    large.change(inherits)
    profile = large.make.profile("kns.one", labels={"role": "role1"})
    work, delta = large.change(profile)
    assert work == Work(touched=1, set_evaluations=1, policy_evaluations=0, endpoints=0)
    (change,) = delta.set_changes
    assert len(change.added.hosts4) == 4
    large.change(gone=profile.key)
    large.change(gone=inherits.key)


def test_a_label_of_a_namespace_of_many_is_not_looked_up_one_by_one(large: Large) -> None:
    profile = large.make.profile("kns.shop", labels={"shop": "yes"})
    work, delta = large.change(profile)
    assert work == Work(touched=0, set_evaluations=0, policy_evaluations=0, endpoints=0)
    assert delta == Delta()
    large.change(gone=profile.key)
