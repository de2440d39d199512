"""Rules compiled: families, prefixes, protocols, ports and sets."""

from __future__ import annotations

import pytest

from tortie.api.rules import ICMP, EntityRule, Rule, ServiceAccountMatch
from tortie.base.addresses import Cidr
from tortie.base.hashes import unique_id
from tortie.calculation.compile import CompiledPolicy, compile_policy
from tortie.desired import policy as desired
from tortie.desired.policy import Action, ICMPMatch, PolicyId, PortRange, Side
from tortie.selector.parser import parse


def compiled(*rules: Rule, namespace: str = "") -> CompiledPolicy:
    return compile_policy(PolicyId("P", namespace, "p"), "default", rules, ())


def rules_of(*rules: Rule, namespace: str = "") -> tuple[desired.Rule, ...]:
    return compiled(*rules, namespace=namespace).policy.ingress


def allow(**fields: object) -> Rule:
    return Rule(action="Allow", **fields)  # type: ignore[arg-type]


def from_nets(*nets: str, **fields: object) -> Rule:
    return allow(source=EntityRule(nets=nets), **fields)


def families(*rules: Rule) -> list[int | None]:
    return [rule.family for rule in rules_of(*rules)]


def test_a_rule_without_addresses_stands_once_for_both_families() -> None:
    assert rules_of(allow()) == (desired.Rule(Action.ALLOW, 0),)


def test_a_rule_with_prefixes_stands_once_for_each_of_their_families() -> None:
    assert families(from_nets("10.0.0.0/8")) == [4]
    assert families(from_nets("fd00::/8")) == [6]
    four, six = rules_of(from_nets("10.0.0.0/8", "fd00::/8"))
    assert four.source == Side(nets=(Cidr.parse("10.0.0.0/8"),))
    assert six.source == Side(nets=(Cidr.parse("fd00::/8"),))


def test_a_list_left_empty_in_a_family_removes_the_rule_there() -> None:
    mixed = EntityRule(nets=("10.0.0.1/32", "fd00::1/128"))
    assert families(allow(source=mixed, destination=EntityRule(nets=("10.0.0.2/32",)))) == [4]
    assert families(allow(source=mixed, destination=EntityRule(not_nets=("fd00::2/128",)))) == [6]
    assert families(allow(source=EntityRule(not_nets=("10.0.0.0/8",)))) == [4]


def test_excluding_everything_removes_the_rule_and_including_everything_is_no_match() -> None:
    assert families(allow(source=EntityRule(not_nets=("0.0.0.0/0",)))) == []
    assert families(allow(source=EntityRule(not_nets=("0.0.0.0/0", "fd00::/8")))) == [6]
    assert rules_of(from_nets("0.0.0.0/0")) == (desired.Rule(Action.ALLOW, 0, family=4),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ip_version": 4}, [4]),
        ({"protocol": "ICMP"}, [4]),
        ({"protocol": 58}, [6]),
        ({"protocol": "icmpv6", "ip_version": 4}, []),
        ({"not_protocol": "ICMP"}, [None]),
        ({"protocol": "TCP"}, [None]),
    ],
)
def test_the_family_follows_from_the_version_and_from_icmp(
    fields: dict[str, object], expected: list[int | None]
) -> None:
    assert families(allow(**fields)) == expected


@pytest.mark.parametrize(
    ("name", "number"), [("TCP", 6), ("udp", 17), ("SCTP", 132), ("UDPLite", 136), ("47", 47), (47, 47)]
)
def test_protocols_by_name_and_number(name: int | str, number: int) -> None:
    (rule,) = rules_of(allow(protocol=name))
    assert rule.protocol == number


def test_icmp_types_and_codes() -> None:
    (rule,) = rules_of(allow(protocol="ICMP", icmp=ICMP(type=8), not_icmp=ICMP(type=3, code=4)))
    assert (rule.icmp, rule.not_icmp) == (ICMPMatch(8), ICMPMatch(3, 4))


def test_a_rule_keeps_the_index_that_its_author_sees() -> None:
    rules = rules_of(from_nets("10.0.0.0/8", "fd00::/8"), from_nets("10.0.0.0/8", ip_version=6), allow())
    assert [(rule.index, rule.family) for rule in rules] == [(0, 4), (0, 6), (2, None)]


