"""The loop that checks addresses again and again, and frees those that are proven to be nobody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.base.errors import TortieError
from tortie.base.logs import Logger
from tortie.controllers.judgement import GRACE, Sight, Suspect, Verdict, judge, remember
from tortie.datastore.contract import Datastore
from tortie.datastore.migration import is_locked
from tortie.datastore.resources import ResourceStore
from tortie.datastore.testimony import TESTIMONY_ROOT, read_testimonies
from tortie.ipam.allocator import Allocator
from tortie.ipam.audit import Finding
from tortie.ipam.errors import ReleaseConflict
from tortie.ipam.inspection import inspect, leaks, record_of
from tortie.ipam.report import Books, read_books
from tortie.ipam.requests import ReleaseRequest
from tortie.selector.check import selector_problem

INTERVAL = 300.0
"""Seconds between two checks."""

_log = Logger(__name__)


class Checked(msgspec.Struct, frozen=True):
    """What the last check found.

    Args:
        findings: what two checks in a row found.
        freed: how many addresses were freed since the process began to lead.
        problem: why it could not be checked; empty when it could.
    """

    books: Books | None = None
    findings: tuple[Finding, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    freed: int = 0
    checks: int = 0
    problem: str = ""


class AddressController:
    """Checks, and frees.

    Args:
        may_act: whether this process leads; asked again before every address that is freed.
        grace: seconds for which an address must have been without a user.
        dry_run: only say what would be freed.
    """

    def __init__(
        self,
        datastore: Datastore,
        clock: Clock,
        may_act: Callable[[], bool],
        grace: float = GRACE,
        dry_run: bool = False,
    ) -> None:
        self._datastore = datastore
        self._clock = clock
        self._may_act = may_act
        self._grace = grace
        self._dry_run = dry_run
        self._store = ResourceStore(datastore, clock, selector_problem)
        self._allocator = Allocator(datastore, clock, Random())
        self._suspects: dict[str, Suspect] = {}
        self._seen: frozenset[Finding] = frozenset()
        self._told: dict[str, str] = {}
        self.checked = Checked()

    async def run(self, interval: float = INTERVAL) -> None:
        """Work until cancelled."""
        while True:
            if self._may_act():
                await self.check()
            else:
                # Who begins to lead begins to count: what another saw, this one has not.
                self._suspects, self._seen = {}, frozenset()
            await self._clock.sleep(interval)

    async def check(self) -> Checked:
        """Look once, and free what is proven to be nobody's."""
        try:
            books, sight = await self._look()
            self._suspects = remember(self._suspects, sight)
            verdicts = judge(self._suspects, sight, self._grace)
            self._tell(verdicts)
            found = frozenset(inspect(books.snapshot, books.users, books.pools))
            confirmed, self._seen = tuple(sorted(found & self._seen)), found
            freed = await self._free(verdicts)
        except TortieError as error:
            _log.warning("addresses_not_checked", reason=str(error))
            self.checked = msgspec.structs.replace(self.checked, problem=str(error))
        else:
            self.checked = Checked(books, confirmed, verdicts, self.checked.freed + freed, self.checked.checks + 1)
            _log.info(
                "addresses_checked",
                findings=dict(Counter(finding.kind for finding in confirmed)),
                suspects=len(verdicts),
                freed=freed,
            )
        return self.checked

    async def _look(self) -> tuple[Books, Sight]:
        """Nodes testify after the records were read: what they say is no older than what is suspected."""
        books = await read_books(self._datastore, self._store, self._clock, Random())
        revision = (await self._datastore.list(TESTIMONY_ROOT)).revision
        found = leaks(books.snapshot, inspect(books.snapshot, books.users, books.pools))
        nodes = frozenset(key.name for key in await self._store.keys("Node"))
        testimonies = await read_testimonies(self._datastore)
        facts = {leak.address: _facts(books, leak.address) for leak in found}
        return books, Sight(found, facts, nodes, testimonies, revision, self._clock.monotonic())

    async def _free(self, verdicts: tuple[Verdict, ...]) -> int:
        """Look again right before: only what is still as it was judged is freed."""
        wanted = [verdict for verdict in verdicts if verdict.free]
        if not wanted or self._dry_run or await is_locked(self._store):
            return 0
        _, sight = await self._look()
        again = {one.leak: one for one in judge(remember(self._suspects, sight), sight, self._grace)}
        freed = 0
        for verdict in wanted:
            latest = again.get(verdict.leak)
            if self._may_act() and latest and latest.free:
                freed += await self._free_one(latest)
        return freed

    async def _free_one(self, verdict: Verdict) -> int:
        leak = verdict.leak
        request = ReleaseRequest(Cidr.host(leak.address), leak.handle, leak.sequence_number)
        try:
            released = (await self._allocator.release([request])).released
        except ReleaseConflict as conflict:
            _log.info("address_kept", address=leak.address, handle=leak.handle, reason=str(conflict))
            return 0
        _log.info("address_freed", address=leak.address, handle=leak.handle, reason=verdict.reason)
        return len(released)

    def _tell(self, verdicts: tuple[Verdict, ...]) -> None:
        """Each decision once, and again when its reason is another; how long it has waited is none."""
        reasons = {one.leak.address: one.reason for one in verdicts if not one.reason.startswith("suspected")}
        for address, reason in reasons.items():
            if self._told.get(address) != reason:
                _log.info("address_judged", address=address, reason=reason)
        self._told = reasons


def _facts(books: Books, address: str) -> Mapping[str, str]:
    return record_of(books.snapshot, Cidr.host(address)) or {}
