"""Staged policies: they decide nothing, and what they would decide can be asked."""

from __future__ import annotations

import pytest

from tortie.api.policy import NetworkPolicy
from tortie.api.resource import Metadata
from tortie.api.rules import Rule
from tortie.api.stagedkubernetespolicy import (
    IngressRule,
    LabelSelector,
    StagedKubernetesNetworkPolicy,
    StagedKubernetesNetworkPolicySpec,
)
from tortie.api.stagedpolicy import (
    StagedGlobalNetworkPolicy,
    StagedGlobalNetworkPolicySpec,
    StagedNetworkPolicy,
    StagedNetworkPolicySpec,
)
from tortie.calculation.setindex import SetIndex
from tortie.calculation.staged import becomes, staged
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.policy import Action, Direction, PolicyId, PolicyList

PACKET = Packet(4, 6, 1, 2, 40000, 80)
ALLOW, DENY = Rule(action="Allow"), Rule(action="Deny")


def stage(name: str, *rules: Rule, action: str = "", order: float | None = None) -> StagedNetworkPolicy:
    spec = StagedNetworkPolicySpec(staged_action=action, ingress=rules, types=("Ingress",), order=order)
    return StagedNetworkPolicy(metadata=Metadata(name=name, namespace="shop"), spec=spec)


class Pod:
    """One endpoint whose profile allows everything."""

    def __init__(self, make, world) -> None:  # type: ignore[no-untyped-def]
        self.world = world
        world.put(make.endpoint("a", "10.0.0.1"), make.profile(ingress=(ALLOW,)))

    @property
    def ingress(self) -> PolicyList:
        (endpoint,) = self.world.state.endpoints.values()
        return endpoint.ingress

    def verdicts(self) -> tuple[Action, Action]:
        """What is, and what would be."""
        return tuple(
            evaluate(each, Direction.INGRESS, PACKET, self.world.state.policies, SetIndex()).action
            for each in (self.ingress, self.ingress.if_enforced())
        )


@pytest.fixture
def pod(make, world) -> Pod:  # type: ignore[no-untyped-def]
    return Pod(make, world)


def test_a_staged_policy_decides_nothing(pod) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(stage("deny", DENY))
    assert not pod.ingress.tiers
    assert pod.verdicts() == (Action.ALLOW, Action.DENY)


def test_nothing_is_pending_where_nothing_is_staged(pod, make) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(make.policy("a", ingress=(ALLOW,)))
    assert pod.ingress.pending is None
    assert pod.ingress.if_enforced() is pod.ingress


def test_the_end_of_a_tier_that_would_come_to_be_is_pending(pod) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(stage("nothing-matches"))
    assert pod.verdicts() == (Action.ALLOW, Action.DENY)


def test_a_staged_policy_takes_the_place_of_the_policy_of_its_name(pod, make) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(make.policy("web", ingress=(DENY,), order=1.0), stage("web", ALLOW))
    assert pod.verdicts() == (Action.DENY, Action.ALLOW)
    (tier,) = pod.ingress.pending
    assert tier.policies == (PolicyId("StagedNetworkPolicy", "shop", "web"),)


def test_a_staged_policy_stands_where_it_would_stand(pod, make) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(make.policy("b", ingress=(ALLOW,), order=2.0), stage("c", order=2.0), stage("a", order=2.0))
    (tier,) = pod.ingress.pending
    assert [policy.name for policy in tier.policies] == ["a", "b", "c"]


def test_a_staged_deletion_takes_the_policy_away(pod, make) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(make.policy("web", ingress=(DENY,)))
    pod.world.go(stage("web", action="Delete"))
    assert pod.verdicts() == (Action.DENY, Action.ALLOW)
    pod.world.remove(stage("web"))
    pod.world.flush()
    assert pod.ingress.pending is None


@pytest.mark.parametrize(("action", "pending"), [("Set", True), ("Learn", True), ("Ignore", False)])
def test_marks_of_tools(pod, action: str, pending: bool) -> None:  # type: ignore[no-untyped-def]
    pod.world.go(stage("deny", DENY, action=action))
    assert (pod.ingress.pending is not None) == pending


def test_a_global_policy_for_hosts_is_not_pending_for_workloads(pod) -> None:  # type: ignore[no-untyped-def]
    spec = StagedGlobalNetworkPolicySpec(pre_dnat=True, apply_on_forward=True, ingress=(DENY,), types=("Ingress",))
    pod.world.go(StagedGlobalNetworkPolicy(metadata=Metadata(name="early"), spec=spec))
    assert pod.ingress.pending is None


def kubernetes(**spec: object) -> StagedKubernetesNetworkPolicy:
    metadata = Metadata(name="web", namespace="shop")
    return StagedKubernetesNetworkPolicy(metadata=metadata, spec=StagedKubernetesNetworkPolicySpec(**spec))


def test_a_staged_kubernetes_policy_becomes_what_its_conversion_is() -> None:
    found = staged(kubernetes(pod_selector=LabelSelector(match_labels={"a": "b"}), ingress=(IngressRule(),)))
    assert found is not None
    assert found.target == PolicyId("NetworkPolicy", "shop", "knp.default.web")
    assert isinstance(found.policy, NetworkPolicy)
    assert found.policy.spec.types == ("Ingress",)
    assert "a == 'b'" in found.policy.spec.selector
    assert [rule.action for rule in found.policy.spec.ingress] == ["Allow"]


def test_what_cannot_be_converted_is_told_and_not_pending(pod) -> None:  # type: ignore[no-untyped-def]
    broken = kubernetes(pod_selector=LabelSelector(match_labels={"a b": "c"}))
    pod.world.go(broken)
    assert broken.key in pod.world.calculation.problems.current
    assert pod.ingress.pending is None


def test_other_policies_become_nothing_else() -> None:
    web = PolicyId("NetworkPolicy", "shop", "web")
    assert becomes(web) == web
