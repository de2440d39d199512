"""Our messages against Google's implementation of the same definitions, and answers that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from tortie.datastore.contract import Event, KeyValue
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.wire import MalformedMessage

BOOL, INT64, BYTES, TEXT = 8, 3, 12, 9

DEFINITIONS: dict[str, dict[str, tuple[int, int | str]]] = {
    "Header": {"cluster_id": (1, INT64), "member_id": (2, INT64), "revision": (3, INT64), "raft_term": (4, INT64)},
    "KeyValue": {
        "key": (1, BYTES),
        "create_revision": (2, INT64),
        "mod_revision": (3, INT64),
        "version": (4, INT64),
        "value": (5, BYTES),
        "lease": (6, INT64),
    },
    "RangeRequest": {"key": (1, BYTES), "range_end": (2, BYTES), "limit": (3, INT64), "revision": (4, INT64)},
    "RangeResponse": {"header": (1, "Header"), "kvs": (2, "KeyValue*"), "more": (3, BOOL), "count": (4, INT64)},
    "PutRequest": {"key": (1, BYTES), "value": (2, BYTES), "lease": (3, INT64)},
    "LeaseGrantRequest": {"TTL": (1, INT64), "ID": (2, INT64)},
    "LeaseGrantResponse": {"header": (1, "Header"), "ID": (2, INT64), "TTL": (3, INT64), "error": (4, TEXT)},
    "LeaseRevokeRequest": {"ID": (1, INT64)},
    "PutResponse": {"header": (1, "Header")},
    "DeleteRequest": {"key": (1, BYTES), "range_end": (2, BYTES), "prev_kv": (3, BOOL)},
    "DeleteResponse": {"header": (1, "Header"), "deleted": (2, INT64)},
    "RequestOp": {"range": (1, "RangeRequest"), "put": (2, "PutRequest"), "delete": (3, "DeleteRequest")},
    "ResponseOp": {"range": (1, "RangeResponse"), "put": (2, "PutResponse"), "delete": (3, "DeleteResponse")},
    "Compare": {
        "result": (1, INT64),
        "target": (2, INT64),
        "key": (3, BYTES),
        "version": (4, INT64),
        "mod_revision": (6, INT64),
    },
    "TxnRequest": {"compare": (1, "Compare*"), "success": (2, "RequestOp*"), "failure": (3, "RequestOp*")},
    "TxnResponse": {"header": (1, "Header"), "succeeded": (2, BOOL), "responses": (3, "ResponseOp*")},
    "WatchCreate": {
        "key": (1, BYTES),
        "range_end": (2, BYTES),
        "start_revision": (3, INT64),
        "progress_notify": (4, BOOL),
        "prev_kv": (6, BOOL),
        "fragment": (8, BOOL),
    },
    "WatchRequest": {"create_request": (1, "WatchCreate")},
    "Event": {"type": (1, INT64), "kv": (2, "KeyValue"), "prev_kv": (3, "KeyValue")},
    "WatchResponse": {
        "header": (1, "Header"),
        "watch_id": (2, INT64),
        "created": (3, BOOL),
        "canceled": (4, BOOL),
        "compact_revision": (5, INT64),
        "cancel_reason": (6, TEXT),
        "fragment": (7, BOOL),
        "events": (11, "Event*"),
    },
    "AuthenticateRequest": {"name": (1, TEXT), "password": (2, TEXT)},
    "AuthenticateResponse": {"header": (1, "Header"), "token": (2, TEXT)},
}


def google_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="oracle.proto", package="oracle", syntax="proto3")
    for name, members in DEFINITIONS.items():
        definition = file.message_type.add(name=name)
        for member, (number, kind) in members.items():
            field = definition.field.add(name=member, number=number, label=1)
            if isinstance(kind, int):
                field.type = kind
                continue
            field.type, field.type_name = 11, f".oracle.{kind.removesuffix('*')}"
            field.label = 3 if kind.endswith("*") else 1
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"oracle.{name}")) for name in DEFINITIONS}


GOOGLE = google_classes()

REVISIONS = st.integers(0, 2**63 - 1)
KEYS = st.binary(max_size=40)
KEY_VALUES = st.builds(
    GOOGLE["KeyValue"],
    key=KEYS,
    value=st.binary(max_size=200),
    create_revision=REVISIONS,
    mod_revision=REVISIONS,
    version=REVISIONS,
    lease=st.integers(-(2**63), 2**63 - 1),
)
HEADERS = st.builds(GOOGLE["Header"], cluster_id=REVISIONS, revision=REVISIONS, raft_term=REVISIONS)


def ours(stored: Any) -> KeyValue:
    key = stored.key.decode("utf-8", "surrogateescape")
    return KeyValue(key, stored.value, stored.mod_revision, stored.create_revision)


@given(KEYS, KEYS, REVISIONS, REVISIONS)
def test_a_range_request_reads_as_it_was_meant(key: bytes, end: bytes, limit: int, revision: int) -> None:
    sent = GOOGLE["RangeRequest"].FromString(messages.range_request(key, end, limit, revision))
    assert (sent.key, sent.range_end, sent.limit, sent.revision) == (key, end, limit, revision)


@given(KEYS, st.binary(), REVISIONS)
def test_a_put_transaction_reads_as_it_was_meant(key: bytes, value: bytes, revision: int) -> None:
    condition = messages.compare_equal(key, messages.MOD_REVISION, revision)
    sent = GOOGLE["TxnRequest"].FromString(messages.put_transaction(key, value, condition))
    compare = sent.compare[0]
    assert (compare.result, compare.target, compare.key, compare.mod_revision) == (0, 2, key, revision)
    assert (sent.success[0].put.key, sent.success[0].put.value) == (key, value)
    assert sent.failure[0].range.key == key


@given(KEYS, st.binary(), REVISIONS)
def test_a_put_names_its_lease(key: bytes, value: bytes, lease: int) -> None:
    sent = GOOGLE["PutRequest"].FromString(messages.put_request(key, value, lease))
    assert (sent.key, sent.value, sent.lease) == (key, value, lease)


@given(st.integers(1, 2**31))
def test_a_lease_is_asked_for_in_seconds_and_given_back_by_its_number(number: int) -> None:
    asked = GOOGLE["LeaseGrantRequest"].FromString(messages.lease_grant_request(number))
    assert asked == GOOGLE["LeaseGrantRequest"](TTL=number)
    given_back = GOOGLE["LeaseRevokeRequest"].FromString(messages.lease_revoke_request(number))
    assert given_back == GOOGLE["LeaseRevokeRequest"](ID=number)


@given(HEADERS, st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**31))
def test_the_number_of_a_lease_is_read_as_google_reads_it(header: Any, number: int, seconds: int) -> None:
    answer = GOOGLE["LeaseGrantResponse"](header=header, ID=number, TTL=seconds).SerializeToString()
    if number:
        assert messages.granted_lease(answer) == number
    else:
        with pytest.raises(MalformedMessage):
            messages.granted_lease(answer)


def test_a_comparison_with_zero_says_what_it_compares() -> None:
    condition = messages.compare_equal(b"/a", messages.VERSION, 0)
    assert condition.endswith(b"\x20\x00")


def test_a_deletion_without_a_condition_has_none() -> None:
    sent = GOOGLE["TxnRequest"].FromString(messages.delete_transaction(b"/a"))
    assert (len(sent.compare), sent.success[0].delete.key) == (0, b"/a")


@given(KEYS, REVISIONS)
def test_a_watch_asks_for_a_prefix_progress_previous_values_and_pieces(prefix: bytes, start: int) -> None:
    sent = GOOGLE["WatchRequest"].FromString(messages.watch_request(prefix, start)).create_request
    assert (sent.key, sent.range_end, sent.start_revision) == (*messages.prefix_range(prefix), start)
    assert sent.progress_notify
    assert sent.prev_kv
    assert sent.fragment


@given(KEYS, KEYS)
def test_a_prefix_range_holds_what_begins_with_the_prefix_and_nothing_else(prefix: bytes, key: bytes) -> None:
    begin, end = messages.prefix_range(prefix)
    for candidate in (key, prefix + key):
        # A lone zero byte as the end means that there is none.
        inside = bool(candidate) and begin <= candidate and (end == b"\0" or candidate < end)
        assert inside == (bool(candidate) and candidate.startswith(prefix))


@given(HEADERS, st.lists(KEY_VALUES, max_size=5), st.booleans())
def test_a_range_answer_is_read_as_google_reads_it(header: Any, stored: list[Any], more: bool) -> None:
    page = messages.range_page(
        GOOGLE["RangeResponse"](header=header, kvs=stored, more=more, count=9).SerializeToString()
    )
    assert (page.revision, page.more, page.count) == (header.revision, more, 9)
    assert messages.reply_header(page.data) == messages.Header(header.cluster_id, header.revision)
    assert messages.key_values(page) == [ours(item) for item in stored]
    assert messages.key_values(page, -1) == [ours(item) for item in stored[-1:]]


@given(HEADERS, st.booleans(), st.none() | KEY_VALUES)
def test_a_refused_transaction_tells_what_it_found(header: Any, succeeded: bool, found: Any) -> None:
    answer = GOOGLE["TxnResponse"](header=header, succeeded=succeeded)
    answer.responses.add().range.kvs.extend([found] if found else [])
    reply = messages.txn_reply(answer.SerializeToString())
    assert reply == messages.TxnReply(succeeded, header.revision, 0, ours(found) if found else None)


@given(HEADERS, st.booleans(), st.lists(st.none() | KEY_VALUES, max_size=4))
def test_several_writes_that_were_refused_tell_all_that_they_found(header: Any, succeeded: bool, found: Any) -> None:
    answer = GOOGLE["TxnResponse"](header=header, succeeded=succeeded)
    for one in found:
        answer.responses.add().range.kvs.extend([one] if one else [])
    expected = [ours(one) for one in found if one]
    reply = messages.joint_reply(answer.SerializeToString())
    assert reply == messages.JointReply(succeeded, header.revision, expected)


@given(HEADERS, REVISIONS)
def test_a_deletion_tells_how_many_it_deleted(header: Any, deleted: int) -> None:
    answer = GOOGLE["TxnResponse"](header=header, succeeded=True)
    answer.responses.add().delete.deleted = deleted
    assert messages.txn_reply(answer.SerializeToString()) == messages.TxnReply(True, header.revision, deleted, None)


@given(HEADERS, st.lists(st.tuples(KEY_VALUES, st.none() | KEY_VALUES, st.booleans()), max_size=5), REVISIONS)
def test_a_watch_answer_is_read_as_google_reads_it(header: Any, changes: list[Any], compacted: int) -> None:
    answer = GOOGLE["WatchResponse"](header=header, compact_revision=compacted, fragment=True, cancel_reason="é")
    expected = []
    for stored, previous, deleted in changes:
        answer.events.add(type=int(deleted), kv=stored, prev_kv=previous)
        now, was = ours(stored), previous and previous.value
        created = (previous.create_revision if previous else 0) if deleted else now.created
        expected.append(Event(now.key, None if deleted else now.value, now.revision, created, was))
    reply = messages.watch_reply(answer.SerializeToString())
    cluster = header.cluster_id
    assert reply == messages.WatchReply(header.revision, False, False, compacted, "é", True, expected, cluster)


def test_authentication_is_asked_and_answered() -> None:
    sent = GOOGLE["AuthenticateRequest"].FromString(messages.authenticate_request("root", "pässword"))
    assert (sent.name, sent.password) == ("root", "pässword")
    assert messages.token(GOOGLE["AuthenticateResponse"](token="t.1").SerializeToString()) == "t.1"
    with pytest.raises(MalformedMessage):
        messages.token(b"")


READERS: list[Callable[[bytes], object]] = [
    messages.reply_header,
    messages.reply_revision,
    messages.token,
    messages.txn_reply,
    messages.watch_reply,
    lambda data: messages.key_values(messages.range_page(data)),
]
ANSWERS = st.builds(
    lambda header, stored: GOOGLE["RangeResponse"](header=header, kvs=stored).SerializeToString(),
    HEADERS,
    st.lists(KEY_VALUES, max_size=3),
)


@given(st.sampled_from(READERS), st.binary(max_size=300) | ANSWERS, st.integers(0), st.integers(0, 255))
def test_a_foreign_or_broken_answer_is_read_or_refused_but_nothing_else(
    read: Callable[[bytes], object], data: bytes, position: int, byte: int
) -> None:
    broken = bytearray(data)
    if broken:
        broken[position % len(broken)] = byte
    try:
        read(bytes(broken))
    except MalformedMessage:
        return
