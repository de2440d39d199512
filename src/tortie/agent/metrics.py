"""Prometheus metrics of an agent, read from its report when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tortie.agent.status import AgentReport, TargetReport

_GAUGES: tuple[tuple[str, str, Callable[[AgentReport], float]], ...] = (
    ("tortie_agent_ready", "1 once everything was programmed", lambda report: float(report.ready)),
    ("tortie_datastore_in_sync", "1 once the datastore was read", lambda report: float(report.in_sync)),
    ("tortie_endpoints_local", "Endpoints of this node", lambda report: report.endpoints),
    ("tortie_host_endpoints_local", "Host endpoints of this node", lambda report: report.host_endpoints),
    ("tortie_policies_active", "Policies and profiles in force here", lambda report: report.policies),
    ("tortie_sets_active", "IP sets in use here", lambda report: report.sets),
    ("tortie_routes_local", "Routes to local workloads", lambda report: report.routes),
    ("tortie_resources_rejected", "Resources that cannot be used", lambda report: len(report.rejected)),
    ("tortie_paths_narrow", "Other nodes that full packets do not reach", lambda report: report.narrow_paths),
    ("felix_active_local_endpoints", "As tortie_endpoints_local", lambda report: report.endpoints),
    ("felix_active_local_policies", "As tortie_policies_active", lambda report: report.policies),
)

_TARGETS: tuple[tuple[str, str, Callable[[TargetReport], float]], ...] = (
    ("tortie_dataplane_operations", "Kernel operations carried out", lambda target: target.operations),
    ("tortie_dataplane_full_passes", "Whole comparisons with the kernel", lambda target: target.full_passes),
    ("tortie_dataplane_drifts", "Foreign changes that were looked into", lambda target: target.drifts),
    ("tortie_dataplane_failures", "Attempts that the kernel refused", lambda target: target.failures),
)


class _AgentCollector(Collector):
    def __init__(self, report: Callable[[], AgentReport]) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        report = self._report()
        for name, meaning, value in _GAUGES:
            yield GaugeMetricFamily(name, meaning, value=value(report))
        for name, meaning, count in _TARGETS:
            family = CounterMetricFamily(name, meaning, labels=["target"])
            for target in report.targets:
                family.add_metric([target.name], count(target))
            yield family
        waiting = GaugeMetricFamily("tortie_dataplane_waiting_objects", "Wanted, not possible yet", labels=["target"])
        for target in report.targets:
            waiting.add_metric([target.name], len(target.waiting))
        yield waiting


def registry(report: Callable[[], AgentReport], *more: Collector) -> CollectorRegistry:
    """A registry of one agent's metrics, and those of its process; several agents may live in one."""
    found = CollectorRegistry()
    found.register(_AgentCollector(report))
    for collector in more:
        found.register(collector)
    ProcessCollector(registry=found)
    return found
