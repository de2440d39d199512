"""The few messages of etcd's v3 API that the driver says and understands. Pure.

Source: etcd's published API definitions, rpc.proto and kv.proto; the numbers below are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.datastore.contract import Event, KeyValue
from tortie.datastore.etcd import wire
from tortie.datastore.etcd.wire import Field, fields, integer, message, signed, text

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"
WATCH = "/etcdserverpb.Watch/Watch"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
LEASE_REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"

VERSION, MOD_REVISION = 0, 2
_NEVER_WRITTEN_SO_OFTEN = 1 << 62
"""What a comparison looks at: 0 versions mean that the key does not exist."""

_OPERAND = {VERSION: 4, MOD_REVISION: 6}
_OPERATION_RANGE, _OPERATION_PUT, _OPERATION_DELETE = 1, 2, 3
_DELETION = 1
_EVERYTHING = b"\0"


class Header(msgspec.Struct, frozen=True, gc=False):
    """What every answer begins with: the number of the cluster, and the revision that it has reached."""

    cluster: int
    revision: int


class RangePage(msgspec.Struct, frozen=True, gc=False):
    """A range answered: where each key and value stands in the bytes, whether more follow, and how many in all."""

    data: bytes
    places: Sequence[Field]
    more: bool
    revision: int
    count: int = 0


class TxnReply(msgspec.Struct, frozen=True, gc=False):
    """What became of a transaction: its revision, the keys deleted, and the key found if it was refused."""

    succeeded: bool
    revision: int
    deleted: int
    found: KeyValue | None


class JointReply(msgspec.Struct, frozen=True, gc=False):
    """What became of several writes together: their revision, and what stands under their keys if they were refused."""

    succeeded: bool
    revision: int
    found: Sequence[KeyValue]


class WatchReply(msgspec.Struct, frozen=True, gc=False):
    """One answer on a watch. `fragment` means that the next one continues it."""

    revision: int
    created: bool
    canceled: bool
    compacted: int
    reason: str
    fragment: bool
    events: Sequence[Event]
    cluster: int = 0


def encode_key(key: str) -> bytes:
    """A key as etcd holds it; other writers' keys need not be text."""
    return key.encode("utf-8", "surrogateescape")


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all that begin with the prefix; of no prefix, or one of 0xff alone, the end of all keys."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else _EVERYTHING


def range_request(key: bytes, end: bytes = b"", limit: int = 0, revision: int = 0) -> bytes:
    """Read one key, or those from `key` up to `end`, as of a revision; 0 is now."""
    return text(1, key) + text(2, end) + integer(3, limit) + integer(4, revision)


def prefix_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Where a prefix begins and ends, in the words of a request."""
    return prefix or _EVERYTHING, prefix_end(prefix)


def put_request(key: bytes, value: bytes, lease: int = 0) -> bytes:
    """Write one key, which vanishes with the lease if there is one."""
    return text(1, key) + text(2, value) + integer(3, lease)


def lease_grant_request(seconds: int) -> bytes:
    """Ask for a lease; the server makes up its number."""
    return integer(1, seconds)


def lease_revoke_request(lease: int) -> bytes:
    """End a lease, and with it the keys that still hang on it."""
    return integer(1, lease)


def compact_request(revision: int) -> bytes:
    """Forget history up to and including a revision."""
    return integer(1, revision)


def authenticate_request(name: str, password: str) -> bytes:
    """Ask for a token."""
    return text(1, name.encode()) + text(2, password.encode())


def compare_equal(key: bytes, target: int, operand: int) -> bytes:
    """The condition that a key's VERSION or MOD_REVISION is the operand."""
    number = _OPERAND[target]
    # The operand says by its presence which one it is, so it is told even when it is zero.
    given = wire.varint(number << 3 | wire.VARINT) + wire.varint(operand)
    return integer(2, target) + text(3, key) + given


def put_transaction(key: bytes, value: bytes, condition: bytes) -> bytes:
    """Write a key if the condition holds, else read it."""
    return _transaction(condition, message(_OPERATION_PUT, put_request(key, value)), key)


