"""What runs on the hosts of a lab: the shipped agent and BIRD, as real processes, started as an init system would."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tortie.agent.client import is_ready
from tortie.bgp.config import minimal
from tortie.lab.cluster import initial_resources, write
from tortie.lab.place import Place
from tortie.lab.topology import Host, Topology

AGENT = "agent"
BIRD = "bird"


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
        """Start both; does not wait. The first host started finds, or makes, the lab's datastore."""
        if not self._topology.datastore.exists():
            asyncio.run(write(self._topology, initial_resources(self._topology)))
        if self._bird and not place.alive(BIRD):
            self.start_bird(place)
        self.start_agent(place)

    def start_agent(self, place: Place) -> None:
        """Start the agent. Raises AlreadyExists when it runs."""
        environment = {
            "TORTIE_NODE": place.host.name,
            "TORTIE_DATASTORE": str(self._topology.datastore),
            "TORTIE_RUN_DIRECTORY": str(place.directory),
            "TORTIE_DEFAULT_ENDPOINT_TO_HOST_ACTION": "Return",
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
        if not configuration.exists():
            configuration.write_text(minimal(place.host.address(4) or "0.0.0.1"))
        place.start(BIRD, ["bird", "-f", "-c", str(configuration), "-s", str(directory / "bird.ctl")])

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


def cni_config(topology: Topology, host: Host) -> Mapping[str, Any]:
    """The network configuration that a runtime on this host would have."""
    return {
        "cniVersion": "1.0.0",
        "name": "lab",
        "type": "tortie-cni",
        "socket": str(topology.host_directory(host.name) / "cni.sock"),
        "ipam": {"assign_ipv4": True, "assign_ipv6": True},
    }


def _bird_directory(place: Place) -> Path:
    return place.directory / "bird"
