"""What the selectors of policies and rules mean where they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, ServiceAccountMatch
from tortie.selector import ast
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse
from tortie.selector.scoping import entity_selectors, policy_selector
from tortie.selector.selector import Selector

NAMESPACE = "projectcalico.org/namespace"
SHOP = f'{NAMESPACE} == "shop"'
IN_NAMESPACE = f"has({NAMESPACE})"
IN_ACCOUNT = "has(projectcalico.org/serviceaccount)"


def _in_shop(selector: str = "", account: str = "") -> str:
    spec = NetworkPolicySpec(selector=selector, service_account_selector=account)
    return policy_selector(NetworkPolicy(metadata=Metadata(name="p", namespace="shop"), spec=spec)).canonical


def _in_cluster(selector: str = "", namespaces: str = "", account: str = "") -> str:
    spec = GlobalNetworkPolicySpec(selector=selector, namespace_selector=namespaces, service_account_selector=account)
    return policy_selector(GlobalNetworkPolicy(metadata=Metadata(name="p"), spec=spec)).canonical


def _entity(entity: EntityRule, namespace: str = "shop") -> tuple[str | None, str | None]:
    scoped = entity_selectors(entity, namespace)
    positive, negative = scoped.positive, scoped.negative
    return positive and positive.canonical, negative and negative.canonical


@pytest.mark.parametrize(
    ("selector", "account", "scoped"),
    [
        ("", "", SHOP),
        (" \t", "", SHOP),
        ("has(a)", "", f"(has(a) && {SHOP})"),
        ("has(a) || has(b)", "", f"((has(a) || has(b)) && {SHOP})"),
        ("all()", "", f"(all() && {SHOP})"),
        ("", "has(x)", f"({SHOP} && has(pcsa.x))"),
        ("has(a)", "has(x) || has(y)", f"((has(a) && {SHOP}) && (has(pcsa.x) || has(pcsa.y)))"),
        ("", "all()", f"({SHOP} && all())"),
    ],
)
def test_a_namespaced_policy_selects_in_its_namespace(selector: str, account: str, scoped: str) -> None:
    assert _in_shop(selector, account) == scoped


@pytest.mark.parametrize(
    ("selector", "namespaces", "account", "scoped"),
    [
        ("", "", "", "all()"),
        ("all()", "", "", "all()"),
        ("", "has(x)", "", "has(pcns.x)"),
        ("has(a)", "x == 'y'", "", '(has(a) && pcns.x == "y")'),
        ("has(a) || has(b)", "has(x)", "has(y)", "(((has(a) || has(b)) && has(pcns.x)) && has(pcsa.y))"),
        ("", "all()", "", IN_NAMESPACE),
        ("", "", "all()", IN_ACCOUNT),
        ("!all()", "has(x)", "", f"(!{IN_NAMESPACE} && has(pcns.x))"),
        ("all() || has(a)", "all()", "all()", f"((({IN_NAMESPACE} || has(a)) && {IN_NAMESPACE}) && {IN_ACCOUNT})"),
        ("all()", "", "has(x)", f"({IN_ACCOUNT} && has(pcsa.x))"),
        ("a == 'all()'", "all()", "", f'(a == "all()" && {IN_NAMESPACE})'),
    ],
)
def test_a_global_policy_selects_everywhere_and_all_takes_the_meaning_of_its_companions(
    selector: str, namespaces: str, account: str, scoped: str
) -> None:
    assert _in_cluster(selector, namespaces, account) == scoped


@pytest.mark.parametrize(
    ("entity", "positive", "negative"),
    [
        (EntityRule(nets=("10.0.0.0/8",), ports=(80,)), None, None),
        (EntityRule(selector="has(a)"), f"({SHOP} && has(a))", None),
        (EntityRule(selector="has(a) || has(b)"), f"({SHOP} && (has(a) || has(b)))", None),
        (EntityRule(not_selector="has(a)"), f"({SHOP} && !has(a))", None),
        (EntityRule(not_selector="!has(a)"), f"({SHOP} && has(a))", None),
        (EntityRule(selector="has(a)", not_selector="has(b)"), f"(({SHOP} && has(a)) && !has(b))", None),
        (EntityRule(namespace_selector="has(x)"), "has(pcns.x)", None),
        (EntityRule(namespace_selector="all()"), IN_NAMESPACE, None),
        (EntityRule(namespace_selector="global()"), f"!{IN_NAMESPACE}", None),
        (EntityRule(namespace_selector="!global()"), IN_NAMESPACE, None),
        (EntityRule(namespace_selector="all()", selector="all()"), f"({IN_NAMESPACE} && all())", None),
        (EntityRule(namespace_selector="has(x) || has(y)", selector="has(a)"),
         "((has(pcns.x) || has(pcns.y)) && has(a))", None),
        (EntityRule(service_accounts=ServiceAccountMatch()), None, None),
        (EntityRule(service_accounts=ServiceAccountMatch(names=("b", "a"))),
         f'({SHOP} && projectcalico.org/serviceaccount in {{"a", "b"}})', None),
        (EntityRule(service_accounts=ServiceAccountMatch(names=("a",), selector="has(x)"), selector="has(c)"),
         f'({SHOP} && ((has(pcsa.x) && projectcalico.org/serviceaccount in {{"a"}}) && has(c)))', None),
    ],
)  # fmt: skip
def test_a_rule_of_a_namespace_means_its_namespace_once_it_asks_for_labels(
    entity: EntityRule, positive: str | None, negative: str | None
) -> None:
    assert _entity(entity) == (positive, negative)


@pytest.mark.parametrize(
    ("entity", "positive", "negative"),
    [
        (EntityRule(), None, None),
        (EntityRule(selector="has(a)"), "has(a)", None),
        (EntityRule(not_selector="has(a)"), None, "has(a)"),
        (EntityRule(selector="all()", not_selector="has(a) || has(b)"), "(all() && !(has(a) || has(b)))", None),
        (EntityRule(namespace_selector="all()", not_selector="has(a)"), f"({IN_NAMESPACE} && !has(a))", None),
        (EntityRule(service_accounts=ServiceAccountMatch(selector="has(x)")), "has(pcsa.x)", None),
    ],
)
def test_a_rule_of_the_cluster_means_the_whole_cluster_and_beyond(
    entity: EntityRule, positive: str | None, negative: str | None
) -> None:
    assert _entity(entity, namespace="") == (positive, negative)


@pytest.mark.parametrize("namespace", ["shop", ""])
@pytest.mark.parametrize(
    "entity",
    [
        EntityRule(selector="nonsense"),
        EntityRule(not_selector="nonsense"),
        EntityRule(namespace_selector="nonsense"),
        EntityRule(service_accounts=ServiceAccountMatch(selector="nonsense")),
        EntityRule(service_accounts=ServiceAccountMatch(names=("'\"",))),
    ],
)
def test_a_selector_that_cannot_be_read_never_widens_a_rule(entity: EntityRule, namespace: str) -> None:
    with pytest.raises(InvalidSelector):
        entity_selectors(entity, namespace)


def test_a_name_cannot_break_out_of_its_quotes() -> None:
    match = ServiceAccountMatch(names=("x'} || has(y) || a in {'",))
    selector = entity_selectors(EntityRule(service_accounts=match), "").positive
    assert selector is not None
    assert not selector.matches({"y": ""})


@given(st.data())
def test_positive_and_negative_together_select_what_fits_both(
    nodes: st.SearchStrategy[ast.Node], labels: st.SearchStrategy[dict[str, str]], data: st.DataObject
) -> None:
    wanted, unwanted = Selector.of(data.draw(nodes)), Selector.of(data.draw(nodes))
    having = data.draw(labels) | {NAMESPACE: data.draw(st.sampled_from(["shop", "till"]))}
    scoped = entity_selectors(EntityRule(selector=wanted.canonical, not_selector=unwanted.canonical), "shop")
    assert scoped.negative is None
    assert scoped.positive is not None
    expected = having[NAMESPACE] == "shop" and wanted.matches(having) and not unwanted.matches(having)
    assert scoped.positive.matches(having) == expected
    assert parse(scoped.positive.canonical) == scoped.positive
