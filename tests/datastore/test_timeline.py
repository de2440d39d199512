"""What was recorded, what was not, and the way back."""

from __future__ import annotations

from tortie.api.resource import ResourceKey
from tortie.datastore.changelog import Entry, Record, content
from tortie.datastore.contract import KeyValue
from tortie.datastore.timeline import returning, timeline, undoing, way_back

A, B = ResourceKey("Tier", "", "a"), ResourceKey("Tier", "", "b")


def entry(change: str, key: ResourceKey, before: bytes | None, after: bytes | None, *, kept: bool = True) -> Entry:
    record = Record(
        change=change,
        at="",
        who="alice",
        program="tortie",
        why="",
        kind=key.kind,
        namespace=key.namespace,
        name=key.name,
        before=content(before, kept=kept),
        after=content(after, kept=kept),
    )
    return Entry(record, change, 1)


def value(data: bytes | None) -> KeyValue | None:
    return None if data is None else KeyValue("/x", data, 9, 1)


HISTORY = [
    entry("c1", A, None, b"1"),
    entry("c1", B, None, b"x"),
    entry("c2", A, b"1", b"2"),
    entry("c3", A, b"2", b"3"),
]


def test_changes_that_nobody_recorded_stand_where_they_were_found() -> None:
    entries = [entry("c1", A, None, b"1"), entry("c2", A, b"9", b"2")]
    steps = timeline(entries, {A: value(b"7")})
    told = [(step.record.change if step.record else "", step.after and step.after.data) for step in steps]
    assert told == [("c1", b"1"), ("", b"9"), ("c2", b"2"), ("", b"7")]


def test_a_deletion_that_nobody_recorded_is_found() -> None:
    assert [step.after for step in timeline(HISTORY, {A: None, B: value(b"x")}) if step.record is None] == [None]


def test_a_change_is_taken_back_with_all_that_it_did() -> None:
    back = way_back(undoing(HISTORY, "c3"), {A: value(b"3")}, HISTORY)
    assert [(one.key, one.value) for one in back.replacements] == [(A, b"2")]
    assert not (back.overwrites or back.lost)


def test_a_change_that_others_followed_is_not_taken_back_unseen() -> None:
    back = way_back(undoing(HISTORY, "c2"), {A: value(b"3")}, HISTORY)
    assert [str(one) for one in back.overwrites] == ["Tier a: was changed since by alice in c3 (tortie)"]
    assert [one.value for one in back.replacements] == [b"1"], "for those who insist"


def test_a_change_that_strangers_followed_is_not_taken_back_unseen() -> None:
    back = way_back(undoing(HISTORY, "c3"), {A: value(b"stranger")}, HISTORY)
    assert "keeps no record" in str(back.overwrites[0])
    broken = [entry("c1", A, b"0", b"1"), entry("c2", A, b"9", b"2")]
    assert "between c1 and c2" in str(
        way_back({A: [one.record for one in broken]}, {A: value(b"2")}, broken).overwrites
    )


def test_going_back_to_a_change_undoes_all_that_came_after() -> None:
    stored = {A: value(b"3"), B: value(b"x")}
    back = way_back(returning(HISTORY, "c1"), stored, HISTORY)
    assert [(one.key, one.value) for one in back.replacements] == [(A, b"1")]
    assert not back.overwrites
    assert returning(HISTORY, "c3") == {} == returning(HISTORY, "unknown")
    assert returning(HISTORY, "c1", [B]) == {}


def test_what_is_as_it_was_is_left_alone() -> None:
    assert way_back(undoing(HISTORY, "c2"), {A: value(b"1")}, HISTORY) == way_back({}, {}, [])


def test_what_was_not_kept_cannot_come_back() -> None:
    entries = [entry("c1", A, b"1", b"2", kept=False)]
    back = way_back(undoing(entries, "c1"), {A: value(b"2")}, entries)
    assert not back.replacements
    assert "too large" in str(back.lost[0])
