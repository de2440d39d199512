"""The calculation alone: whole clusters from stored bytes to desired state, and single changes against large ones.

Usage: calculation.py [ROW [ARGUMENT]]; without a row, all of them, each in a process of its own, because memory is
measured too. What the IP sets hold is checked against what the made-up cluster says. Figures of the peer (Calico's
Felix, in Go, and Antrea) were recorded on a machine of the same kind, not measured here.
"""

from __future__ import annotations

import gc
import hashlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice

import msgspec
from workloads import snapshots
from workloads.snapshots import Snapshot, digest
from workloads.stored import HERE, Stored, decoded

from tortie.api.resource import ResourceKey
from tortie.calculation.columns import Columns
from tortie.calculation.graph import Calculation
from tortie.calculation.ipsets import IPSets, SetSpec
from tortie.calculation.items import Item
from tortie.calculation.labels import LabelIndex
from tortie.calculation.problems import Problems
from tortie.calculation.services import Services
from tortie.calculation.steps import finished
from tortie.desired.delta import Delta
from tortie.desired.policy import SetId
from tortie.selector.parser import parse

BATCH = 1_000
OPERATIONS = 2_000


class Spent(msgspec.Struct):
    """Processor seconds by stage."""

    decode: float = 0.0
    calculate: float = 0.0
    flush: float = 0.0
    wall: float = 0.0


def snapshot(cluster: Snapshot) -> None:
    """Everything once, in sync, flushed; then this node's endpoints are deleted, and flushed again."""
    base, began = memory(), time.perf_counter()
    calculation, spent = Calculation(HERE), Spent()
    for group in (*cluster.groups, cluster.local):
        feed(calculation, group(), spent)
    calculation.set_in_sync()
    delta = timed_flush(calculation, spent)
    peak = memory() - base
    spent.wall = time.perf_counter() - began
    check(delta, cluster.sets())
    for key, _ in cluster.local():
        calculation.update(key, None)
    gone = timed_flush(calculation, Spent())
    assert len(gone.removed_endpoints) == len(delta.endpoints), "all endpoints are gone again"
    work = spent.calculate + spent.flush
    print(
        f"calculation {work:6.2f} s CPU (flush {spent.flush:.2f})   from bytes {work + spent.decode:6.2f} s   "
        f"peak +{peak:4.0f} MB   {messages(delta)} messages   sets {fingerprint(delta)}"
    )


def feed(calculation: Calculation, resources: Iterator[Stored], spent: Spent) -> None:
    """Decode and hand over, a batch at a time, as the agent does."""
    while batch := list(islice(resources, BATCH)):
        began = time.process_time()
        values = decoded(batch)
        middle = time.process_time()
        for key, value in values:
            calculation.update(key, value)
        spent.decode += middle - began
        spent.calculate += time.process_time() - middle


def timed_flush(calculation: Calculation, spent: Spent) -> Delta:
    began = time.process_time()
    delta = calculation.flush()
    spent.flush += time.process_time() - began
    return delta


def check(delta: Delta, wanted: list[str]) -> None:
    found = sorted(digest(one.members.hosts4) for one in delta.sets)
    assert found == sorted(wanted), f"{len(found)} sets do not hold what they should ({len(wanted)} wanted)"


def messages(delta: Delta) -> int:
    return sum(map(len, (delta.sets, delta.policies, delta.endpoints, delta.routes)))


def fingerprint(delta: Delta) -> str:
    """One short hash of all sets."""
    whole = hashlib.sha256()
    for one in sorted(delta.sets, key=lambda each: each.id):
        whole.update(one.id.encode() + one.members.hosts4)
    return whole.hexdigest()[:12]


class Index:
    """Items, labels and sets without endpoints of this node or policies."""

    def __init__(self) -> None:
        self.labels = LabelIndex()
        self.columns = Columns(self.labels)
        self.sets = IPSets(self.columns, self.labels, Services(Problems()))

    def put(self, number: int, labels: dict[str, str], parent: str) -> None:
        address = (10 << 24 | number).to_bytes(4, "big")
        item = Item(tuple(sorted(labels.items())), (parent,), address)
        self.columns.put(ResourceKey("WorkloadEndpoint", "default", f"endpoint-{number}"), item)

    def flush(self) -> int:
        output = finished(self.sets.flush(self.labels.take_changes()))
        self.columns.settle()
        return len(output.sets) + len(output.changes) + len(output.removed)


def set_of(text: str, name: str = "") -> SetSpec:
    selector = parse(text)
    return SetSpec(SetId(name or selector.unique_id), selector)


