"""64 allocators on 8 hosts over etcd, killed, frozen, cut off and with wrong clocks: no address twice, none lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tortie.api.ipam import IPAMConfig
from tortie.base.clock import SystemClock
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.ipam.allocator import Allocator
from tortie.ipam.audit import audit, holders
from tortie.ipam.snapshot import read_snapshot
from tortie.lab.etcd import EtcdCluster, on_loopback

SWARM = Path(__file__).with_name("contention.py")
HOSTS = 8


class Told:
    """What the processes told, in the order of events; fails when two hold one address."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.held: dict[str, list[str]] = {}
        self.doubtful: set[str] = set()
        self.assigned = self.released = 0
        self._owner: dict[str, str] = {}
        for line in lines:
            verb, handle, *addresses = line.split()
            getattr(self, f"_note_{verb}")(handle, addresses)

    def _note_assigning(self, handle: str, _: list[str]) -> None:
        self.doubtful.add(handle)

    def _note_assigned(self, handle: str, addresses: list[str]) -> None:
        self.assigned += 1
        self.doubtful.discard(handle)
        self.held[handle] = addresses
        for address in addresses:
            assert address not in self._owner, f"{address} of {handle} is held by {self._owner[address]}"
            self._owner[address] = handle

    def _note_releasing(self, handle: str, _: list[str]) -> None:
        self.doubtful.add(handle)
        for address in self.held.pop(handle):
            del self._owner[address]

    def _note_released(self, handle: str, _: list[str]) -> None:
        self.released += 1
        self.doubtful.discard(handle)


class Severing:
    """A way to a server that forgets its connections again and again, with requests and answers on the way."""

    def __init__(self, host: str, port: int, chance: random.Random) -> None:
        self._place = host, port
        self._chance = chance
        self._writers: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def begin(self) -> asyncio.Server:
        return await asyncio.start_server(self._relay, "127.0.0.1", 0)

    async def sever(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.3, 1.5))
            for writer in self._writers:
                writer.transport.abort()
            self.cuts += bool(self._writers)
            self._writers.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._place)
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
def etcd() -> Iterator[EtcdCluster]:
    # In memory: this is about writers that are in each other's way, not about a disk.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        cluster = EtcdCluster(Path(folder), on_loopback(["only"]))
        cluster.start()
        cluster.wait()
        yield cluster
        cluster.kill()


@pytest.fixture
async def cluster(etcd: EtcdCluster, cluster_on: Any) -> AsyncIterator[Any]:
    datastore = await EtcdDatastore.open(EtcdSettings(endpoints=etcd.urls))
    cluster = cluster_on(datastore)
    for number in range(HOSTS):
        await cluster.node(f"n{number}")
    await cluster.pool("v4", "10.0.0.0/23", blockSize=28)
    await cluster.pool("v6", "fd00::/119", blockSize=124)
    yield cluster
    await datastore.close()


async def contend(folder: Path, etcd: EtcdCluster, enough: int, strikes: int, seed: int) -> Told:
    """Let them work, and find what they told. Two of the hosts reach etcd by a way that is cut again and again."""
    (member,) = etcd.members.values()
    severing = Severing(member.address, member.client_port, random.Random(seed))
    server = await severing.begin()
    port = server.sockets[0].getsockname()[1]
    urls = [*[member.url] * 6, *[f"http://127.0.0.1:{port}"] * 2]
    cutting = asyncio.create_task(severing.sever())
    log = folder / "log"
    arguments = [str(log), str(enough), str(strikes), str(seed), *urls]
    process = await asyncio.create_subprocess_exec(sys.executable, SWARM, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        cutting.cancel()
        server.close()
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    killed, froze = map(int, output.split())
    assert killed and froze and severing.cuts
    told = Told(log.read_text().splitlines())
    print(f"{told.assigned} assigned, {told.released} released, {killed} killed, {froze} frozen, {severing.cuts} cuts")
    return told


async def prove(cluster: Any, told: Told) -> None:
    """What is stored is what the survivors know, once what nobody knows of is given back."""
    clock, chance = SystemClock(), random.Random(1)
    allocator = Allocator(cluster.datastore, clock, chance)
    for handle in sorted(told.doubtful):
        await allocator.release_by_handle(handle)
    snapshot = await read_snapshot(cluster.datastore, clock, chance)
    assert not audit(snapshot, live=told.held.keys())
    assert holders(snapshot) == {address: handle for handle, addresses in told.held.items() for address in addresses}


@pytest.mark.thorough
async def test_allocators_killed_frozen_and_cut_off_give_no_address_twice_and_lose_none(
    tmp_path: Path, etcd: EtcdCluster, cluster: Any
) -> None:
    told = await contend(tmp_path, etcd, enough=2100, strikes=40, seed=1)
    assert told.assigned + told.released >= 2000
    await prove(cluster, told)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("config", [IPAMConfig(auto_allocate_blocks=True, ip_cooldown_seconds=2)], ids=["cooling"])
async def test_a_hundred_thousand_times_over(
    config: IPAMConfig, tmp_path: Path, etcd: EtcdCluster, cluster: Any
) -> None:
    await cluster.allocator.set_config(config)
    told = await contend(tmp_path, etcd, enough=100_000, strikes=800, seed=2)
    assert told.assigned + told.released >= 95_000
    await prove(cluster, told)
