"""What happens to one block."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.codec import decode_value, encode_value
from tortie.api.ipam import BlockAttribute, IPAMBlock
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource
from tortie.ipam.audit import Snapshot, audit
from tortie.ipam.block import (
    WINDOWS_HANDLE,
    assign,
    borrowed,
    collect,
    is_empty,
    new_block,
    next_free,
    ordinals_of_handle,
    orphaned,
    release,
    written,
)
from tortie.ipam.ranges import Ranges

CIDR = Cidr.parse("10.65.1.64/30")
NOW = 1_787_475_731.0
WEB = BlockAttribute(handle_id="net.web", secondary={"pod": "web-0", "node": "n1", "namespace": "shop"})
DB = BlockAttribute(handle_id="net.db", secondary={"node": "n2"})


def fresh() -> IPAMBlock:
    return new_block(CIDR, "host:n1", NOW)


def test_a_new_block_is_stored_as_other_implementations_store_it() -> None:
    assert encode_value(fresh()) == (
        b'{"cidr":"10.65.1.64/30","affinity":"host:n1","affinity_claim_time":"2026-08-23T09:02:11Z",'
        b'"allocations":[null,null,null,null],"unallocated":[0,1,2,3],"attributes":null,'
        b'"sequenceNumber":1787475731000000000,"sequenceNumberForAllocation":{},"deleted":false}'
    )


def test_a_block_in_use_is_stored_as_other_implementations_store_it() -> None:
    block = written(assign(fresh(), (0,), WEB))
    block = written(release(assign(block, (2,), DB), (2,), NOW + 0.5))
    assert encode_value(block) == (
        b'{"cidr":"10.65.1.64/30","affinity":"host:n1","affinity_claim_time":"2026-08-23T09:02:11Z",'
        b'"allocations":[0,null,2,null],"unallocated":[1,3],"attributes":['
        b'{"handle_id":"net.web","secondary":{"namespace":"shop","node":"n1","pod":"web-0"}},'
        b'{"handle_id":"net.db","secondary":{"node":"n2"}},{"releasedAt":"2026-08-23T09:02:12Z"}],'
        b'"sequenceNumber":1787475731000000002,'
        b'"sequenceNumberForAllocation":{"0":1787475731000000000,"2":1787475731000000001},"deleted":false}'
    )
    assert decode_value(IPAMBlock, encode_value(block)) == block


def test_an_orphaned_block_stores_a_null_owner_and_no_claim_time() -> None:
    stored = msgspec.json.decode(encode_value(orphaned(fresh())))
    assert stored["affinity"] is None
    assert "affinity_claim_time" not in stored


def test_equal_holders_share_one_attribute() -> None:
    block = assign(assign(fresh(), (0,), WEB), (1,), WEB)
    assert block.attributes == (WEB,)
    assert block.allocations == (0, 0, None, None)


def test_the_address_that_is_free_the_longest_is_next() -> None:
    block = assign(fresh(), next_free(fresh(), 3, Ranges()), WEB)
    block = collect(release(block, (1,), NOW), NOW, 0)
    block = collect(release(block, (0,), NOW), NOW, 0)
    assert next_free(block, 4, Ranges()) == (3, 1, 0)


def test_reserved_addresses_are_passed_over_and_stay_in_the_queue() -> None:
    reserved = Ranges([(CIDR.address, CIDR.address + 1)])
    assert next_free(fresh(), 4, reserved) == (2, 3)


def test_a_released_address_is_free_only_after_it_has_cooled_down() -> None:
    block = release(assign(fresh(), (0,), WEB), (0,), NOW)
    assert collect(block, NOW + 29, 30).unallocated == (1, 2, 3)
    assert not is_empty(collect(block, NOW + 29, 30))
    cooled = collect(block, NOW + 30, 30)
    assert cooled.unallocated == (1, 2, 3, 0)
    assert cooled.attributes == ()
    assert cooled.sequence_number_for_allocation == {}


def test_cooling_is_never_cut_short_by_whole_seconds() -> None:
    block = release(assign(fresh(), (0,), WEB), (0,), NOW + 0.9)
    assert not is_empty(collect(block, NOW + 5.1, 5))


def test_what_cooled_first_is_queued_first() -> None:
    block = assign(fresh(), (0, 1, 2), WEB)
    block = release(release(block, (2,), NOW), (0,), NOW + 10)
    assert collect(block, NOW + 60, 30).unallocated == (3, 2, 0)


def test_collecting_renumbers_holders_and_leaves_a_tidy_block_alone() -> None:
    block = collect(release(assign(assign(fresh(), (0,), WEB), (1,), DB), (0,), NOW), NOW, 0)
    assert block.attributes == (DB,)
    assert block.allocations == (None, 0, None, None)
    assert collect(block, NOW, 0) is block


def test_what_windows_reserves_does_not_keep_a_block_from_being_empty() -> None:
    block = assign(fresh(), (0, 1), BlockAttribute(handle_id=WINDOWS_HANDLE))
    assert is_empty(block)
    assert not is_empty(assign(block, (2,), WEB))


def test_addresses_of_other_nodes_than_the_owner_are_borrowed() -> None:
    assert borrowed(assign(assign(fresh(), (0,), WEB), (3,), DB)) == (3,)


def test_a_handle_is_compared_up_to_a_carriage_return() -> None:
    block = assign(fresh(), (1,), BlockAttribute(handle_id="net.x\r\neth0"))
    assert ordinals_of_handle(block, "net.x") == (1,)


steps = st.lists(st.tuples(st.sampled_from(["assign", "release", "wait"]), st.integers(0, 5), st.integers(0, 2)))


@given(steps=steps, cooldown=st.sampled_from([0, 7]))
def test_every_ordinal_is_free_or_held_whatever_happens(steps: list[tuple[str, int, int]], cooldown: int) -> None:
    block, now = new_block(Cidr.parse("fd00::/125"), "host:n1", NOW), NOW
    for verb, count, holder in steps:
        block = collect(block, now, cooldown)
        if verb == "assign":
            attribute = BlockAttribute(handle_id=f"h{holder}")
            block = assign(block, next_free(block, count, Ranges()), attribute)
        elif verb == "release":
            block = release(block, ordinals_of_handle(block, f"h{holder}")[:count], now)
        now += count
        snapshot = Snapshot(blocks={Cidr.parse(block.cidr): block}, claims={}, handles={})
        assert not {finding.kind for finding in audit(snapshot)} & {"broken-ordinals", "broken-attributes"}


def test_an_address_that_is_held_and_free_at_once_is_not_given_again() -> None:
    block = msgspec.structs.replace(assign(fresh(), (0,), WEB), unallocated=(0, 1))
    assert next_free(block, 2, Ranges([])) == (1,)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"cidr": "x"}, "is not a prefix"),
        ({"allocations": [None] * 5}, "has no 5 addresses"),
        ({"unallocated": [4]}, "outside of the block"),
        ({"unallocated": [-1]}, "outside of the block"),
        ({"allocations": [0, None, None, None]}, "a holder that attributes do not have"),
        ({"allocations": [-1, None, None, None], "attributes": [{}]}, "a holder that attributes do not have"),
    ],
)
def test_a_stored_block_that_contradicts_itself_is_no_block(fields: dict[str, object], problem: str) -> None:
    stored = msgspec.json.decode(encode_value(fresh())) | fields
    with pytest.raises(InvalidResource, match=problem):
        decode_value(IPAMBlock, msgspec.json.encode(stored))
