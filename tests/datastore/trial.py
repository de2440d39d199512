"""One trial of a three-member etcd cluster: a writing load, faults, and a verdict as JSON on standard output.

Run as `trial.py FAULT...`; with `--rounds`, faults are drawn by the dice of `--seed`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from load import ROOT, Viewer, Watcher, Writer
from verdict import complaints

from tortie.base.errors import Unavailable
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.lab import fabric
from tortie.lab.etcd import EtcdCluster, Member, on_loopback
from tortie.lab.topology import simple
from tortie.netlink.namespace import NAMED, inside

PROGRESS_SECONDS = 30.0
SETTLING_ROUNDS, SETTLING_SECONDS = 20, 1.0
WRITERS_EACH = 3
WRITES_BETWEEN = 5
NAMES = ("e1", "e2", "e3")
OPTIONS = ("--grpc-keepalive-min-time=100ms",)
PATIENT = {"timeout": 2.0, "dial_timeout": 0.5, "keepalive": 0.5, "keepalive_timeout": 0.5}
_PREFIX = "etcd"


class Client:
    """One datastore with everybody who uses it; asks the members in the order given."""

    def __init__(self, name: str, store: EtcdDatastore, revision: int, dice: random.Random, writers: int) -> None:
        self.name = name
        self.store = store
        self.writers = [Writer(store, f"{name}.{n}", random.Random(dice.random())) for n in range(writers)]
        self.watcher = Watcher(store, revision)
        self.viewer = Viewer(store)
        self._writing = [asyncio.create_task(writer.run()) for writer in self.writers]
        self._watching = [asyncio.create_task(one.run()) for one in (self.watcher, self.viewer)]

    @property
    def done(self) -> int:
        return sum(writer.done for writer in self.writers)

    def check(self) -> None:
        """Raise what a task died of."""
        for task in (*self._writing, *self._watching):
            if task.done() and not task.cancelled():
                task.result()

    async def stop_writing(self) -> None:
        await _end(self._writing)

    async def close(self) -> None:
        await _end([*self._writing, *self._watching])
        await self.store.close()


class Trial:
    """The cluster, its clients, and what can be done to them."""

    def __init__(self, cluster: EtcdCluster, dice: random.Random) -> None:
        self.cluster = cluster
        self.dice = dice
        self.clients: list[Client] = []
        self.history: dict[int, tuple[str, bytes | None]] = {}
        self._collected = 0

    async def begin(self) -> None:
        """Start everything; each client prefers another member."""
        await asyncio.to_thread(self.cluster.start)
        await asyncio.to_thread(self.cluster.wait)
        urls = list(self.cluster.urls)
        for number in range(len(urls)):
            await self.add_client(f"c{number}", urls[number:] + urls[:number], WRITERS_EACH)
        await self.progress()

    async def add_client(self, name: str, urls: Sequence[str], writers: int = 0) -> Client:
        store = await opened(urls)
        revision = (await patiently(lambda: store.list(ROOT))).revision
        self.clients.append(Client(name, store, revision, self.dice, writers))
        return self.clients[-1]

    async def progress(self) -> None:
        """Wait until each client has written more, and each watcher has seen more than was written by now."""
        clients = [client for client in self.clients if client.writers]
        before = {client.name: client.done for client in clients}
        await self.until(
            lambda: [client.name for client in clients if client.done < before[client.name] + WRITES_BETWEEN]
        )
        newest = max(client.watcher.revision for client in clients)
        await self.until(lambda: [client.name for client in clients if client.watcher.revision < newest])

    async def collect(self) -> int:
        """Read history as far as it reaches; returns its newest revision."""
        store = await opened(self.cluster.urls)
        newest = await patiently(lambda: store.put(f"{ROOT}mark", str(self._collected).encode()))
        async with asyncio.timeout(PROGRESS_SECONDS), contextlib.aclosing(store.watch(ROOT, self._collected)) as watch:
            async for batch in watch:
                self.history.update({event.revision: (event.key, event.value) for event in batch.events})
                if batch.revision >= newest:
                    break
        self._collected = newest
        await store.close()
        return newest

    async def _settled(self) -> list[dict[str, tuple[bytes, int]]]:
        """What each member lists, once nothing arrives any more: not even a write that got no answer."""
        for _ in range(SETTLING_ROUNDS):
            newest = await self.collect()
            await self.until(lambda end=newest: [one.name for one in self.clients if one.watcher.revision < end])
            listings = [await self._listing(url) for url in self.cluster.urls]
            await asyncio.sleep(SETTLING_SECONDS)
            later = await self._listing(self.cluster.urls[0])
            if all(one == later for one in listings):
                break
        return listings

    async def end(self) -> dict[str, object]:
        """Stop writing, let the watchers arrive, and judge."""
        for client in self.clients:
            await client.stop_writing()
        listings = await self._settled()
        await self.until(lambda: [each.name for each in self.clients if each.viewer.view != listings[0]], fatal=False)
        for client in self.clients:
            await client.close()
        attempts = [attempt for client in self.clients for writer in client.writers for attempt in writer.attempts]
        found = complaints(
            self.history,
            listings[0],
            attempts,
            [client.watcher for client in self.clients],
            [client.viewer for client in self.clients],
        )
        found += [f"{url} lists something else" for url, one in zip(NAMES, listings, strict=True) if one != listings[0]]
        counts = Counter(attempt.outcome for attempt in attempts)
        relists = sum(len(client.watcher.gaps) for client in self.clients)
        return {**counts, "events": len(self.history), "relists": relists, "complaints": found}

    async def _listing(self, url: str) -> dict[str, tuple[bytes, int]]:
        store = await opened([url])
        listing = await patiently(lambda: store.list(ROOT))
        await store.close()
        return {item.key: (item.value, item.revision) for item in listing.items}

    async def until(self, waiting: Callable[[], list[str]], fatal: bool = True) -> None:
        """Wait for those that `waiting` still names."""
        for _ in range(round(PROGRESS_SECONDS / 0.01)):
            for client in self.clients:
                client.check()
            if not waiting():
                return
            await asyncio.sleep(0.01)
        if fatal:
            raise AssertionError(f"no progress of {', '.join(waiting())}")


async def kill_leader(trial: Trial) -> None:
    await _without(trial, await _leader(trial))


async def kill_follower(trial: Trial) -> None:
    leader = await _leader(trial)
    await _without(trial, trial.dice.choice([name for name in NAMES if name != leader]))


async def pause_leader(trial: Trial) -> None:
    leader = await _leader(trial)
    trial.cluster.pause(leader)
    await trial.progress()
    trial.cluster.resume(leader)


async def restart_each(trial: Trial) -> None:
    for name in NAMES:
        await asyncio.to_thread(trial.cluster.kill, name)
        await _start(trial)


async def restart_all(trial: Trial) -> None:
    await asyncio.to_thread(trial.cluster.kill)
    await _start(trial)


async def cut_off_leader(trial: Trial) -> None:
    leader = await _leader(trial)
    trial.cluster.cut_off(leader)
    await trial.progress()
    trial.cluster.reconnect(leader)


async def compact_when_cut_off(trial: Trial) -> None:
    """A client that knows only the member cut off must list again, as history is gone when it is back."""
    cluster, leader = trial.cluster, await _leader(trial)
    confined = await trial.add_client(f"confined{len(trial.clients)}", [cluster.members[leader].url])
    cluster.cut_off(leader)
    cluster.cut_off_clients(leader)
    await trial.progress()
    newest = await trial.collect()
    store = await opened(cluster.urls)
    await patiently(lambda: store.compact(newest))
    await store.close()
    cluster.reconnect(leader)
    # A member that lags would tell a new watch everything while it catches up.
    await asyncio.to_thread(cluster.wait_for, leader, newest)
    cluster.reconnect_clients(leader)
    await trial.until(lambda: [] if confined.watcher.gaps else [confined.name])


FAULTS = {each.__name__: each for each in (kill_leader, kill_follower, pause_leader, restart_each, restart_all)}
NETWORK_FAULTS = {each.__name__: each for each in (cut_off_leader, compact_when_cut_off)}


async def opened(urls: Sequence[str]) -> EtcdDatastore:
    return await EtcdDatastore.open(EtcdSettings(endpoints=urls, **PATIENT))


async def patiently(call: Callable[[], Awaitable[object]]) -> object:
    """A call that is repeated until a server answers."""
    async with asyncio.timeout(PROGRESS_SECONDS):
        while True:
            with contextlib.suppress(Unavailable):
                return await call()
            await asyncio.sleep(0.05)


async def run(trial: Trial, faults: Sequence[Callable[[Trial], Awaitable[None]]]) -> dict[str, object]:
    try:
        await trial.begin()
        for fault in faults:
            print(fault.__name__, file=sys.stderr, flush=True)
            await fault(trial)
            await asyncio.to_thread(trial.cluster.wait)
            await trial.progress()
        return await trial.end()
    finally:
        trial.cluster.kill()


@contextlib.contextmanager
def network(isolated: bool) -> Iterator[Sequence[Member]]:
    """Members on loopback, or each in a namespace of its own with this program on the switch between them."""
    if not isolated:
        yield on_loopback(NAMES)
        return
    for path in NAMED.glob(f"tt-{_PREFIX}*-fabric"):
        pid = path.name.split("-")[1].removeprefix(_PREFIX)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            fabric.demolish(simple(_PREFIX + pid))
    topology = simple(f"{_PREFIX}{os.getpid()}", hosts=len(NAMES), workloads_each=0)
    try:
        fabric.build(topology)
        with inside(topology.host_namespace("fabric")):
            yield [
                Member(name, host.address(4), namespace=topology.host_namespace(host.name))
                for name, host in zip(NAMES, topology.hosts, strict=True)
            ]
    finally:
        fabric.demolish(topology)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, *NETWORK_FAULTS, []])
    parser.add_argument("--program", default="etcd")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", action="store_true")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    known = {**FAULTS, **NETWORK_FAULTS} if arguments.network else FAULTS
    faults = [known[name] for name in arguments.faults] + dice.choices(list(known.values()), k=arguments.rounds)
    with tempfile.TemporaryDirectory() as folder, network(arguments.network) as members:
        cluster = EtcdCluster(Path(folder), members, arguments.program, OPTIONS)
        report = asyncio.run(run(Trial(cluster, dice), faults))
    print(json.dumps(report))
    sys.exit(bool(report["complaints"]))


async def _leader(trial: Trial) -> str:
    return await asyncio.to_thread(trial.cluster.leader)


async def _start(trial: Trial) -> None:
    await asyncio.to_thread(trial.cluster.start)
    await asyncio.to_thread(trial.cluster.wait)


async def _without(trial: Trial, name: str) -> None:
    await asyncio.to_thread(trial.cluster.kill, name)
    await trial.progress()
    await _start(trial)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    main()
