"""The packet filter in a real kernel: what is planned is what is there afterwards, and others are left alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.nftables.layout import SENDER
from tortie.dataplane.nftables.operations import CreateTable, FillChain
from tortie.dataplane.nftables.rule_names import RuleNames
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import (
    Action,
    Direction,
    Policy,
    PolicyId,
    PolicyList,
    Rule,
    Side,
    TierPolicies,
    rule_identity,
)
from tortie.desired.sets import IPSet, Members, SetChange
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.nftables_batch import generation, is_stale
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket

pytestmark = pytest.mark.kernel
States = Callable[[], st.SearchStrategy[DesiredState]]
WEB = PolicyId("NetworkPolicy", "shop", "web")
POD = EndpointId("shop", "pod")


def nft(*arguments: str) -> str:
    return subprocess.run(["nft", *arguments], capture_output=True, text=True, check=True).stdout


def bring(target: NftablesTarget, desired: DesiredState, changes: Changes | None = None) -> None:
    actual = target.read()
    plan = target.plan(desired, actual, changes)
    if plan.operations:
        target.apply(plan.operations)
    target.applied(actual, plan)


def now() -> int:
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        return generation(socket)


def shop(*members: str) -> DesiredState:
    hosts = b"".join(sorted(Cidr.parse(one).packed for one in members))
    desired = DesiredState()
    desired.sets = {"s:web": IPSet("s:web", Members(hosts4=hosts))}
    desired.policies = {WEB: Policy(WEB, "default", (Rule(Action.ALLOW, 0, 4, source=Side(sets=("s:web",))),))}
    web = PolicyList((TierPolicies("default", (WEB,), Action.DENY),))
    desired.endpoints = {POD: Endpoint(POD, "cali1", (Cidr.parse("10.0.0.1"),), web, PolicyList())}
    return desired


def test_rules_of_policies_that_are_long_gone_are_forgotten(
    namespace: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tortie.dataplane.nftables.target.REMEMBERED", 100)
    target = NftablesTarget(names=tmp_path / "rules")
    bring(target, shop())
    identity = rule_identity(WEB, Direction.INGRESS, 0)
    for number in range(200):
        desired = shop()
        one = PolicyId("NetworkPolicy", "shop", f"web{number}")
        desired.policies[one] = Policy(one, "default", (Rule(Action.ALLOW, 0),))
        desired.endpoints[POD] = msgspec.structs.replace(
            desired.endpoints[POD], egress=PolicyList((TierPolicies("default", (WEB, one), Action.DENY),))
        )
        bring(target, desired)
    for names in (target.rule_name, RuleNames(tmp_path / "rules").find):
        assert names(identity) is not None
        assert names(rule_identity(one, Direction.INGRESS, 0)) is not None
        assert names(rule_identity(PolicyId("NetworkPolicy", "shop", "web0"), Direction.INGRESS, 0)) is None
    assert len((tmp_path / "rules").read_text().splitlines()) < 700


@settings(max_examples=settings.default.max_examples // 2)
@given(st.data())
def test_the_kernel_holds_exactly_what_the_mirror_says(random_states: States, data: st.DataObject) -> None:
    descriptor = anonymous_namespace()
    with inside(descriptor):
        target = NftablesTarget()
        for _ in range(2):
            desired = data.draw(random_states())
            bring(target, desired)
            mirror, read = target.read(), NftablesTarget().read()
            for part in mirror.__struct_fields__:
                assert getattr(mirror, part) == getattr(read, part), part
            assert not target.plan(desired, read, None).operations
    os.close(descriptor)


def test_a_warm_kernel_is_not_written(namespace: int) -> None:
    bring(NftablesTarget(), shop("10.0.0.2"))
    before = now()
    bring(NftablesTarget(), shop("10.0.0.2"))
    assert now() == before


def test_a_fresh_table_drops_workloads_that_have_no_endpoint(namespace: int) -> None:
    bring(NftablesTarget(), DesiredState())
    listed = nft("list", "chain", "inet", "tortie", "sender-policy")
    assert 'iifname "cali*" counter packets 0 bytes 0 drop' in listed


def test_a_member_change_sends_only_its_difference(namespace: int) -> None:
    target, desired = NftablesTarget(), shop("10.0.0.2", "10.0.0.3")
    bring(target, desired)
    gone, come = (Members(hosts4=Cidr.parse(one).packed) for one in ("10.0.0.2", "10.0.0.9"))
    change = SetChange("s:web", come, gone)
    new = shop("10.0.0.3", "10.0.0.9")
    plan = target.plan(new, target.read(), Changes(set_changes={"s:web": [change]}))
    assert [getattr(one, "added", b"") for one in plan.operations] == [b"", come.hosts4]
    bring(target, new, Changes(set_changes={"s:web": [change]}))
    assert "10.0.0.3, 10.0.0.9" in nft("list", "set", "inet", "tortie", "hosts4-s.web")
    assert not NftablesTarget().plan(new, NftablesTarget().read(), None).operations


def test_other_tables_are_untouched_and_do_not_disturb(namespace: int) -> None:
    nft("add table inet other; add chain inet other c { type filter hook forward priority 0; }")
    target = NftablesTarget()
    bring(target, shop())
    actual = target.read()
    nft("add rule inet other c counter")
    plan = target.plan(shop("10.0.0.7"), actual, Changes(sets={"s:web"}))
    target.apply(plan.operations)
    target.applied(actual, plan)
    assert "counter" in nft("list", "table", "inet", "other")
    assert target.read() is actual


def test_a_change_of_our_table_by_somebody_else_refuses_the_commit(namespace: int) -> None:
    target = NftablesTarget()
    bring(target, shop())
    actual = target.read()
    nft("add element inet tortie hosts4-s.web { 1.2.3.4 }")
    plan = target.plan(shop("10.0.0.7"), actual, Changes(sets={"s:web"}))
    with pytest.raises(KernelError) as refused:
        target.apply(plan.operations)
    assert is_stale(refused.value)
    bring(target, shop("10.0.0.7"))
    assert not NftablesTarget().plan(shop("10.0.0.7"), NftablesTarget().read(), None).operations


@pytest.mark.parametrize(
    "damage",
    [
        "flush chain inet tortie sender-policy",
        "delete chain inet tortie workload-to-host",
        "delete table inet tortie",
        "flush set inet tortie workloads",
        "flush map inet tortie senders; add element inet tortie senders { cali1 : accept }",
        "add element inet tortie sources4 { cali9 . 9.9.9.9 }",
        "add element inet tortie workloads { cali9 }",
        "add table inet tortie { flags dormant; }",
        "add chain inet tortie mine { type filter hook forward priority 5; policy drop; }",
        "add set inet tortie mine { type ipv4_addr; }",
        "flush set inet tortie hosts4-s.web",
        "insert rule inet tortie receiver-policy accept",
    ],
)
def test_damage_by_somebody_else_is_repaired(namespace: int, damage: str) -> None:
    target = NftablesTarget()
    bring(target, shop("10.0.0.2"))
    wanted = nft("-s", "list", "table", "inet", "tortie")
    nft(damage)
    bring(target, shop("10.0.0.2"))
    assert sorted(nft("-s", "list", "table", "inet", "tortie").splitlines()) == sorted(wanted.splitlines())
    assert not target.plan(shop("10.0.0.2"), NftablesTarget().read(), None).operations


def test_counters_outlive_the_refilling_of_a_chain(namespace: int, tmp_path: Path) -> None:
    target = NftablesTarget(names=tmp_path / "rules")
    bring(target, shop())
    chain = next(one for one in target.read().chains if one.startswith("policy-in"))
    tag = target.read().chains[chain].tags[0].decode()
    nft(f'flush chain inet tortie {chain}; add rule inet tortie {chain} counter packets 5 bytes 500 comment "{tag}"')
    changed = shop()
    rules = changed.policies[WEB].ingress
    changed.policies[WEB] = Policy(WEB, "default", (*rules, Rule(Action.ALLOW, 1)))
    bring(target, changed)
    identity = rule_identity(WEB, Direction.INGRESS, 0)
    assert target.counters()[identity] == (5, 500)
    assert NftablesTarget(names=tmp_path / "rules").counters()[identity] == (5, 500)
    changed.policies[WEB] = Policy(WEB, "default", (Rule(Action.DENY, 0), Rule(Action.ALLOW, 1)))
    bring(target, changed)
    assert target.counters()[identity] == (0, 0), "another rule stands there now"
    name = RuleNames(tmp_path / "rules").find(identity)
    assert name is not None
    assert (name.kind, name.namespace, name.name, name.index) == ("NetworkPolicy", "shop", "web", 0)


def test_large_sets_are_loaded_in_several_transactions_before_the_rules(namespace: int) -> None:
    desired = shop()
    count = 130_000
    hosts = b"".join(one.to_bytes(4, "big") for one in range(count))
    desired.sets["s:web"] = IPSet("s:web", Members(hosts4=hosts))
    before = now()
    bring(NftablesTarget(), desired)
    assert now() - before == 2
    desired.sets["s:web"] = IPSet("s:web", Members(hosts4=b"".join(one.to_bytes(4, "big") for one in range(4 * count))))
    bring(NftablesTarget(), desired)
    again = NftablesTarget()
    assert len(again.read().sets["hosts4-s.web"].records) == 16 * count
    assert not again.plan(desired, again.read(), None).operations


def test_a_table_that_takes_the_place_of_another_comes_in_one_transaction_however_large(namespace: int) -> None:
    desired = shop()
    bring(NftablesTarget(), desired)
    nft("add chain inet tortie endpoint-foreign { type filter hook forward priority 5; }")
    desired.sets["s:web"] = IPSet("s:web", Members(hosts4=b"".join(one.to_bytes(4, "big") for one in range(400_000))))
    before = now()
    bring(NftablesTarget(), desired)
    assert now() - before == 1
    again = NftablesTarget()
    assert not again.plan(desired, again.read(), None).operations


def test_base_chains_are_not_made_again_when_settings_change(namespace: int) -> None:
    target = NftablesTarget()
    bring(target, shop())
    target.settings = type(target.settings)(interface_prefixes=("cali", "tap"))
    plan = target.plan(shop(), target.read(), None)
    assert all(isinstance(one, FillChain) for one in plan.operations[1:])
    bring(target, shop())
    assert 'iifname "tap*"' in nft("list", "chain", "inet", "tortie", SENDER)
    assert not any(isinstance(one, CreateTable) for one in plan.operations)


def test_others_do_not_disturb_after_a_large_commit(namespace: int) -> None:
    nft("add table inet other")
    target, desired = NftablesTarget(), shop()
    desired.endpoints = {
        (one := EndpointId("shop", f"pod{number}")): Endpoint(one, f"cali{number}", (), PolicyList(), PolicyList())
        for number in range(100)
    }
    bring(target, desired)
    actual = target.read()
    nft("add chain inet other c")
    assert target.read() is actual
