"""The probe engine: one thread, one event loop, sockets in as many namespaces as there are stations."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from tortie.base.errors import NotFound
from tortie.lab.probe.attempts import Attempt, Numbers, attempt
from tortie.lab.probe.model import Outcome, Probe
from tortie.lab.probe.station import Station
from tortie.lab.probe.stream import Stream
from tortie.lab.probe.watch import Sighting, Watch, watch
from tortie.netlink.namespace import enter, open_namespace

_BURST = 32
_AT_ONCE = 2000

Result = TypeVar("Result")


class Patience(msgspec.Struct, frozen=True, gc=False):
    """How long silence is waited for before it counts as denial.

    Args:
        seconds: from the last of the first packets to the end.
        sends: packets per probe, spread evenly over that time.
    """

    seconds: float = 0.3
    sends: int = 3


class Prober:
    """Sends real packets from any station, and answers them on the ports that stations listen on.

    All methods may be called from any thread; those that return a Future do not block
    (`asyncio.wrap_future` awaits one). Raises the process's soft limit of open files to the hard one.
    """

    def __init__(self) -> None:
        _allow_many_files()
        self._loop = asyncio.new_event_loop()
        self._stations: dict[str, Station] = {}
        self._namespaces: dict[str, int] = {}
        self._entered = ""
        self._numbers = Numbers(20000 + int.from_bytes(os.urandom(2), "big") % 40000)
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, namespace: Path, ports: Sequence[int] = ()) -> None:
        """Take a station in a namespace, which answers on `ports`; an earlier station of that name is closed.

        Raises:
            KernelError: there is no such namespace.
        """
        self._call(self._open(name, namespace, tuple(ports))).result()

    def listen(self, name: str, *ports: int) -> None:
        """Answer on more ports at a station. Raises NotFound."""
        self._call(self._listen(name, ports, True)).result()

    def unlisten(self, name: str, *ports: int) -> None:
        """Refuse on these ports at a station. Raises NotFound."""
        self._call(self._listen(name, ports, False)).result()

    def leave(self, name: str) -> None:
        """Close a station, if there is one of that name."""
        self._call(self._leave(name)).result()

    def submit(self, probes: Sequence[Probe], patience: Patience = Patience()) -> Future[list[Outcome]]:  # noqa: B008 - frozen
        """Send all probes at once; outcomes come in the order of the probes. Fails with NotFound."""
        return self._call(self._probe_all(list(probes), patience))

    def run(self, probes: Sequence[Probe], patience: Patience = Patience()) -> list[Outcome]:  # noqa: B008 - frozen
        """Send all probes at once and wait. Raises NotFound for an unknown station."""
        return self.submit(probes, patience).result()

    def stream(self, probe: Probe, interval: float = 0.002) -> Stream:
        """Start numbered requests along one TCP connection, UDP flow or ICMP identifier, one every `interval` seconds.

        Raises:
            NotFound: unknown station.
            Unsupported: SCTP.
            OSError: the connection could not be opened.
        """
        return self._call(self._stream(probe, interval)).result()

    def watch(self, probe: Probe, wanted: Watch) -> Future[Sighting | None]:
        """Open a new connection again and again until one ends as wanted; see `watch.Watch`."""
        return self._call(self._watch(probe, wanted))

    def close(self) -> None:
        """Close every station and end the thread."""
        if not self._loop.is_closed():
            self._call(self._leave(*self._stations)).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self, name: str, namespace: Path, ports: tuple[int, ...]) -> None:
        await self._leave(name)
        self._namespaces[name] = open_namespace(namespace)
        station = Station(name, self._loop, partial(self._enter, name))
        self._stations[name] = station
        station.listen(*ports)

    def _enter(self, name: str) -> None:
        if self._entered != name:
            enter(self._namespaces[name])
            self._entered = name

    async def _listen(self, name: str, ports: tuple[int, ...], on: bool) -> None:
        station = self._station(name)
        (station.listen if on else station.unlisten)(*ports)

    async def _leave(self, *names: str) -> None:
        for name in names:
            station = self._stations.pop(name, None)
            if station is not None:
                station.close()
                os.close(self._namespaces.pop(name))
                self._entered = "" if self._entered == name else self._entered

    def _station(self, name: str) -> Station:
        if name not in self._stations:
            raise NotFound(f"station {name}")
        return self._stations[name]

    def _attempt(self, probe: Probe) -> Attempt:
        return attempt(self._station(probe.source), probe, self._numbers)

    async def _probe_all(self, probes: list[Probe], patience: Patience) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(probes), _AT_ONCE):
            attempts = [self._attempt(probe) for probe in probes[start : start + _AT_ONCE]]
            try:
                await _settle(attempts, patience)
            finally:
                for one in attempts:
                    one.close()
            outcomes += [one.outcome for one in attempts]
        return outcomes

    async def _stream(self, probe: Probe, interval: float) -> Stream:
        stream = Stream(self._station(probe.source), probe, self._numbers, interval)
        await stream.start()
        return stream

    async def _watch(self, probe: Probe, wanted: Watch) -> Sighting | None:
        return await watch(partial(self._attempt, probe), wanted, self._loop)


async def _settle(attempts: Sequence[Attempt], patience: Patience) -> None:
    """Send until every probe is answered or patience ends; ordered by station, since entering one costs a call."""
    unanswered = sorted(attempts, key=lambda one: one.probe.source)
    for _ in range(patience.sends):
        for position, one in enumerate(unanswered):
            one.send()
            if position % _BURST == _BURST - 1:
                await asyncio.sleep(0)
        unanswered = [one for one in unanswered if not one.answered.done()]
        if unanswered:
            await asyncio.wait([one.answered for one in unanswered], timeout=patience.seconds / patience.sends)
        unanswered = [one for one in unanswered if not one.answered.done()]
    for one in unanswered:
        one.give_up()


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
