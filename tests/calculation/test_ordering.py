"""Tiers and policies in order, per direction."""

from __future__ import annotations

from tortie.api.policy import GlobalNetworkPolicySpec, NetworkPolicySpec
from tortie.calculation.ordering import Ordering, TierRank, policy_rank, tier_rank
from tortie.desired.policy import Action, Direction, PolicyId, Stage, TierPolicies

INGRESS = Direction.INGRESS


def ordering(*policies: tuple[str, NetworkPolicySpec], **tiers: TierRank) -> Ordering:
    made = Ordering()
    made.tiers = dict(tiers)
    for text, spec in policies:
        made.put(identity(text), policy_rank(spec))
    return made


def identity(text: str) -> PolicyId:
    kind, namespace, name = text.split("/")
    return PolicyId(kind, namespace, name)


def names(tiers: tuple[TierPolicies, ...]) -> dict[str, list[str]]:
    return {tier.name: [policy.name for policy in tier.policies] for tier in tiers}


def spec(order: float | None = None, tier: str = "", types: tuple[str, ...] = ()) -> NetworkPolicySpec:
    return NetworkPolicySpec(order=order, tier=tier, types=types)


def test_policies_go_by_order_and_those_without_one_come_last() -> None:
    made = ordering(("N//a", spec()), ("N//b", spec(20)), ("N//c", spec(10)))
    assert names(made.tiers_of(made.policies, INGRESS)) == {"default": ["c", "b", "a"]}


def test_equal_orders_go_by_name_then_namespace_then_kind() -> None:
    made = ordering(("A/z/b", spec(1)), ("B/y/b", spec(1)), ("Z/z/a", spec(1)), ("B/z/b", spec(1)))
    (tier,) = made.tiers_of(made.policies, INGRESS)
    assert [str(policy) for policy in tier.policies] == ["Z z/a", "B y/b", "A z/b", "B z/b"]


def test_tiers_go_by_order_then_name_and_unknown_ones_come_last() -> None:
    made = ordering(
        *((f"N//{tier}", spec(tier=tier)) for tier in ("unknown", "late", "kube-baseline", "early", "", "b", "a")),
        late=TierRank(2e7, Action.PASS),
        early=TierRank(1, Action.DENY),
        a=TierRank(1_000_000, Action.DENY),
        b=TierRank(1_000_000, Action.DENY),
    )
    listed = made.tiers_of(made.policies, INGRESS)
    assert list(names(listed)) == ["early", "a", "b", "default", "kube-baseline", "late", "unknown"]
    actions = [tier.default_action.value for tier in listed]
    assert actions == ["Deny", "Deny", "Deny", "Deny", "Pass", "Pass", "Deny"]


def test_a_tier_appears_only_in_directions_that_one_of_its_policies_governs() -> None:
    made = ordering(("N//in", spec(types=("Ingress",))), ("N//both", spec(tier="kube-admin")))
    egress = made.tiers_of(made.policies, Direction.EGRESS)
    assert egress == (TierPolicies("kube-admin", (identity("N//both"),), Action.PASS),)
    assert names(made.tiers_of(made.policies, INGRESS)) == {"kube-admin": ["both"], "default": ["in"]}


def test_an_end_can_take_the_place_of_default_actions() -> None:
    made = ordering(("N//a", spec()), ("N//b", spec(tier="t")), t=TierRank(1, Action.DENY))
    assert {tier.default_action for tier in made.tiers_of(made.policies, INGRESS, Action.PASS)} == {Action.PASS}


def test_stages_follow_from_the_spec() -> None:
    assert policy_rank(spec()).stage is Stage.NORMAL
    assert policy_rank(GlobalNetworkPolicySpec(apply_on_forward=True)).on_forward
    assert policy_rank(GlobalNetworkPolicySpec(do_not_track=True)).directions == tuple(Direction)
    before = policy_rank(GlobalNetworkPolicySpec(pre_dnat=True))
    assert (before.stage, before.directions) == (Stage.PRE_DNAT, (INGRESS,))
    assert policy_rank(GlobalNetworkPolicySpec(pre_dnat=True, types=("Egress",))).directions == ()


def test_a_tier_without_an_order_stands_with_the_default_tier(make) -> None:  # type: ignore[no-untyped-def]
    assert tier_rank(make.tier("t")) == TierRank(1_000_000.0, Action.DENY)
    assert tier_rank(make.tier("t", 5, "Pass")) == TierRank(5, Action.PASS)
    assert tier_rank(make.tier("t", 5, "Nonsense")).default_action is Action.DENY