def endpoint_updates(selectors: int) -> None:
    """New endpoints that one of many selectors selects: each flushed by itself, and a thousand together."""
    index = Index()
    index.sets.acquire(set_of(f'alpha == "beta" && has(ipset-{number})') for number in range(selectors))
    index.flush()
    numbers = count(1)

    def add() -> None:
        number = next(numbers)
        index.put(number, {"alpha": "beta", "ipset-1": "true"}, f"parent-{number}")

    def together() -> None:
        for _ in range(BATCH):
            add()
        assert index.flush() == 1

    def alone() -> None:
        add()
        assert index.flush() == 1

    report(f"{selectors:6} selectors", {"alone": (alone, 1), "of a thousand": (together, BATCH)})


def new_selectors(endpoints: int) -> None:
    """One selector more; one in ten selects every endpoint, the others none."""
    index = Index()
    for number in range(endpoints):
        index.put(number, {"alpha": "beta", "ipset-1": "true"}, f"parent-{number}")
    index.flush()
    numbers = count()

    def add(which: int) -> None:
        spec = set_of(f'alpha == "beta" && has(ipset-{which})', f"set-{next(numbers)}")
        index.sets.acquire([spec])
        index.flush()
        index.sets.release([spec])
        index.flush()

    report(f"{endpoints:6} endpoints", {"selects all": (lambda: add(1), 1), "selects none": (lambda: add(2), 1)})


def parent_updates(endpoints: int) -> None:
    """A parent of one endpoint gets another value of one of its three labels."""
    index = Index()
    index.sets.acquire(set_of(f'projectcalico.org/name == "namespace-{number}"') for number in range(100))
    for number in range(endpoints):
        index.put(number, {"alpha": "beta", "ipset-1": "true"}, f"parent-{number}")
    index.flush()
    numbers = count()

    def change() -> None:
        number = next(numbers)
        labels = {"projectcalico.org/name": f"namespace-{number}", "one": "1", "other": str(number)}
        index.labels.set_parent(f"parent-{number % endpoints}", labels)
        index.flush()

    report(f"{endpoints:6} endpoints", {"one parent": (change, 1)})


def report(what: str, works: dict[str, tuple[Callable[[], object], int]]) -> None:
    """Microseconds of processor time an operation: the least and the median of rounds."""
    told = []
    for name, (work, operations) in works.items():
        rounds = [spent_on(work) / operations * 1e6 for _ in range(max(OPERATIONS // operations, 20))]
        told.append(f"{name}: min {min(rounds):9.1f} µs, median {statistics.median(rounds):9.1f} µs")
    print(f"{what}   " + "   ".join(told))


def spent_on(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def memory() -> float:
    """Most that the process ever used, in megabytes."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


Row = tuple[str, Callable[[int], None], dict[int, str]]
ROWS: dict[str, Row] = {
    "1": (
        "snapshot, 10,000 tag policies",
        lambda endpoints: snapshot(snapshots.tag_policies(endpoints)),
        {10_000: "", 250_000: "peer 16.5 s, 282 MB; aim 3 s, 200 MB"},
    ),
    "2": (
        "snapshot, policies with network sets",
        lambda policies: snapshot(snapshots.network_sets(policies)),
        {1_000: "peer 2.0 s, 97 MB; aim 1 s", 10_000: "peer 24.6 s, 790 MB; aim 5 s"},
    ),
    "3": (
        "isolated customers",
        lambda customers: snapshot(snapshots.customers(customers)),
        {
            1_000: "peer 0.14 s, 9 MB; aim 0.1 s",
            10_000: "peer 0.75 s, 38 MB; aim 0.5 s",
            100_000: "peer 15.1 s, 315 MB; aim 3 s",
        },
    ),
    "4": (
        "one endpoint update",
        endpoint_updates,
        {10: "peer 13 µs", 100: "peer 46 µs", 1_000: "peer 420 µs", 10_000: "peer 11,000 µs; aim 5 µs, flat"},
    ),
    "5": (
        "one new selector",
        new_selectors,
        {100: "peer 22 µs", 1_000: "peer 180 µs", 10_000: "peer 2,300 µs", 100_000: "peer 24,000 µs; aim 2,000 µs"},
    ),
    "6": (
        "one label of a parent",
        parent_updates,
        {100: "peer 11-19 µs", 1_000: "", 10_000: "", 100_000: "aim 20 µs"},
    ),
    "13": (
        "a whole cluster, of namespaces of four pods and three policies",
        lambda namespaces: snapshot(snapshots.whole_cluster(namespaces)),
        {25_000: "Antrea 5.8-6.4 s, 1.5-1.7 GB; aim 4 s, 600 MB"},
    ),
}


def main(arguments: Iterable[str]) -> None:
    match list(arguments):
        case [row, argument]:
            ROWS[row][1](int(argument))
        case [row]:
            all_of([row])
        case _:
            all_of(ROWS)


def all_of(rows: Iterable[str]) -> None:
    for row in rows:
        title, _, sizes = ROWS[row]
        print(f"{row}. {title}")
        for size, recorded in sizes.items():
            print(f"  {size:7,}  {recorded}", flush=True)
            subprocess.run([sys.executable, __file__, row, str(size)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
