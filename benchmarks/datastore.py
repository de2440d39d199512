"""The embedded datastore: commit to notification in another process, writes a second, and a list of 100,000 keys."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_prefix
from tortie.datastore.stream import ResourceStream

SAMPLES = 500
WRITES = 3_000
WRITERS = 4
KEYS = 100_000
ENDPOINTS = resource_prefix("WorkloadEndpoint")
VALUE = (
    b'{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"n1-k8s-pod-eth0",'
    b'"namespace":"default","uid":"5f0c2b52-5b53-4c0a-9f7e-0b6a3f6f2d11","creationTimestamp":"2026-08-23T09:00:00Z",'
    b'"labels":{"app":"web","projectcalico.org/namespace":"default","projectcalico.org/orchestrator":"k8s"}},'
    b'"spec":{"orchestrator":"k8s","node":"n1","pod":"pod","endpoint":"eth0","ipNetworks":["10.0.0.1/32"],'
    b'"profiles":["kns.default"],"interfaceName":"cali0123456789a","mac":"ee:ee:ee:ee:ee:ee"}}'
)


def report(what: str, figure: float, unit: str) -> None:
    print(f"{what:58s} {figure:10.2f} {unit}")


def _run_child(path: Path, pipe: Connection, work: Callable[[Path, Connection], Awaitable[None]]) -> None:
    asyncio.run(work(path, pipe))


async def _note_arrivals(path: Path, pipe: Connection) -> None:
    """Send the moment at which each change was seen."""
    datastore = await EmbeddedDatastore.open(path)
    count = 0
    pipe.send("ready")
    async for batch in datastore.watch("/latency/", 0):
        now = time.monotonic()
        count += len(batch.events)
        pipe.send([now] * len(batch.events))
        if count >= SAMPLES:
            break
    await datastore.close()


async def _write_many(path: Path, pipe: Connection) -> None:
    """Write one after the other, each waiting for its acknowledgement."""
    datastore = await EmbeddedDatastore.open(path)
    pipe.send("ready")
    pipe.recv()
    for number in range(WRITES // WRITERS):
        await datastore.put(f"/contended/{number}", VALUE)
    await datastore.close()
    pipe.send("done")


def spawn(path: Path, work: Callable[[Path, Connection], Awaitable[None]]) -> Connection:
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.Process(target=_run_child, args=(path, theirs, work), daemon=True).start()
    ours.recv()
    return ours


async def latency(path: Path) -> None:
    pipe = spawn(path, _note_arrivals)
    await asyncio.sleep(0.2)
    datastore = await EmbeddedDatastore.open(path)
    called, acknowledged, arrived = [], [], []
    for number in range(SAMPLES):
        called.append(time.monotonic())
        await datastore.put(f"/latency/{number}", VALUE)
        acknowledged.append(time.monotonic())
        arrived += await asyncio.to_thread(pipe.recv)
        await asyncio.sleep(0.002)
    await datastore.close()
    for name, since in (("acknowledgement", acknowledged), ("call of put", called)):
        delays = [1000 * (seen - begun) for begun, seen in zip(since, arrived, strict=True)]
        cuts = statistics.quantiles(delays, n=100)
        report(f"{name} -> seen in another process, p50", cuts[49], "ms")
        report(f"{name} -> seen in another process, p99", cuts[98], "ms")
        report(f"{name} -> seen in another process, max", max(delays), "ms")


async def throughput(path: Path) -> None:
    datastore = await EmbeddedDatastore.open(path)
    begun = time.monotonic()
    for number in range(WRITES):
        await datastore.put(f"/one/{number}", VALUE)
    report("writes, one after the other", WRITES / (time.monotonic() - begun), "/s")
    begun = time.monotonic()
    await asyncio.gather(*(datastore.put(f"/many/{number}", VALUE) for number in range(10 * WRITES)))
    report("writes, all at once", 10 * WRITES / (time.monotonic() - begun), "/s")
    await datastore.close()


def contended(path: Path) -> None:
    pipes = [spawn(path, _write_many) for _ in range(WRITERS)]
    begun = time.monotonic()
    for pipe in pipes:
        pipe.send("go")
    for pipe in pipes:
        pipe.recv()
    report(f"writes, one after the other in each of {WRITERS} processes", WRITES / (time.monotonic() - begun), "/s")


async def listing(path: Path) -> None:
    datastore = await EmbeddedDatastore.open(path)
    names = (f"{ENDPOINTS}default/n1-k8s-pod{number}-eth0" for number in range(KEYS))
    begun = time.monotonic()
    await asyncio.gather(*(datastore.put(name, VALUE) for name in names))
    report(f"write of {KEYS} keys", time.monotonic() - begun, "s")
    begun = time.monotonic()
    assert len((await datastore.list(ENDPOINTS)).items) == KEYS
    report(f"list of {KEYS} keys", 1000 * (time.monotonic() - begun), "ms")
    begun = time.monotonic()
    async for batch in ResourceStream(datastore, ["WorkloadEndpoint"], SystemClock()).batches():
        if batch.in_sync:
            break
    report(f"stream of {KEYS} endpoints, decoded, to its in-sync mark", 1000 * (time.monotonic() - begun), "ms")
    await datastore.close()


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        asyncio.run(latency(Path(folder) / "latency.db"))
        asyncio.run(throughput(Path(folder) / "throughput.db"))
        contended(Path(folder) / "contended.db")
        asyncio.run(listing(Path(folder) / "listing.db"))


if __name__ == "__main__":
    main()
