"""Prometheus metrics of addresses, from the last check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tortie.controllers.addresses import Checked
from tortie.ipam.audit import CHECKS
from tortie.ipam.report import Books
from tortie.ipam.utilisation import namespace_shares, node_shares, pool_shares

Row = tuple[list[str], float]


class _Addresses(Collector):
    def __init__(self, checked: Callable[[], Checked], leads: Callable[[], bool]) -> None:
        self._checked = checked
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        checked = self._checked()
        yield GaugeMetricFamily("tortie_controllers_leading", "1 while this process acts", float(self._leads()))
        yield CounterMetricFamily("tortie_ipam_checks", "Checks of addresses", checked.checks)
        yield CounterMetricFamily("tortie_ipam_freed_addresses", "Addresses freed as nobody's", checked.freed)
        yield CounterMetricFamily("ipam_allocations_gc_reclamations", "As tortie_ipam_freed_addresses", checked.freed)
        suspects = len(checked.verdicts)
        yield GaugeMetricFamily("tortie_ipam_suspected_addresses", "Held, and used by nobody", suspects)
        yield GaugeMetricFamily("ipam_allocations_gc_candidates", "As tortie_ipam_suspected_addresses", suspects)
        kinds = Counter(finding.kind for finding in checked.findings)
        yield _gauge("tortie_ipam_findings", "Problems, by kind", ["kind"], (([kind], kinds[kind]) for kind in CHECKS))
        if checked.books:
            yield from _shares(checked.books)


def _shares(books: Books) -> Iterator[Metric]:
    pools = pool_shares(books.snapshot, books.pools, books.reserved)
    for name, meaning, field in (
        ("size", "Addresses of a pool", "capacity"),
        ("in_use", "Held addresses of a pool", "in_use"),
        ("cooling", "Released addresses of a pool that nobody gets yet", "cooling"),
        ("free", "Addresses of a pool that can be given", "available"),
        ("reserved", "Addresses of a pool that are never given automatically", "reserved"),
    ):
        rows = (([pool.name], float(getattr(pool.usage, field))) for pool in pools)
        yield _gauge(f"tortie_ipam_pool_{name}_addresses", meaning, ["ippool"], rows)
    yield _gauge(
        "ipam_ippool_size", "As tortie_ipam_pool_size_addresses", ["ippool"],
        (([pool.name], float(pool.usage.capacity)) for pool in pools),
    )  # fmt: skip
    yield from _node_shares(books)
    rows = (([one.namespace, str(one.family)], float(one.in_use)) for one in namespace_shares(books.snapshot))
    yield _gauge("tortie_ipam_namespace_in_use_addresses", "Addresses held", ["namespace", "family"], rows)


def _node_shares(books: Books) -> Iterator[Metric]:
    nodes = node_shares(books.snapshot)
    for name, meaning, field in (
        ("blocks", "Blocks that a node owns", "blocks"),
        ("in_use_addresses", "Addresses held on behalf of a node", "in_use"),
        ("borrowed_addresses", "Of these, in blocks of others", "borrowed"),
        ("free_addresses", "Addresses of its own blocks that nobody holds", "free"),
    ):
        rows = (([one.node, str(one.family)], float(getattr(one, field))) for one in nodes)
        yield _gauge(f"tortie_ipam_node_{name}", meaning, ["node", "family"], rows)


def _gauge(name: str, meaning: str, labels: list[str], rows: Iterable[Row]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def registry(checked: Callable[[], Checked], leads: Callable[[], bool]) -> CollectorRegistry:
    """A registry of these metrics, and those of the process."""
    found = CollectorRegistry()
    found.register(_Addresses(checked, leads))
    ProcessCollector(registry=found)
    return found