def delete_transaction(key: bytes, condition: bytes = b"") -> bytes:
    """Delete a key if the condition, when there is one, holds, else read it."""
    return _transaction(condition, message(_OPERATION_DELETE, text(1, key)), key)


def joint_transaction(conditions: Sequence[bytes], operations: Sequence[bytes], keys: Sequence[bytes]) -> bytes:
    """Do everything if all conditions hold, else read the keys."""
    reads = (message(_OPERATION_RANGE, range_request(key)) for key in keys)
    parts = [*(message(1, one) for one in conditions), *(message(2, one) for one in operations)]
    return b"".join([*parts, *(message(3, one) for one in reads)])


def put_operation(key: bytes, value: bytes) -> bytes:
    """Writing a key, as part of a transaction."""
    return message(_OPERATION_PUT, put_request(key, value))


def delete_operation(key: bytes) -> bytes:
    """Deleting a key, as part of a transaction."""
    return message(_OPERATION_DELETE, text(1, key))


def read_transaction(ranges: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Read several ranges at one revision; an empty end stands for one key."""
    return b"".join(message(2, message(_OPERATION_RANGE, range_request(*one))) for one in ranges)


def rehearsal(keys: Sequence[bytes]) -> bytes:
    """Write keys if what never was so is so: the server judges whether it would be allowed, and does nothing."""
    puts = b"".join(message(2, message(_OPERATION_PUT, put_request(key, b""))) for key in keys)
    return message(1, compare_equal(keys[0], VERSION, _NEVER_WRITTEN_SO_OFTEN)) + puts


def watch_request(prefix: bytes, start: int) -> bytes:
    """Follow a prefix from a revision on, with what was there before, progress marks, and long answers in pieces."""
    begin, end = prefix_range(prefix)
    options = integer(4, True) + integer(6, True) + integer(8, True)
    return message(1, text(1, begin) + text(2, end) + integer(3, start) + options)


def range_page(data: bytes) -> RangePage:
    """The answer to a range, keys and values still in their bytes."""
    places: list[Field] = []
    more, revision, count = False, 0, 0
    for field in fields(data, 0, len(data)):
        number, begin, end = field
        if number == 2 and end >= 0:
            places.append(field)
        elif number == 1 and end >= 0:
            revision = _header_revision(data, begin, end)
        elif number == 3:
            more = bool(begin)
        elif number == 4:
            count = begin
    return RangePage(data, places, more, revision, count)


def key_value(data: bytes, begin: int, end: int) -> KeyValue:
    """One key and value out of a page."""
    key = value = b""
    created = revision = 0
    for number, start, stop in fields(data, begin, end):
        if number == 1 and stop >= 0:
            key = data[start:stop]
        elif number == 5 and stop >= 0:
            value = data[start:stop]
        elif number == 2:
            created = start
        elif number == 3:
            revision = start
    return KeyValue(key.decode("utf-8", "surrogateescape"), value, signed(revision), signed(created))


def key_values(page: RangePage, first: int = 0, last: int | None = None) -> list[KeyValue]:
    """Some of the keys and values of a page, or all."""
    data = page.data
    return [key_value(data, begin, end) for _, begin, end in page.places[first:last]]


def reply_header(data: bytes) -> Header:
    """The header that every answer begins with; the rest is not looked at. Raises MalformedMessage."""
    place = wire.first_field(data)
    if place is None or place[0] != 1 or place[2] < 0:
        raise wire.MalformedMessage("an answer has no header")
    return _header(data, place[1], place[2])


def reply_revision(data: bytes) -> int:
    """The revision in the header. Raises MalformedMessage."""
    return reply_header(data).revision


def token(data: bytes) -> str:
    """The token that answers a request to authenticate."""
    for number, begin, end in fields(data, 0, len(data)):
        if number == 2 and end >= 0:
            return data[begin:end].decode("utf-8", "replace")
    raise wire.MalformedMessage("authentication was answered without a token")


def granted_lease(data: bytes) -> int:
    """The number of the lease that answers a request for one. Raises MalformedMessage."""
    for number, value, end in fields(data, 0, len(data)):
        if number == 2 and end < 0 and value:
            return signed(value)
    raise wire.MalformedMessage("a lease was granted without a number")


def txn_reply(data: bytes) -> TxnReply:
    """The answer to `put_transaction` or `delete_transaction`."""
    succeeded, revision, deleted = False, 0, 0
    found = None
    for number, begin, end in fields(data, 0, len(data)):
        if number == 1 and end >= 0:
            revision = _header_revision(data, begin, end)
        elif number == 2:
            succeeded = bool(begin)
        elif number == 3 and end >= 0:
            deleted, found = _operation_reply(data, begin, end)
    return TxnReply(succeeded, revision, deleted, found)


def joint_reply(data: bytes) -> JointReply:
    """The answer to `joint_transaction`."""
    succeeded, revision = False, 0
    found: list[KeyValue] = []
    for number, begin, end in fields(data, 0, len(data)):
        if number == 1 and end >= 0:
            revision = _header_revision(data, begin, end)
        elif number == 2:
            succeeded = bool(begin)
        elif number == 3 and end >= 0:
            one = _operation_reply(data, begin, end)[1]
            found += [one] if one else []
    return JointReply(succeeded, revision, found)


def read_reply(data: bytes) -> list[KeyValue]:
    """The answer to `read_transaction`: all that was found."""
    return [
        key_value(data, first, last)
        for number, begin, end in fields(data, 0, len(data))
        if number == 3 and end >= 0
        for operation, start, stop in fields(data, begin, end)
        if operation == _OPERATION_RANGE and stop >= 0
        for field, first, last in fields(data, start, stop)
        if field == 2 and last >= 0
    ]


def watch_reply(data: bytes) -> WatchReply:
    """One answer on a watch stream."""
    numbers = dict.fromkeys((3, 4, 5, 7), 0)
    header, reason = _NO_HEADER, ""
    events = []
    for number, begin, end in fields(data, 0, len(data)):
        if number in numbers:
            numbers[number] = begin
        elif end < 0:
            continue
        elif number == 1:
            header = _header(data, begin, end)
        elif number == 6:
            reason = data[begin:end].decode("utf-8", "replace")
        elif number == 11:
            events.append(_event(data, begin, end))
    created, canceled, fragment = bool(numbers[3]), bool(numbers[4]), bool(numbers[7])
    compacted = signed(numbers[5])
    return WatchReply(header.revision, created, canceled, compacted, reason, fragment, events, header.cluster)


def _transaction(condition: bytes, operation: bytes, key: bytes) -> bytes:
    otherwise = message(_OPERATION_RANGE, range_request(key))
    return (message(1, condition) if condition else b"") + message(2, operation) + message(3, otherwise)


def _header_revision(data: bytes, begin: int, end: int) -> int:
    return _header(data, begin, end).revision


def _header(data: bytes, begin: int, end: int) -> Header:
    numbers = {number: value for number, value, stop in fields(data, begin, end) if stop < 0}
    return Header(numbers.get(1, 0), signed(numbers.get(3, 0)))


def _operation_reply(data: bytes, begin: int, end: int) -> tuple[int, KeyValue | None]:
    """How many keys a deletion deleted, or what a read found."""
    for number, start, stop in fields(data, begin, end):
        if number == _OPERATION_DELETE and stop >= 0:
            return next((value for field, value, _ in fields(data, start, stop) if field == 2), 0), None
        if number == _OPERATION_RANGE and stop >= 0:
            found = [place for place in fields(data, start, stop) if place[0] == 2 and place[2] >= 0]
            return 0, key_value(data, found[0][1], found[0][2]) if found else None
    return 0, None


def _event(data: bytes, begin: int, end: int) -> Event:
    kind = 0
    current, previous = _NOTHING, None
    for number, start, stop in fields(data, begin, end):
        if number == 1:
            kind = start
        elif number == 2 and stop >= 0:
            current = key_value(data, start, stop)
        elif number == 3 and stop >= 0:
            previous = key_value(data, start, stop)
    was = previous.value if previous else None
    if kind == _DELETION:
        return Event(current.key, None, current.revision, previous.created if previous else 0, was)
    return Event(current.key, current.value, current.revision, current.created, was)


_NOTHING = KeyValue("", b"", 0, 0)
_NO_HEADER = Header(0, 0)
