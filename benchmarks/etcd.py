"""The etcd driver against a server of its own: decoding, writes a second, a list of 100,000 keys, and watches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

from tortie.base.errors import Unavailable
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.wire import integer, message, text

KEYS = 100_000
PAGE = 10_000
WRITES = 500
IN_FLIGHT = 64
EVENTS = 20_000
VALUE = bytes(700)


def report(what: str, figure: float, unit: str) -> None:
    print(f"{what:58s} {figure:10.2f} {unit}")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def server(folder: str) -> Iterator[str]:
    """An etcd that lives as long as the block; yields its URL."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = ["etcd", f"--data-dir={folder}/data", "--quota-backend-bytes=8000000000"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
    command += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield client
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[EtcdDatastore]:
    store = await EtcdDatastore.open(EtcdSettings(endpoints=[url]))
    for _ in range(200):
        with contextlib.suppress(Unavailable):
            await store.get("/")
            break
        await asyncio.sleep(0.05)
    yield store
    await store.close()


def decoding() -> None:
    """A page as the server sends it; the best of several, since others use the machine."""
    stored = [
        text(1, b"/calico/resources/v3/projectcalico.org/workloadendpoints/default/n1-k8s-pod%d-eth0" % number)
        + integer(2, number + 1)
        + integer(3, 100_000 + number)
        + integer(4, 2)
        + text(5, VALUE)
        for number in range(PAGE)
    ]
    page = b"".join(message(2, item) for item in stored)
    seconds = []
    for _ in range(7):
        begun = time.perf_counter()
        assert len(messages.key_values(messages.range_page(page))) == PAGE
        seconds.append(time.perf_counter() - begun)
    report(f"decoding of a page of {PAGE} keys", 1000 * min(seconds), "ms")


async def writes(store: EtcdDatastore) -> None:
    seconds = []
    for number in range(WRITES):
        begun = time.perf_counter()
        await store.create(f"/one/{number}", VALUE)
        seconds.append(time.perf_counter() - begun)
    report("create, one after the other, p50", 1000 * statistics.median(seconds), "ms")

    async def write(lane: int) -> None:
        for number in range(10 * WRITES // IN_FLIGHT):
            await store.put(f"/many/{lane}.{number}", VALUE)

    begun = time.perf_counter()
    await asyncio.gather(*(write(lane) for lane in range(IN_FLIGHT)))
    report(f"puts, {IN_FLIGHT} in flight", 10 * WRITES / (time.perf_counter() - begun), "/s")


async def fill(url: str) -> None:
    """Write many keys, a hundred in each transaction."""
    cluster = Cluster(EtcdSettings(endpoints=[url]))
    for begin in range(0, KEYS, 100 * 8):
        await asyncio.gather(
            *(
                cluster.call(messages.TXN, b"".join(_put_operation(number) for number in range(first, first + 100)))
                for first in range(begin, min(begin + 800, KEYS), 100)
            )
        )
    await cluster.close()


def _put_operation(number: int) -> bytes:
    return message(2, message(2, messages.put_request(b"/p/%06d" % number, VALUE)))


async def listing(store: EtcdDatastore) -> None:
    begun, processor = time.perf_counter(), time.process_time()
    assert len((await store.list("/p/")).items) == KEYS
    report(f"list of {KEYS} keys", time.perf_counter() - begun, "s")
    report(f"list of {KEYS} keys, processor time of the client", time.process_time() - processor, "s")


async def watching(store: EtcdDatastore) -> None:
    start = (await store.get("/p/000000")) or sys.exit("no keys")
    seen = 0
    begun, processor = time.perf_counter(), time.process_time()
    async with aclosing(store.watch("/p/", start.revision)) as watch:
        async for batch in watch:
            seen += len(batch.events)
            if seen >= EVENTS:
                break
    report("watch from an old revision", seen / (time.perf_counter() - begun), "events/s")
    report("the same, processor time of the client", 1e6 * (time.process_time() - processor) / seen, "us/event")


async def latency(store: EtcdDatastore) -> None:
    delays = []
    async with aclosing(store.watch("/latency/", await store.put("/latency/0", b"") - 1)) as watch:
        await anext(watch)
        for _ in range(WRITES):
            await store.put("/latency/0", VALUE)
            begun = time.perf_counter()
            await anext(watch)
            delays.append(time.perf_counter() - begun)
    report("acknowledgement of a put -> seen by a watch, p50", 1000 * statistics.median(delays), "ms")


async def measure(url: str) -> None:
    async with opened(url) as store:
        await writes(store)
        await latency(store)
        await fill(url)
        await listing(store)
        await watching(store)


def main() -> None:
    decoding()
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder, server(folder) as url:
        asyncio.run(measure(url))


if __name__ == "__main__":
    main()
