"""Start of an agent's stream on etcd with 250,000 endpoints: against reading the bare pages; memory; compared results.

Usage: etcd_stream.py [KEYS [ROUNDS]]. Each measurement is a process of its own, so that memory can be compared:
`bytes` fetches the pages and drops them, `list` decodes and keeps them, `pages` decodes and drops them, and
`stream` makes resources of them, a batch at a time, as an agent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from tortie.base.clock import SystemClock
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import PAGE_KEYS, EtcdSettings
from tortie.datastore.etcd.wire import message
from tortie.datastore.keys import stream_prefixes
from tortie.datastore.stream import ResourceStream
from tortie.lab.etcd import EtcdCluster, on_loopback

KEYS, ROUNDS = 250_000, 5
KIND = "WorkloadEndpoint"
WAYS = ("bytes", "pages", "list", "stream")
IN_TRANSACTION, IN_FLIGHT = 100, 8


def key_and_value(number: int) -> tuple[bytes, bytes]:
    """An endpoint of about 700 bytes, as Calico stores one."""
    namespace, pod, node = f"ns-{number % 100}", f"pod-{number:06}", f"node-{number % 500:03}"
    stored = {
        "kind": KIND,
        "apiVersion": "projectcalico.org/v3",
        "metadata": {
            "name": f"{node.replace('-', '--')}-k8s-{pod.replace('-', '--')}-eth0",
            "namespace": namespace,
            "uid": f"8d4a1c52-7f6a-4bd1-9d6e-{number:012}",
            "creationTimestamp": "2026-08-23T09:00:00Z",
            "labels": {
                "projectcalico.org/namespace": namespace,
                "projectcalico.org/orchestrator": "k8s",
                **{f"one-in-{k}": f"value-{number % k}" for k in (10, 11, 20, 30, 40)},
            },
        },
        "spec": {
            "orchestrator": "k8s",
            "node": node,
            "pod": pod,
            "endpoint": "eth0",
            "interfaceName": f"cali{number:011x}",
            "ipNetworks": [f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32"],
            "profiles": [f"kns.{namespace}"],
        },
    }
    (prefix,) = stream_prefixes(KIND)
    name = stored["metadata"]["name"]  # type: ignore[index]
    return f"{prefix}{namespace}/{name}".encode(), json.dumps(stored, separators=(",", ":")).encode()


async def fill(url: str, keys: int) -> None:
    cluster = Cluster(EtcdSettings(endpoints=[url], timeout=60))

    async def write(lane: int) -> None:
        for begin in range(lane * IN_TRANSACTION, keys, IN_TRANSACTION * IN_FLIGHT):
            numbers = range(begin, min(begin + IN_TRANSACTION, keys))
            writes = (messages.put_request(*key_and_value(number)) for number in numbers)
            await cluster.call(messages.TXN, b"".join(message(2, message(2, one)) for one in writes))

    await asyncio.gather(*(write(lane) for lane in range(IN_FLIGHT)))
    await cluster.close()


async def read_bytes(url: str, page_keys: int) -> int:
    """The floor: pages one after the other, of which only the last key is decoded."""
    cluster = Cluster(EtcdSettings(endpoints=[url], timeout=60))
    (prefix,) = stream_prefixes(KIND)
    begin, end = messages.prefix_range(prefix.encode())
    seen, revision, more = 0, 0, True
    while more:
        request = messages.range_request(begin, end, page_keys, revision)
        page = messages.range_page(await cluster.call(messages.RANGE, request, repeatable=True))
        seen, revision, more = seen + len(page.places), page.revision, page.more
        begin = messages.key_values(page, -1)[0].key.encode() + b"\0"
    await cluster.close()
    return seen


async def read_store(url: str, page_keys: int, way: str) -> int:
    store = await EtcdDatastore.open(EtcdSettings(endpoints=[url], timeout=60, page_keys=page_keys))
    (prefix,) = stream_prefixes(KIND)
    seen = 0
    if way == "list":
        seen = len((await store.list(prefix)).items)
    elif way == "pages":
        async for page in store.pages(prefix):
            seen += len(page.items)
    else:
        async with aclosing(ResourceStream(store, [KIND], SystemClock()).batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                seen += sum(change.value is not None for change in batch.changes)
                if batch.in_sync:
                    break
    await store.close()
    return seen


def measure(way: str, url: str, page_keys: int) -> None:
    """Print keys, seconds, seconds of processor time, and megabytes by which the process grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, processor = time.perf_counter(), time.process_time()
    seen = asyncio.run(read_bytes(url, page_keys) if way == "bytes" else read_store(url, page_keys, way))
    wall, used = time.perf_counter() - begun, time.process_time() - processor
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([seen, wall, used, grown]))


def run(way: str, url: str, page_keys: int) -> list[float]:
    command = [sys.executable, __file__, "measure", way, url, str(page_keys)]
    found: list[float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def compare(url: str, keys: int, rounds: int) -> None:
    results: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            results[way].append(run(way, url, PAGE_KEYS))
    assert all(seen == keys for found in results.values() for seen, *_ in found)
    floor_wall, floor_used = (min(one[column] for one in results["bytes"]) for column in (1, 2))
    print(f"{keys} endpoints, {rounds} rounds, pages of {PAGE_KEYS}")
    print("way     wall min  median  ratio   cpu min  median  ratio   growth MB (most)")
    for way, found in results.items():
        walls, used, grown = ([one[column] for one in found] for column in (1, 2, 3))
        print(
            f"{way:7} {min(walls):8.2f} {statistics.median(walls):7.2f} {min(walls) / floor_wall:6.2f}"
            f" {min(used):9.2f} {statistics.median(used):7.2f} {min(used) / floor_used:6.2f} {max(grown):9.1f}"
        )
    for page_keys in (1_000, PAGE_KEYS, 20_000):
        _, wall, _, grown = run("pages", url, page_keys)
        print(f"pages of {page_keys:6}: {wall:6.2f} s, {grown:7.1f} MB")


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else KEYS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        cluster = EtcdCluster(Path(folder), on_loopback(["e1"]), options=["--quota-backend-bytes=8000000000"])
        stack.callback(cluster.kill)
        cluster.start()
        cluster.wait()
        (url,) = cluster.urls
        asyncio.run(fill(url, keys))
        compare(url, keys, rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
