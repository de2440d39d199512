"""`tortie apply --confirm` and `tortie confirm`: a change that is taken back unless somebody says that it may stay."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import click
import msgspec

from tortie.api.durations import SECOND, nanoseconds
from tortie.base.clock import SystemClock
from tortie.base.errors import Conflict, InvalidResource, NotFound, Problem, Unavailable
from tortie.cli.apply import read_or_exit
from tortie.cli.circumstances import before_the_first_write
from tortie.cli.connection import FAILED, fail, with_datastore, with_location, with_store
from tortie.cli.inputs import Input
from tortie.cli.lockout import locked_out
from tortie.cli.manifests import Manifests
from tortie.cli.origin import origin
from tortie.cli.output import complain, say, say_now
from tortie.cli.plan import Plan, plan_writes, rehearse, wish_for
from tortie.cli.probing import Probes
from tortie.cli.report import Showing, reporter
from tortie.cli.writing import nothing_done
from tortie.datastore import pending as trials
from tortie.datastore.contract import Datastore
from tortie.datastore.journal import Replacement
from tortie.datastore.location import Location
from tortie.datastore.migration import refuse_while_importing
from tortie.datastore.pending import Pending
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem
from tortie.selector.parser import parse

MOST_TOGETHER = 25
"""Resources that one transaction can change and record beside what is pending."""

PREPARE_SECONDS = 15.0
_POLL_SECONDS = 0.2
_LEAST_SECONDS = 5.0


class Terms(msgspec.Struct, frozen=True):
    """On which a change holds.

    Args:
        seconds: for its confirmation.
        checks: commands that must succeed.
        nodes: selector of the nodes on which it is tried; all when empty.
        absent: nodes that are not waited for.
    """

    seconds: float
    checks: tuple[str, ...] = ()
    nodes: str = ""
    absent: tuple[str, ...] = ()


def terms_of(confirm: str, checks: Sequence[str], nodes: str, absent: Sequence[str]) -> Terms:
    """What the options say. Raises click.BadParameter."""
    seconds = (nanoseconds(confirm) or 0) / SECOND
    if not seconds or seconds < _LEAST_SECONDS:
        raise click.BadParameter(
            f"{confirm!r} is no time of {_LEAST_SECONDS:.0f}s or more, as 60s or 5m", None, None, "--confirm"
        )
    if nodes and (problem := selector_problem(nodes)):
        raise click.BadParameter(problem, param_hint="--nodes")
    return Terms(seconds, tuple(checks), nodes, tuple(absent))


def try_files(showing: Showing, given: Input, location: Location, terms: Terms) -> None:
    """Apply what files say, on terms; ends with the status: 0 when it stays, 1 when it does not."""
    manifests = read_or_exit(showing, given)
    probes = Probes(location, terms.checks)

    async def work(store: ResourceStore) -> int:
        with before_the_first_write():
            changes = await _changes(store, showing, manifests)
            if changes is None:
                return FAILED
            if not changes:
                say("nothing differs: nothing was written")
                return 0
            await store.ensure_initialized()
            before = await probes.built_in()
            pending = await _prepared(store, changes, terms)
        return await Trial(store, pending, terms, probes, before).run(changes)

    if code := with_store(location, work, create=True):
        sys.exit(code)


async def _changes(store: ResourceStore, showing: Showing, manifests: Manifests) -> list[Replacement] | None:
    """What is to be written; None when something is wrong, which has been told."""
    await refuse_while_importing(store.datastore)
    wishes = [wish_for(item) for item in manifests.items]
    plan: Plan = await rehearse(store, await plan_writes(store, wishes, manifests.broken))
    if plan.refusals or manifests.problems:
        reporter().finish(showing, nothing_done(plan), manifests.problems)
        return None
    steps = [step for step in plan.steps if step.changes and step.after is not None]
    if len(steps) > MOST_TOGETHER:
        problem = f"{len(steps)} resources would change, and {MOST_TOGETHER} can be tried together"
        raise InvalidResource(Problem("apply --confirm", "", problem, "apply them in parts"))
    if lost := await locked_out(store, plan):
        reporter().warn(f"on trial: would cut {one}" for one in lost)
    return [await store.replacement(step.after) for step in steps if step.after is not None]


async def _prepared(store: ResourceStore, changes: Sequence[Replacement], terms: Terms) -> Pending:
    """The offer, once every node is ready to go back by itself.

    Raises:
        Conflict: another change is pending, or a node is not ready.
    """
    for other in await trials.read_pending(store.datastore):
        name = other.pending.change
        raise Conflict(
            name, f"of {other.pending.who} is pending: `tortie confirm {name}`, or with --reject, comes first"
        )
    made = origin()
    writes = tuple(trials.pending_write(one) for one in changes)
    pending = Pending(change=made.change, who=made.who, seconds=terms.seconds, writes=writes, nodes=terms.nodes)
    await trials.offer(store.datastore, pending)
    nodes = {one.metadata.name for one in await store.list("Node")} - set(terms.absent)
    silent = await _silent(store.datastore, pending.change, nodes, (trials.PREPARED, trials.APPLIED), PREPARE_SECONDS)
    if silent:
        await trials.withdraw(store.datastore, pending.change)
        names = ", ".join(sorted(silent))
        remedy = "look at their agents (`tortie node status`), or leave them out with --without NODE"
        raise Conflict(pending.change, f"not ready to go back by themselves: {names}; nothing was written ({remedy})")
    return pending


async def _silent(
    datastore: Datastore, change: str, nodes: set[str], states: tuple[str, ...], seconds: float
) -> set[str]:
    """Which nodes have not said one of these in time."""
    clock = SystemClock()
    ends = clock.monotonic() + seconds
    while True:
        said = await trials.heard(datastore, change)
        silent = {node for node in nodes if said.get(node) not in states}
        if not silent or clock.monotonic() >= ends:
            return silent
        await clock.sleep(_POLL_SECONDS)


class Trial:
    """One change from its application to its end.

    Args:
        before: which built-in checks succeeded before.
    """

    def __init__(self, store: ResourceStore, pending: Pending, terms: Terms, probes: Probes, before: set[str]) -> None:
        self._store = store
        self._datastore = store.datastore
        self._pending = pending
        self._terms = terms
        self._probes = probes
        self._before = before
        self._clock = SystemClock()

    async def run(self, changes: Sequence[Replacement]) -> int:
        """Apply it and see how it ends; the status."""
        change = self._pending.change
        self._pending = await trials.apply_offered(
            self._datastore, self._store.journal, self._pending, changes, self._clock.now()
        )
        for one in changes:
            say_now(f"{one.key} {'created' if one.stored is None else 'changed'}, unless taken back")
        if problems := await self._patiently(self._problems, list):
            for problem in problems:
                complain(problem)
            return await self._taken_back("a check failed")
        if self._terms.checks:
            await trials.confirm(self._datastore, change, self._clock.now())
            say(f"change {change} is confirmed: all checks succeeded")
            return 0
        say_now(f"confirm it within {self._left():.0f} s, best from a new session: tortie confirm {change}")
        return await self._decided()

    def _left(self) -> float:
        return self._pending.until - self._clock.now()

    async def _patiently(self, work: Callable[[], Awaitable[list[str]]], nothing: Callable[[], list[str]]) -> list[str]:
        """What went wrong, with time at an end counted as one."""
        try:
            async with asyncio.timeout(max(0.0, self._left())):
                return await work()
        except TimeoutError:
            return ["the checks took longer than there was time for the confirmation"]
        except Unavailable as error:
            return [f"the datastore is not reached any more: {error}"]

    async def _problems(self) -> list[str]:
        nodes = {one.metadata.name for one in await self._store.list("Node") if self._is_tried_on(one.metadata.labels)}
        awaited = nodes - set(self._terms.absent)
        silent = await _silent(
            self._datastore, self._pending.change, awaited, (trials.APPLIED,), self._pending.seconds / 2
        )
        found = [f"node {name} has not said that it carried it out and still reaches the datastore" for name in silent]
        lost = self._before - await self._probes.built_in()
        return sorted(found) + [f"not reached any more: {what}" for what in sorted(lost)] + await self._probes.checks()

    def _is_tried_on(self, labels: dict[str, str]) -> bool:
        return not self._terms.nodes or parse(self._terms.nodes).matches(labels)

    async def _decided(self) -> int:
        """Wait until it is confirmed or taken back, or its time is over."""
        while self._left() > 0:
            try:
                if await self._datastore.get(trials.PENDING_ROOT + self._pending.change) is None:
                    return await self._told_end()
            except Unavailable as error:
                complain(f"the datastore does not answer: {error}")
            await self._clock.sleep(min(_POLL_SECONDS, max(0.0, self._left())))
        return await self._taken_back("it was not confirmed in time")

    async def _told_end(self) -> int:
        for write in self._pending.writes:
            stored = await self._datastore.get(write.stored_key)
            if write.after is not None and (stored is None or stored.value != write.after.data):
                complain(f"change {self._pending.change} was taken back")
                return FAILED
        say(f"change {self._pending.change} is confirmed")
        return 0

    async def _taken_back(self, why: str) -> int:
        change = self._pending.change
        try:
            left = await _take_back(self._datastore, change, why)
            if left is None:  # somebody else was first: an agent with taking it back, or a person with confirming it
                return await self._told_end()
        except Unavailable as error:
            complain(f"{why}; the datastore does not answer ({error}): agents take change {change} back by themselves")
            return FAILED
        complain(f"change {change} was taken back: {why}")
        for key in left:
            complain(f"{key} was changed meanwhile by somebody else, and stays as it is")
        return FAILED


async def _take_back(datastore: Datastore, change: str, why: str) -> Sequence[object] | None:
    made = msgspec.structs.replace(origin(), why=f"{change}: {why}", change=f"{change}-back")
    return await trials.take_back(datastore, SystemClock(), change, made)


@click.command()
@click.argument("change", required=False)
@click.option("--reject", is_flag=True, help="Take it back now.")
@with_location
def confirm(change: str | None, reject: bool, location: Location) -> None:
    """Let a change hold that was applied with --confirm; the only one that is pending, if none is named.

    \b
      tortie confirm
      tortie confirm 20260721-140502-x7q2
      tortie confirm --reject
    """

    async def work(datastore: Datastore) -> str:
        name = change or await _only_one(datastore)
        if reject:
            if await _take_back(datastore, name, "it was rejected") is None:
                raise NotFound(name)
            return f"change {name} was taken back"
        await trials.confirm(datastore, name, SystemClock().now())
        return f"change {name} is confirmed"

    try:
        say(with_datastore(location, lambda datastore: _named(datastore, work)))
    except Conflict as error:
        fail(error)


async def _named(datastore: Datastore, work: Callable[[Datastore], Awaitable[str]]) -> str:
    try:
        return await work(datastore)
    except NotFound as error:
        raise Conflict(
            error.key, "is not pending: it was confirmed or taken back, or there never was such a change"
        ) from error


async def _only_one(datastore: Datastore) -> str:
    found = [one.pending for one in await trials.read_pending(datastore)]
    if len(found) == 1:
        return found[0].change
    names = ", ".join(one.change for one in found)
    raise Conflict("confirm", f"name one of {names}" if found else "no change is pending")
