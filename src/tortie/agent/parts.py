"""What an agent consists of once its datastore is open, and what these parts know for its report."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tortie.agent.cutting import Cutter
from tortie.agent.feed import Feed
from tortie.agent.host_watch import HostWatch
from tortie.agent.moving import Movers
from tortie.agent.node_statuses import NodeStatuses
from tortie.agent.observing import Observed
from tortie.agent.path_probe import PathProbe
from tortie.agent.reporting import Reporter
from tortie.agent.status import AgentReport, DatastoreReport, TargetReport
from tortie.agent.trials import Trials
from tortie.agent.tunnels import TunnelAddresses
from tortie.calculation.graph import Calculation
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.status import TargetStatus
from tortie.datastore.contract import Datastore
from tortie.datastore.stream import ResourceStream


class Parts(msgspec.Struct, frozen=True):
    """What an agent consists of once its datastore is open."""

    datastore: Datastore
    stream: ResourceStream
    calculation: Calculation
    feed: Feed
    reconciler: Reconciler
    observed: Observed
    reporter: Reporter
    tunnels: TunnelAddresses
    movers: Movers
    statuses: NodeStatuses
    paths: PathProbe
    trials: Trials
    cutter: Cutter | None = None
    host: HostWatch = msgspec.field(default_factory=HostWatch)

    def complete(self, report: AgentReport) -> AgentReport:
        """The report with what these know."""
        desired = self.reconciler.desired
        rejected = {**self.stream.rejected, **self.calculation.problems.current}
        targets = [_target_report(status) for status in self.reconciler.status()]
        return msgspec.structs.replace(
            report,
            in_sync=self.feed.synchronised.is_set(),
            endpoints=len(desired.endpoints),
            host_endpoints=len(desired.host_endpoints),
            policies=len(desired.policies),
            sets=len(desired.sets),
            routes=len(desired.routes),
            moving=self.movers.stages,
            narrow_paths=len(self.paths.narrow),
            targets=targets,
            datastore=self._datastore(report.datastore.place),
            problems=[*report.problems, *self._problems(targets)],
            rejected={str(key): problem for key, problem in rejected.items()},
        )

    def _datastore(self, place: str) -> DatastoreReport:
        if outage := self.stream.outage:
            return DatastoreReport(place, "unavailable", outage)
        if refusal := self.feed.refusal:
            return DatastoreReport(place, "locked", refusal)
        return DatastoreReport(place, "in sync" if self.feed.synchronised.is_set() else "reading")

    def _problems(self, targets: list[TargetReport]) -> Iterator[str]:
        if closed := self.feed.closed:
            yield f"{closed}; what is in the kernel stays in force, and no workload can be attached"
        else:
            yield from self.reporter.problems
            yield from self.statuses.problems
        yield from (f"{target.name} cannot be programmed: {target.reason}" for target in targets if target.reason)
        yield from [self.tunnels.problem] if self.tunnels.problem else []
        yield from self.paths.problems()
        yield from self.trials.problems
        yield from self.host.problems
        yield from self.calculation.conflicts()


def _target_report(status: TargetStatus) -> TargetReport:
    return TargetReport(
        name=status.name,
        state=str(status.phase),
        reason=status.failing,
        waiting=dict(status.waiting),
        operations=status.counters.operations,
        full_passes=status.counters.full_passes,
        drifts=status.counters.drifts,
        failures=status.counters.failures,
    )