def side_and_sets(entity: EntityRule, namespace: str = "", **fields: object) -> tuple[Side, dict[str, str]]:
    """The source side, and what each of its sets holds."""
    result = compiled(allow(source=entity, **fields), namespace=namespace)
    (rule,) = result.policy.ingress
    meaning = {
        spec.id: f"{spec.selector}" + (f" {spec.protocol or 'any'}:{spec.port}" if spec.ports else "")
        for spec in result.sets
    }
    return rule.source, meaning


def test_a_selector_becomes_a_set_with_the_identity_of_its_text() -> None:
    side, sets = side_and_sets(EntityRule(selector="a=='b'"))
    identity = unique_id("s", 'a == "b"')
    assert side == Side(sets=(identity,))
    assert sets == {identity: 'a == "b"'}


def test_not_selector_alone_excludes_a_set_and_with_a_selector_narrows_it() -> None:
    side, sets = side_and_sets(EntityRule(not_selector="a == 'b'"))
    assert (side.sets, len(side.not_sets)) == ((), 1)
    assert list(sets.values()) == ['a == "b"']
    side, sets = side_and_sets(EntityRule(selector="has(c)", not_selector="a == 'b'"))
    assert (len(side.sets), side.not_sets) == (1, ())
    assert list(sets.values()) == ['(has(c) && !a == "b")']


def test_a_policy_of_a_namespace_means_its_own_as_soon_as_it_asks_for_labels() -> None:
    _, sets = side_and_sets(EntityRule(selector="has(c)"), "shop")
    assert list(sets.values()) == ['(projectcalico.org/namespace == "shop" && has(c))']
    _, sets = side_and_sets(EntityRule(nets=("10.0.0.0/8",)), "shop")
    assert not sets
    _, sets = side_and_sets(EntityRule(service_accounts=ServiceAccountMatch(names=("a",))), "shop")
    assert list(sets.values()) == [
        '(projectcalico.org/namespace == "shop" && projectcalico.org/serviceaccount in {"a"})'
    ]


def test_port_names_alone_make_the_set_of_the_selector_needless() -> None:
    side, sets = side_and_sets(EntityRule(selector="has(c)", ports=("http", "dns")), protocol="TCP")
    assert side.sets == ()
    assert sorted(sets.values()) == ["has(c) 6:dns", "has(c) 6:http"]
    uid = parse("has(c)").unique_id
    assert set(side.port_sets) == {unique_id("n", f"{uid},6,dns"), unique_id("n", f"{uid},6,http")}


def test_port_names_beside_numbers_keep_the_set_of_the_selector() -> None:
    side, sets = side_and_sets(EntityRule(selector="has(c)", ports=("http", 80)), protocol="TCP")
    assert (len(side.sets), len(side.port_sets), side.ports) == (1, 1, (PortRange(80, 80),))
    assert sorted(sets.values()) == ["has(c)", "has(c) 6:http"]


def test_excluded_port_names_are_those_of_what_is_selected() -> None:
    side, sets = side_and_sets(EntityRule(selector="has(c)", not_ports=("http", 80)), protocol="TCP")
    assert (len(side.sets), len(side.not_port_sets), side.not_ports) == (1, 1, (PortRange(80, 80),))
    assert sorted(sets.values()) == ["has(c)", "has(c) 6:http"]


def test_port_names_without_a_selector_are_those_of_everything() -> None:
    _, sets = side_and_sets(EntityRule(ports=("http",)))
    assert list(sets.values()) == ["all() any:http"]


def test_sets_of_a_rule_that_can_never_match_are_not_asked_for() -> None:
    assert compiled(allow(ip_version=6, protocol="ICMP", source=EntityRule(selector="has(c)"))).sets == ()


@pytest.mark.parametrize(
    "rule",
    [
        from_nets("nonsense"),
        allow(protocol="nonsense"),
        allow(protocol=0),
        Rule(action="Nonsense"),
        allow(source=EntityRule(selector="(((")),
        allow(source=EntityRule(ports=(70000,))),
    ],
)
def test_what_cannot_be_read_is_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(rule)
