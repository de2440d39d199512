"""What may be freed, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tortie.controllers.judgement import GRACE, Sight, Suspect, judge, remember
from tortie.datastore.testimony import Statement
from tortie.ipam.inspection import Leak

LEAK = Leak("10.0.0.1", "net.c1", 7)
NOTHING = Statement(frozenset(), 20)
SUSPECT = Suspect(LEAK, 0.0, 10)

SIGHT = Sight(
    leaks=(LEAK,),
    facts={LEAK.address: {"node": "n1", "pod": "web"}},
    nodes=frozenset({"n1", "n2"}),
    testimonies={"n1": NOTHING, "n2": NOTHING},
    revision=30,
    now=GRACE,
)

KEPT: Mapping[str, tuple[dict[str, Any], str]] = {
    "its node's kernel has it": (
        {"testimonies": {"n1": Statement(frozenset({LEAK.address}), 20)}},
        "the kernel of node n1 still has it",
    ),
    "another node's kernel has it": (
        {"testimonies": {"n1": NOTHING, "n2": Statement(frozenset({LEAK.address}), 20)}},
        "the kernel of node n2 still has it",
    ),
    "its node says nothing": ({"testimonies": {"n2": NOTHING}}, "node n1 does not say what its kernel has"),
    "its node said so before": (
        {"testimonies": {"n1": Statement(frozenset(), 10)}},
        "node n1 has not said anew what its kernel has",
    ),
    "it is too soon": ({"now": GRACE - 1}, f"suspected for {GRACE - 1:.0f} of {GRACE:.0f} s"),
    "no node is recorded": ({"facts": {}}, "its record names no node"),
    "a virtual machine may be stopped": (
        {"facts": {LEAK.address: {"node": "n1", "vmi-name": "vm"}}},
        "it is of a virtual machine",
    ),
    "a tunnel of a node that exists": (
        {"facts": {LEAK.address: {"node": "n1", "type": "vxlanTunnelAddress"}}},
        "it is of the tunnels of node n1",
    ),
    "the kernel of a node that is gone as a resource has it": (
        {"nodes": frozenset(), "testimonies": {"n1": Statement(frozenset({LEAK.address}), 20)}},
        "the kernel of node n1 still has it",
    ),
}


def test_both_proofs_and_the_grace_period_free_an_address() -> None:
    (verdict,) = judge({LEAK.address: SUSPECT}, SIGHT)
    assert verdict.free
    assert verdict.reason == (
        "no endpoint uses any address of handle net.c1 for 900 s, and the kernel of node n1 does not have it"
    )
    gone = msgspec.structs.replace(SIGHT, nodes=frozenset({"n2"}), testimonies={})
    (verdict,) = judge({LEAK.address: SUSPECT}, gone)
    assert verdict.free
    assert verdict.reason.endswith("and node n1 does not exist")


def test_each_doubt_alone_keeps_an_address(for_each: Any) -> None:
    def check(case: tuple[dict[str, Any], str]) -> None:
        changes, reason = case
        (verdict,) = judge({LEAK.address: SUSPECT}, msgspec.structs.replace(SIGHT, **changes))
        assert not verdict.free
        assert verdict.reason.startswith(reason), verdict.reason

    for_each(KEPT, check)


@given(doubts=st.sets(st.sampled_from(sorted(KEPT)), min_size=1))
def test_no_combination_of_doubts_frees_an_address(doubts: set[str]) -> None:
    sight = SIGHT
    for doubt in sorted(doubts):
        sight = msgspec.structs.replace(sight, **KEPT[doubt][0])
    changed = msgspec.structs.replace(sight, nodes=SIGHT.nodes)
    assert not any(verdict.free for verdict in judge({LEAK.address: SUSPECT}, changed))


def test_a_suspicion_begins_anew_when_the_address_is_assigned_anew_or_seen_in_a_kernel() -> None:
    assert remember({LEAK.address: SUSPECT}, SIGHT) == {LEAK.address: SUSPECT}
    anew = msgspec.structs.replace(LEAK, sequence_number=8)
    assert remember({LEAK.address: SUSPECT}, msgspec.structs.replace(SIGHT, leaks=(anew,))) == {
        LEAK.address: Suspect(anew, GRACE, 30)
    }
    seen = msgspec.structs.replace(SIGHT, testimonies={"n2": Statement(frozenset({LEAK.address}), 20)})
    assert remember({LEAK.address: SUSPECT}, seen) == {LEAK.address: Suspect(LEAK, GRACE, 30, in_kernel=True)}
    assert remember({LEAK.address: SUSPECT}, msgspec.structs.replace(SIGHT, leaks=())) == {}


def test_suspicion_begins_when_no_kernel_has_the_address_any_more() -> None:
    was = Suspect(LEAK, 0.0, 10, in_kernel=True)
    assert remember({LEAK.address: was}, SIGHT) == {LEAK.address: Suspect(LEAK, GRACE, 30)}
