"""Counting what staged policies would decide: it is counted, and no verdict comes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.dataplane.nftables import pending
from tortie.dataplane.nftables.model import Kernel, KernelRule
from tortie.dataplane.nftables.operations import FillChain
from tortie.dataplane.nftables.planning import plan_all
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.policy import Action, PolicyId, PolicyList, TierPolicies
from tortie.desired.state import DesiredState
from tortie.netlink.nftables_expressions import Meta
from tortie.netlink.wire import as_text, attribute_list, attributes

States = Callable[[], st.SearchStrategy[DesiredState]]
ENFORCED = PolicyId("NetworkPolicy", "shop", "a")
STAGED = PolicyId("StagedNetworkPolicy", "shop", "b")
RETURN, JUMP = -5, -3


def tier(*policies: PolicyId, name: str = "default") -> TierPolicies:
    return TierPolicies(name, policies, Action.DENY)


@pytest.mark.parametrize(
    ("policies", "section"),
    [
        (PolicyList((tier(ENFORCED),)), None),
        (PolicyList((tier(ENFORCED),), (), ()), None),
        (PolicyList((), (), (tier(STAGED),)), pending.Section(0, (tier(STAGED),))),
        (
            PolicyList(
                (tier(ENFORCED, name="first"), tier(ENFORCED), tier(ENFORCED, name="last")),
                (),
                (tier(ENFORCED, name="first"), tier(STAGED, ENFORCED), tier(ENFORCED, name="last")),
            ),
            pending.Section(1, (tier(STAGED, ENFORCED),)),
        ),
    ],
)
def test_only_the_tiers_that_would_be_different_are_gone_through(
    policies: PolicyList, section: pending.Section | None
) -> None:
    assert pending.section(policies) == section


@given(st.data())
def test_no_rule_for_counting_holds_a_verdict_but_jump_and_return(random_states: States, data: st.DataObject) -> None:
    marks = MarkBits.of(Settings().mark_mask)
    for chain in filled(data.draw(random_states())):
        for rule in chain.rules if chain.name.startswith(pending.PREFIX) else ():
            assert set(verdicts(rule)) <= {RETURN, JUMP}
            assert rule.target.startswith(pending.PREFIX) or not rule.target
            assert all(bits & ~(marks.passed | marks.scratch) == 0 for bits in marks_set(rule))


def filled(state: DesiredState) -> list[FillChain]:
    return [one for one in plan_all(Settings(), state, Kernel()) if isinstance(one, FillChain)]


def expressions(rule: KernelRule) -> Iterator[tuple[str, dict[int, bytes]]]:
    for _, one in attribute_list(rule.expressions):
        found = attributes(one)
        yield as_text(found[1]), attributes(found.get(2, b""))


def verdicts(rule: KernelRule) -> Iterator[int]:
    """Every immediate verdict; look-ups in verdict maps count as one of their own."""
    for name, data in expressions(rule):
        if name == "immediate" and int.from_bytes(data[1], "big") == 0:
            yield int.from_bytes(attributes(attributes(data[2])[2])[1], "big", signed=True)
        if name == "lookup" and 3 in data:
            yield 0
        assert name not in {"queue", "reject", "nat", "masq", "redir", "fwd", "notrack", "log"}


def marks_set(rule: KernelRule) -> Iterator[int]:
    """The bits that a rule may change of the mark."""
    mask = b""
    for name, data in expressions(rule):
        if name == "bitwise":
            mask = attributes(data[4])[1]
        if name == "meta" and 3 in data:
            assert int.from_bytes(data[2], "big") == Meta.MARK
            yield ~int.from_bytes(mask, sys.byteorder) & 0xFFFFFFFF
