"""What must hold after a trial: of writes against history, and of watchers against both (used by the trials)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from load import DONE, REFUSED, UNKNOWN, Attempt, Viewer, Watcher

History = Mapping[int, tuple[str, bytes | None]]
"""Every change by revision, as the cluster tells it in the end."""

Final = Mapping[str, tuple[bytes, int]]


def complaints(
    history: History, final: Final, attempts: Sequence[Attempt], watchers: Sequence[Watcher], viewers: Sequence[Viewer]
) -> list[str]:
    """Everything that is not as promised."""
    return [
        *_writes(history, attempts),
        *_conflicts(history, attempts),
        *_counters(history),
        *_blocks(history),
        *_final(history, final),
        *(text for number, watcher in enumerate(watchers) for text in _watcher(history, watcher, f"watcher {number}")),
        *(text for number, viewer in enumerate(viewers) for text in _viewer(final, viewer, f"viewer {number}")),
    ]


def _writes(history: History, attempts: Sequence[Attempt]) -> Iterator[str]:
    """An acknowledged write stands at its revision; one refused nowhere; one of unknown outcome once or nowhere."""
    times = Counter((key, value) for key, value in history.values() if value is not None)
    for attempt in attempts:
        if attempt.outcome == DONE and history.get(attempt.revision) != (attempt.key, attempt.value):
            yield f"acknowledged and lost: {attempt}, there is {history.get(attempt.revision)}"
        if attempt.value is None:
            continue
        stands = times[attempt.key, attempt.value]
        if stands > (attempt.outcome != REFUSED):
            yield f"stands {stands} times: {attempt}"


def _conflicts(history: History, attempts: Sequence[Attempt]) -> Iterator[str]:
    """Only one writer writes an own key, so what is in its way there is a write whose outcome it did not learn."""
    unknown = defaultdict(set)
    for attempt in attempts:
        if attempt.outcome == UNKNOWN:
            unknown[attempt.key].add(attempt.value)
    for attempt in attempts:
        if attempt.outcome != REFUSED or attempt.shared:
            continue
        if not unknown[attempt.key]:
            yield f"refused without a cause: {attempt}"
        elif attempt.found and history[attempt.found][1] not in unknown[attempt.key]:
            yield f"refused for an acknowledged write: {attempt}"


def _counters(history: History) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for revision, (key, value) in sorted(history.items()):
        if "/counter/" in key and value is not None:
            counts[key] += 1
            if int(value.split()[0]) != counts[key]:
                yield f"{key} at {revision} is {value!r}, and was written {counts[key]} times"


def _blocks(history: History) -> Iterator[str]:
    """A slot goes from free to an owner and back, never from one owner to another."""
    blocks: dict[str, list[str | None]] = {}
    for revision, (key, value) in sorted(history.items()):
        if "/block/" not in key or value is None:
            continue
        slots = json.loads(value)["slots"]
        for old, new in zip(blocks.get(key, slots), slots, strict=True):
            if old and new and old != new:
                yield f"{key} at {revision}: a slot of {old} was given to {new}"
        blocks[key] = slots


def _final(history: History, final: Final) -> Iterator[str]:
    newest: dict[str, tuple[bytes, int]] = {}
    for revision, (key, value) in sorted(history.items()):
        newest.pop(key, None)
        if value is not None:
            newest[key] = value, revision
    if newest != final:
        yield f"history and listing differ: {sorted(newest.items() ^ final.items())[:4]}"


def _watcher(history: History, watcher: Watcher, name: str) -> Iterator[str]:
    missed = {revision for low, high in watcher.gaps for revision in range(low + 1, high + 1)}
    expected = [
        (revision, *history[revision])
        for revision in sorted(history)
        if revision > watcher.start and revision not in missed
    ]
    if watcher.told != expected:
        told, wanted = Counter(watcher.told), Counter(expected)
        missing, more = sorted(wanted - told)[:3], sorted(told - wanted)[:3]
        yield f"{name}: missing {missing}, too many {more}, or out of order; gaps {watcher.gaps}"


def _viewer(final: Final, viewer: Viewer, name: str) -> Iterator[str]:
    yield from (f"{name}: {text}" for text in viewer.complaints)
    if viewer.view != final:
        yield f"{name}: differs from the listing: {sorted(viewer.view.items() ^ final.items())[:4]}"
