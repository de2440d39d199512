"""Carrying a plan out: one write after the other, with a record of what was written, what was not, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import (
    AlreadyExists,
    Conflict,
    InvalidResource,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    StaleRevision,
    Unavailable,
)
from tortie.cli.plan import Plan, Refusal, Step, refusal, step_for
from tortie.datastore.resources import ResourceStore

ATTEMPTS = 10
"""How often a write is planned again because someone else wrote first."""


class Written(msgspec.Struct, frozen=True):
    """One write that was done, or found to be needless.

    Args:
        outcome: `created`, `changed`, `unchanged`, `skipped` or `deleted`; `unasked` is what only the datastore knows.
        resource: as it is stored now; None when it is gone.
        before: as it was stored; None when it was not.
        unreadable: what was wrong with what was stored, when it could not be read.
    """

    key: ResourceKey
    outcome: str
    resource: Resource | None = None
    before: Resource | None = None
    unreadable: str = ""


class Outcomes(msgspec.Struct, frozen=True):
    """How a command went.

    Args:
        left: what was not tried.
        unavailable: the datastore stopped answering.
        unknown: what was sent and not answered, one of the refused: it may be written or not.
    """

    written: tuple[Written, ...] = ()
    refused: tuple[Refusal, ...] = ()
    left: tuple[ResourceKey, ...] = ()
    unavailable: bool = False
    unknown: ResourceKey | None = None

    @property
    def total(self) -> int:
        """How many writes were asked for."""
        return len(self.written) + len(self.refused) + len(self.left)


Told = Callable[[Written], None]
"""Hears of each write at once, so that an interrupted command has said what it did."""


Remove = Callable[[ResourceKey, int | None], Awaitable[None]]
"""Deletes an object that is at a revision, or at any, with what belongs to it alone."""


async def carry_out(store: ResourceStore, plan: Plan, told: Told, remove: Remove | None = None) -> Outcomes:
    """Take every step of a plan; what fails does not keep others from being tried, unless nothing answers."""
    written: list[Written] = []
    refused = list(plan.refusals)
    for position, step in enumerate(plan.steps):
        try:
            done = await _take(store, step, remove or store.delete)
        except (InvalidResource, Conflict, NotPermitted) as error:
            refused.append(refusal(step.key, error, step.wish.document if step.wish else None))
        except Unavailable as error:
            left = tuple(later.key for later in plan.steps[position + 1 :])
            return Outcomes(
                tuple(written),
                (*refused, refusal(step.key, error)),
                left,
                unavailable=True,
                unknown=step.key if isinstance(error, OutcomeUnknown) else None,
            )
        else:
            written.append(done)
            told(done)
    return Outcomes(tuple(written), tuple(refused))


def foretold(plan: Plan, told: Told) -> Outcomes:
    """What carrying a plan out would give, without doing it."""
    written = tuple(Written(step.key, _outcome(step), step.after, step.before, _trouble(step)) for step in plan.steps)
    for one in written:
        told(one)
    return Outcomes(written, plan.refusals)


def nothing_done(plan: Plan) -> Outcomes:
    """The outcome of a plan that is not carried out because of what it cannot do."""
    return Outcomes((), plan.refusals, tuple(step.key for step in plan.steps))


async def _take(store: ResourceStore, step: Step, remove: Remove) -> Written:
    if step.after is None:
        # Gone meanwhile is as good as deleted: by someone else, or with what it belonged to.
        with contextlib.suppress(NotFound):
            await remove(step.key, int(step.revision) if step.revision else None)
        return Written(step.key, _outcome(step), before=step.before, unreadable=_trouble(step))
    for _ in range(ATTEMPTS - 1):
        try:
            return await _write(store, step)
        except (AlreadyExists, NotFound, StaleRevision):
            if step.wish is None or step.revision:
                raise
            step = await step_for(store, step.wish)
    return await _write(store, step)


async def _write(store: ResourceStore, step: Step) -> Written:
    outcome = _outcome(step)
    if step.after is None or not step.changes:
        return Written(step.key, outcome, step.before, step.before)
    if step.unreadable:
        healed = await store.heal(step.after, step.unreadable.stored)
        return Written(step.key, outcome, healed, unreadable=_trouble(step))
    if step.before is None:
        return Written(step.key, outcome, await store.create(step.after))
    return Written(step.key, outcome, await store.update(step.after, keep_unknown=True), step.before)


def _trouble(step: Step) -> str:
    return step.unreadable.reason if step.unreadable else ""


def _outcome(step: Step) -> str:
    if step.after is None:
        return "deleted"
    if step.wish is not None and step.wish.skip and step.before is not None:
        return "skipped"
    if not step.changes:
        return "unchanged"
    return "changed" if step.before is not None or step.unreadable else "created"
