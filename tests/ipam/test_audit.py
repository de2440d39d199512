"""The audit finds each kind of damage, and nothing in what is sound."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api.ipam import BlockAffinity, BlockAttribute, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.datastore.keys import affinity_key, block_key, handle_key
from tortie.ipam.audit import CHECKS, Snapshot, audit
from tortie.ipam.block import assign, new_block

CIDR = Cidr.parse("10.0.0.0/30")
INSIDE = Cidr.parse("10.0.0.2/31")
BLOCK = assign(new_block(CIDR, "host:a", 0), (1,), BlockAttribute(handle_id="h"))
SOUND = Snapshot(
    blocks={CIDR: BLOCK},
    claims={("host:a", CIDR): BlockAffinity(state="confirmed")},
    handles={"h": IPAMHandle(block={str(CIDR): 1})},
)


def block(**changes: Any) -> dict[str, Any]:
    return {"blocks": {CIDR: msgspec.structs.replace(BLOCK, **changes)}}


DAMAGE: dict[str, dict[str, Any]] = {
    "overlapping-blocks": {
        "blocks": {CIDR: BLOCK, INSIDE: new_block(INSIDE, "host:a", 0)},
        "claims": {**SOUND.claims, ("host:a", INSIDE): BlockAffinity(state="confirmed")},
    },
    "misplaced-block": block(cidr="10.9.0.0/30"),
    "broken-ordinals": block(unallocated=(0, 1, 2, 3)),
    "broken-attributes": {**block(attributes=()), "handles": {}},
    "handle-counts-too-few": {"handles": {}},
    "handle-counts-too-many": {"handles": {**SOUND.handles, "old": IPAMHandle(block={str(CIDR): 1})}},
    "block-without-claim": {"claims": {}},
    "claim-without-block": {"claims": {**SOUND.claims, ("host:b", CIDR): BlockAffinity(state="pending")}},
    "unfinished-claim": {"claims": {("host:a", CIDR): BlockAffinity(state="pendingDeletion")}},
}


def test_sound_books_have_no_findings() -> None:
    assert audit(SOUND, live={"h"}) == ()


@pytest.mark.parametrize("kind", DAMAGE)
def test_each_kind_of_damage_is_found_and_nothing_else(kind: str) -> None:
    findings = audit(msgspec.structs.replace(SOUND, **DAMAGE[kind]))
    assert {finding.kind for finding in findings} == {kind}


@pytest.mark.parametrize("queue", [(0, 2), (0, 2, 3, 3), (0, 2, 3, 4)], ids=["lost", "free twice", "outside"])
def test_every_way_to_break_the_queue_is_found(queue: tuple[int, ...]) -> None:
    (finding,) = audit(msgspec.structs.replace(SOUND, **block(unallocated=queue)))
    assert finding.kind == "broken-ordinals"
    assert finding.harmful


def test_an_address_of_a_handle_that_nobody_uses_is_a_leak() -> None:
    (finding,) = audit(SOUND, live=set())
    assert (finding.kind, finding.object, finding.harmful) == ("leaked-address", "10.0.0.1", False)


def test_what_an_unreadable_block_holds_is_not_guessed_from_what_is_left() -> None:
    unreadable = {block_key(str(CIDR)): "is no JSON"}
    (finding,) = audit(msgspec.structs.replace(SOUND, blocks={}, unreadable=unreadable), live={"h"})
    assert (finding.kind, finding.object) == ("unreadable-block", f"IPAMBlock {CIDR}")
    assert finding.detail == f"key {block_key(str(CIDR))}: is no JSON"
    assert "do not delete" in CHECKS[finding.kind].remedy


def test_an_unreadable_block_overlaps_others_all_the_same() -> None:
    unreadable = {block_key(str(INSIDE)): "is no JSON"}
    kinds = {finding.kind for finding in audit(msgspec.structs.replace(SOUND, unreadable=unreadable))}
    assert kinds == {"unreadable-block", "overlapping-blocks"}


@pytest.mark.parametrize("key", [affinity_key("a", str(CIDR)), handle_key("h")])
def test_a_claim_or_handle_that_cannot_be_read_is_the_only_finding(key: str) -> None:
    missing: dict[str, Any] = {"claims": {}} if "host" in key else {"handles": {}}
    (finding,) = audit(msgspec.structs.replace(SOUND, **missing, unreadable={key: "is no JSON"}))
    assert finding.kind == "unreadable-record"


def test_every_kind_of_finding_is_tested() -> None:
    others = {
        "overlapping-pools",
        "block-without-owner",
        "leaked-address",
        "unrecorded-address",
        "shared-address",
        "unreadable-block",
        "unreadable-record",
    }
    assert CHECKS.keys() == DAMAGE.keys() | others
