"""What runs on the hosts of a lab: the shipped agent and BIRD as real processes, or agents inside this process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tortie.agent.client import ask, is_ready
from tortie.agent.daemon import Agent
from tortie.agent.settings import read_values
from tortie.base.addresses import BITS
from tortie.base.errors import AlreadyExists, Unavailable
from tortie.bgp.config import minimal
from tortie.lab.datastore import make_datastore, urls_inside
from tortie.lab.place import Place
from tortie.lab.topology import Host, Topology

AGENT = "agent"
BIRD = "bird"
NETWORK = "lab"
"""Name of the network that workloads are attached to."""

Result = TypeVar("Result")


class AgentServices:
    """An agent and a BIRD daemon on every host; one datastore for all.

    Args:
        bird: whether BIRD runs.
        settings: more for the agents, by environment variable.
    """

    def __init__(self, topology: Topology, *, bird: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self._topology = topology
        self._bird = bird
        self._settings = dict(settings or {})

    def start(self, place: Place) -> None:
        """Start what does not run; does not wait. The first host started finds, or makes, the lab's datastore."""
        make_datastore(self._topology)
        if self._bird and not place.alive(BIRD):
            self.start_bird(place)
        if not place.alive(AGENT):
            self.start_agent(place)

    def start_agent(self, place: Place) -> None:
        """Start the agent. Raises AlreadyExists when it runs."""
        environment = {
            **_agent_environment(self._topology, place),
            **({"TORTIE_BIRD_DIRECTORY": str(_bird_directory(place))} if self._bird else {}),
            **self._settings,
        }
        program = Path(sys.executable).with_name("tortie-agent")
        place.start(AGENT, [str(program), "--config", "/dev/null"], environment)

    def start_bird(self, place: Place) -> None:
        """Start BIRD with what configuration there is, or with one that does nothing until the agent writes it."""
        directory = _bird_directory(place)
        directory.mkdir(exist_ok=True)
        configuration = directory / "bird.conf"
        argv = ["bird", "-f", "-c", str(configuration), "-s", str(directory / "bird.ctl")]
        if configuration.exists():
            # Takes over the routes that a crashed daemon left, and tells its neighbours so.
            argv.append("-R")
        else:
            configuration.write_text(minimal(place.host.address(4) or "0.0.0.1"))
        place.start(BIRD, argv)

    def stop(self, place: Place) -> None:
        """End both in good order."""
        place.stop(AGENT)
        place.stop(BIRD)

    def kill(self, place: Place) -> None:
        """Crash the agent; BIRD is another program and goes on."""
        place.kill(AGENT)

    def ready(self, place: Place) -> bool:
        """Whether the agent says so."""
        return is_ready(place.directory)

    def hindrance(self, place: Place) -> str:
        """As the agent says."""
        return hindrance_of(place)


class InProcessServices:
    """The agent of every host inside this process, without BIRD: up in no time, gone with the process.

    One thread runs all agents, from the first `start` to `close`. An agent that is killed ends in good order here.

    Args:
        settings: more for the agents, by environment variable.
    """

    def __init__(self, topology: Topology, settings: Mapping[str, str] | None = None) -> None:
        self._topology = topology
        self._settings = dict(settings or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._running: dict[str, tuple[Agent, asyncio.Task[None]]] = {}

    def start(self, place: Place) -> None:
        """Start the agent; does not wait. Raises AlreadyExists when it runs."""
        if place.host.name in self._running:
            raise AlreadyExists(f"agent on {place.host.name}")
        make_datastore(self._topology)
        environment = {
            **_agent_environment(self._topology, place),
            "TORTIE_NETNS": str(place.namespace),
            # Only the sockets of the dataplane are opened in the host's namespace.
            "TORTIE_DATASTORE": self._topology.datastore,
            "TORTIE_HEALTH_PORT": "0",
            **self._settings,
        }
        agent = Agent(read_values(environment))
        self._running[place.host.name] = agent, self._call(_task_of(agent))

    def stop(self, place: Place) -> None:
        """End the agent and wait until it has let go of everything; what is in the kernel stays."""
        self._end(place.host.name)

    def kill(self, place: Place) -> None:
        """As `stop`."""
        self._end(place.host.name)

    def ready(self, place: Place) -> bool:
        """Whether the agent is ready. Raises what the agent died of."""
        if place.host.name not in self._running:
            return False
        agent, task = self._running[place.host.name]
        if task.done():
            task.result()
        return agent.ready.is_set()

    def hindrance(self, place: Place) -> str:
        """As the agent says."""
        return hindrance_of(place)

    def close(self) -> None:
        """End every agent, and the thread."""
        self._end(*self._running)
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _end(self, *hosts: str) -> None:
        """Raises what an agent died of."""
        tasks = [self._running.pop(host)[1] for host in hosts if host in self._running]
        if tasks:
            self._call(_cancelled(tasks))

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something in the agents' thread, which the first call starts."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="agents", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _task_of(agent: Agent) -> asyncio.Task[None]:
    return asyncio.create_task(agent.run(), name="agent")


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The life of the agents' thread."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def hindrance_of(place: Place) -> str:
    """Why the agent of a host takes no workload now; empty when it does."""
    try:
        datastore = ask(place.directory).datastore
    except Unavailable as error:
        return str(error)
    if datastore.state == "in sync":
        return ""
    return f"its datastore is {datastore.state}" + (f": {datastore.problem}" if datastore.problem else "")


def cni_config(topology: Topology, host: Host) -> Mapping[str, Any]:
    """The network configuration that a runtime on this host would have."""
    return {
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "type": "tortie-cni",
        "socket": str(topology.host_directory(host.name) / "cni.sock"),
        "ipam": {f"assign_ipv{family}": family in topology.families for family in BITS},
    }


def _agent_environment(topology: Topology, place: Place) -> dict[str, str]:
    return {
        "TORTIE_NODE": place.host.name,
        "TORTIE_DATASTORE": urls_inside(topology),
        "TORTIE_RUN_DIRECTORY": str(place.directory),
        "TORTIE_DEFAULT_ENDPOINT_TO_HOST_ACTION": "Return",
        "TORTIE_WIREGUARD_DIRECTORY": str(place.directory / "wireguard"),
    }


def _bird_directory(place: Place) -> Path:
    return place.directory / "bird"
