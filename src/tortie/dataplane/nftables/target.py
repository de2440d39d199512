"""The packet filter as a reconciler's target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path

import structlog

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.connection import Connection
from tortie.dataplane.nftables.counters import Counted, CounterTotals, counted, counted_beside
from tortie.dataplane.nftables.host_plan import concerns_hosts, idle, touched
from tortie.dataplane.nftables.model import Kernel
from tortie.dataplane.nftables.operations import (
    Against,
    CreateTable,
    DeleteChain,
    DeleteTable,
    FillChain,
    Operation,
    evolve,
)
from tortie.dataplane.nftables.packing import transactions
from tortie.dataplane.nftables.planning import plan_all, plan_changes
from tortie.dataplane.nftables.renderings import Renderings
from tortie.dataplane.nftables.rule_names import RuleName, RuleNames
from tortie.dataplane.nftables.rules import identity_of
from tortie.dataplane.nftables.settings import Settings
from tortie.dataplane.target import Plan
from tortie.desired.hosts import Guardians, guardians
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.nftables import INET, Table
from tortie.netlink.nftables_dump import RuleInfo

_FEW_CHAINS = 16
REMEMBERED = 50_000
"""Names of rules from which on those are forgotten that are neither in the kernel nor about to be."""

Addresses = Callable[[], Mapping[str, Collection[Cidr]]]


class NftablesTarget:
    """Table `inet tortie`: policy, anti-spoofing, IP sets.

    Args:
        settings: hold until the desired state has some; the table and the prefixes of workloads are always these.
        names: path of the table of rule identities; None keeps none.
        addresses: tells, in the event loop, what addresses interfaces have as of the last event heard.

    Attributes:
        tables_made: how often the table was made anew; the kernel then numbers rules from the beginning.
    """

    def __init__(
        self, settings: Settings | None = None, names: Path | None = None, addresses: Addresses = dict
    ) -> None:
        self.settings = settings or Settings()
        self.tables_made = 0
        self._addresses = addresses
        self._table = Table(INET, self.settings.table)
        self._connection = Connection(self._table)
        self._names = RuleNames(names) if names else None
        self._totals = CounterTotals(counted_beside(names) if names else None)
        self._remembered = REMEMBERED
        self._renderings = Renderings()
        self._log = structlog.get_logger(target=self.name)

    @property
    def name(self) -> str:
        """For status, logs and metrics."""
        return "nftables"

    @property
    def connection(self) -> Connection:
        """To tell our own changes from those of others."""
        return self._connection

    def read(self) -> Kernel:
        """Everything in our table; the last answer when nobody else changed the table since. Raises KernelError."""
        return self._connection.read()

    def plan(self, desired: DesiredState, actual: Kernel, changes: Changes | None) -> Plan[Operation]:
        """How to get from `actual` to `desired`."""
        settings = desired.settings.filter if desired.settings else self.settings
        known = self._renderings
        if changes is not None and not changes.settings and not concerns_hosts(desired, changes):
            return _plan(actual, plan_changes(settings, desired, actual, changes, renderings=known))
        addresses = self._addresses()
        guards = self._guards(desired, addresses)
        waiting = idle(desired, guards, addresses)
        if changes is None:
            return _plan(actual, plan_all(settings, desired, actual, guards, known), waiting)
        if changes.settings:
            operations = plan_all(settings, desired, actual, guards, known)
        else:
            operations = plan_changes(settings, desired, actual, changes, guards, known)
        return _plan(actual, operations, waiting, touched(desired, changes) - waiting.keys())

    def apply(self, operations: Sequence[Operation]) -> None:
        """Carry out a plan: what changes verdicts in one transaction, the filling of new sets before it.

        Raises:
            KernelError: refused; ERESTART when somebody else changed the table since `actual` was read.
        """
        if not operations:
            return
        self.tables_made += any(isinstance(one, CreateTable) for one in operations)
        self._record_names(operations)
        replaced = counted(self._replaced_rules(operations))
        base = next((one.generation for one in operations if isinstance(one, Against)), None)
        self._connection.commit(transactions(self._table, operations), base)
        self._keep_counted(replaced)

    def applied(self, actual: Kernel, plan: Plan[Operation]) -> Kernel:
        """The mirror after the plan; changed in place."""
        return self._connection.remember(evolve(actual, plan.operations)) if plan.operations else actual

    def counters(self) -> dict[int, tuple[int, int]]:
        """Packets and bytes by rule identity, since `counting_since`. Raises KernelError."""
        return self._totals.together_with(counted(self._connection.rules()))

    @property
    def counting_since(self) -> float:
        """When counting began, in seconds since the epoch."""
        return self._totals.since

    def rule_name(self, identity: int) -> RuleName | None:
        """Whose rule it is, if it was ever recorded."""
        return self._names.find(identity) if self._names else None

    def rules(self) -> list[RuleInfo]:
        """All rules that are there. Raises KernelError."""
        return self._connection.rules()

    def _keep_counted(self, replaced: Counted) -> None:
        try:
            self._totals.add(replaced)
        except OSError as error:
            self._log.warning("counters not recorded", reason=str(error))

    def _guards(self, desired: DesiredState, addresses: Mapping[str, Collection[Cidr]]) -> Guardians:
        prefixes = self.settings.interface_prefixes
        own = {name: held for name, held in addresses.items() if not name.startswith(prefixes)}
        return guardians(desired.host_endpoints.values(), own)

    def _record_names(self, operations: Sequence[Operation]) -> None:
        """A full disk must not keep policy from the kernel."""
        try:
            if self._names:
                self._names.record(_names(operations))
                self._forget(self._names, operations)
        except OSError as error:
            self._log.warning("rule names not recorded", reason=str(error))

    def _forget(self, names: RuleNames, operations: Sequence[Operation]) -> None:
        """Policies come and go for years; what is known of the gone must not fill memory and disk. Raises OSError."""
        kernel = self._connection.mirror
        if kernel is None or names.count <= self._remembered:
            return
        used = {identity_of(tag) for chain in kernel.chains.values() for tag in chain.tags}
        used |= {one.identity for one in _names(operations)}
        self._remembered = max(REMEMBERED, 2 * len(used))
        names.keep(used)
        self._totals.keep(used)

    def _replaced_rules(self, operations: Sequence[Operation]) -> Iterator[RuleInfo]:
        """The rules that the plan takes away, with what they have counted."""
        chains = {
            one.name for one in operations if isinstance(one, DeleteChain) or (isinstance(one, FillChain) and one.flush)
        }
        everything = any(isinstance(one, DeleteTable) for one in operations)
        if everything or len(chains) > _FEW_CHAINS:
            yield from (rule for rule in self._connection.rules() if everything or rule.chain in chains)
        else:
            for chain in chains:
                yield from self._connection.rules(chain)


def _plan(
    actual: Kernel,
    operations: Sequence[Operation],
    waiting: Mapping[str, str] | None = None,
    settled: Set[str] = frozenset(),
) -> Plan[Operation]:
    return Plan([Against(actual.generation), *operations] if operations else [], waiting or {}, settled)


def _names(operations: Sequence[Operation]) -> Iterator[RuleName]:
    for one in operations:
        if isinstance(one, FillChain):
            origin = one.origin
            for index in dict.fromkeys(rule.index for rule in one.rules):
                yield RuleName(origin.kind, origin.namespace, origin.name, one.direction, index)
