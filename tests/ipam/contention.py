"""Many allocators as processes on one etcd, killed, frozen and cut off at random; started by the tests.

One process that has loaded everything forks the others, so that a new one costs no more than a fork. Each appends to
one file what it begins and what it has done: the order of the lines is the order of events.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.base.errors import TortieError
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest, ReleaseRequest

HOSTS = 8
ALLOCATORS = 64
HOLDS = 6
POOLS = {4: Cidr.parse("10.0.0.0/23"), 6: Cidr.parse("fd00::/119")}
KILL, FREEZE = 0.7, 0.3
FROZEN_SECONDS = 2.5
"""Longer than an allocator waits for an answer."""


class SkewedClock:
    """A clock that is minutes off, and goes too fast or too slow."""

    def __init__(self, chance: random.Random) -> None:
        self._offset = chance.uniform(-600, 600)
        self._rate = chance.uniform(0.8, 1.2)

    def now(self) -> float:
        return time.time() * self._rate + self._offset

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Done:
    """How many operations each process has finished, in memory that all share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4 * ALLOCATORS)

    def add(self, number: int) -> None:
        (count,) = struct.unpack_from("I", self._memory, 4 * number)
        struct.pack_into("I", self._memory, 4 * number, count + 1)

    def total(self) -> int:
        return sum(struct.unpack_from(f"{ALLOCATORS}I", self._memory))


class Worker:
    """One allocator: takes addresses and gives them back until enough is done or it is killed."""

    def __init__(self, number: int, life: int, allocator: Allocator, tell: Callable[..., None]) -> None:
        self._name = f"w{number}.{life}"
        self._node = f"n{number % HOSTS}"
        self._chance = random.Random(f"{number}.{life}")
        self._allocator = allocator
        self._tell = tell
        self._held: dict[str, tuple[Cidr, ...]] = {}
        self._doubtful: list[str] = []
        self._handles = 0

    async def step(self) -> bool:
        """One operation; whether it succeeded. What did not end well is given back by its handle, as a runtime does."""
        try:
            if self._doubtful:
                await self._allocator.release_by_handle(self._doubtful[-1])
                self._tell("released", self._doubtful.pop())
            elif self._held and self._chance.random() < len(self._held) / HOLDS:
                await self._release()
            elif self._chance.random() < 0.01:
                pool = self._chance.choice(tuple(POOLS.values()))
                await self._allocator.release_affinity(pool, self._node, only_empty=self._chance.random() < 0.5)
            else:
                await self._assign()
        except TortieError:
            return False
        return True

    async def _assign(self) -> None:
        self._handles += 1
        handle = f"{self._name}.{self._handles}"
        num4, num6 = self._chance.choice(((1, 0), (1, 0), (0, 1), (1, 1)))
        request = AssignRequest(
            node=self._node,
            num4=num4,
            num6=num6,
            handle=handle,
            attributes={"node": self._node},
            max_per_handle=1,
            all_or_nothing=True,
        )
        self._doubtful.append(handle)
        self._tell("assigning", handle)
        given = await self._allocator.auto_assign(request)
        self._doubtful.pop()
        self._held[handle] = (*given.v4, *given.v6)
        self._tell("assigned", handle, *(address.text for address in self._held[handle]))

    async def _release(self) -> None:
        handle = self._chance.choice(sorted(self._held))
        self._doubtful.append(handle)
        addresses = self._held.pop(handle)
        self._tell("releasing", handle)
        if self._chance.random() < 0.7:
            await self._allocator.release_by_handle(handle)
        else:
            await self._allocator.release([ReleaseRequest(address, handle) for address in addresses])
        self._doubtful.pop()
        self._tell("released", handle)


async def work(url: str, log: int, number: int, life: int, done: Done, enough: int) -> None:
    """The life of one process."""
    chance = random.Random(f"{number} {life}")
    datastore = await EtcdDatastore.open(EtcdSettings(endpoints=[url], timeout=2.0))

    def tell(*words: str) -> None:
        os.write(log, (" ".join(words) + "\n").encode())

    worker = Worker(number, life, Allocator(datastore, SkewedClock(chance), chance), tell)
    while done.total() < enough:
        if await worker.step():
            done.add(number)
    await datastore.close()


class Swarm:
    """All processes, and what is done to them."""

    def __init__(self, urls: list[str], log: Path, enough: int, seed: int) -> None:
        self._urls = urls
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._enough = enough
        self._chance = random.Random(seed)
        self._done = Done()
        self._lives = dict.fromkeys(range(ALLOCATORS), 0)
        self._pids: dict[int, int] = {}
        self._frozen: dict[int, float] = {}
        self.killed = self.froze = 0

    def run(self, kills: int) -> None:
        """Until enough is done, with about so many processes killed or frozen on the way."""
        try:
            self._run(kills)
        finally:
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)

    def _run(self, kills: int) -> None:
        for number in range(ALLOCATORS):
            self._fork(number)
        strikes = sorted(self._chance.randrange(self._enough) for _ in range(kills))
        while (total := self._done.total()) < self._enough:
            if strikes and strikes[0] <= total:
                strikes.pop(0)
                self._strike(self._chance.choice(sorted(self._pids)))
            self._thaw(time.monotonic())
            time.sleep(0.01)
        self._thaw(float("inf"))
        for number in list(self._pids):
            self._wait(number, 0)

    def _strike(self, number: int) -> None:
        if self._chance.random() < FREEZE and number not in self._frozen:
            os.kill(self._pids[number], signal.SIGSTOP)
            self._frozen[number] = time.monotonic() + FROZEN_SECONDS
            self.froze += 1
            return
        os.kill(self._pids[number], signal.SIGKILL)
        self._frozen.pop(number, None)
        self._wait(number, signal.SIGKILL)
        self.killed += 1
        self._fork(number)

    def _thaw(self, now: float) -> None:
        for number in [number for number, until in self._frozen.items() if until <= now]:
            del self._frozen[number]
            os.kill(self._pids[number], signal.SIGCONT)

    def _wait(self, number: int, status: int) -> None:
        _, found = os.waitpid(self._pids.pop(number), 0)
        assert found == status, f"process {number} ended with {found}"

    def _fork(self, number: int) -> None:
        life, self._lives[number] = self._lives[number], self._lives[number] + 1
        pid = os.fork()
        if pid:
            self._pids[number] = pid
            return
        status = 1
        try:
            url = self._urls[number % HOSTS % len(self._urls)]
            asyncio.run(work(url, self._log, number, life, self._done, self._enough))
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)


if __name__ == "__main__":
    log, enough, kills, seed, *urls = sys.argv[1:]
    swarm = Swarm(urls, Path(log), int(enough), int(seed))
    swarm.run(int(kills))
    print(swarm.killed, swarm.froze)
