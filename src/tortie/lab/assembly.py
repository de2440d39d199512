"""A lab with everything on it: agents and BIRD as services, workloads attached by the CNI plugin."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from tortie import cni
from tortie.lab.lab import Lab
from tortie.lab.services import BIRD, AgentServices, InProcessServices, cni_config
from tortie.lab.state import Attachment, StateFile
from tortie.lab.topology import Host, Topology, Workload
from tortie.lab.workload import Attacher, CniAttacher, route_from_others

DIRECTORY = Path("/run/tortie/lab")

PLUGIN = Path(cni.__file__).with_name("tortie-cni")


class StaticRoutes(msgspec.Struct, frozen=True):
    """What BIRD would do where there is none: the other hosts get static routes to each workload that is attached.

    Args:
        attacher: connects workloads.
    """

    attacher: Attacher

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        """As the attacher does. Raises KernelError, and what the attacher raises."""
        attachment = self.attacher.attach(topology, workload, host, addresses)
        route_from_others(topology, host, attachment.addresses)
        return attachment

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        """As the attacher does; routes of other hosts stay until the workload is attached elsewhere."""
        self.attacher.detach(topology, workload, attachment)


def plugin(topology: Topology) -> CniAttacher:
    """Attaches workloads through the agents of a topology."""
    return CniAttacher(PLUGIN, functools.partial(cni_config, topology))


def assemble(topology: Topology, *, bird: bool = True) -> Lab:
    """The lab of a topology, up or not; without BIRD, routes between hosts are static."""
    attacher = plugin(topology)
    return Lab(topology, AgentServices(topology, bird=bird), attacher if bird else StaticRoutes(attacher))


def find(name: str, directory: Path = DIRECTORY) -> Lab:
    """The lab of this name that some process has put up, with BIRD if it was. Raises NotFound."""
    topology = StateFile(directory / name).read().topology
    return assemble(topology, bird=has_bird(topology))


def has_bird(topology: Topology) -> bool:
    """Whether BIRD was started on its hosts, once they are up."""
    return any(topology.run_directory.glob(f"hosts/*/{BIRD}"))


@contextmanager
def in_process(
    topology: Topology, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Lab, InProcessServices]]:
    """A lab that is up, whose agents live in this process; gone after the block."""
    services = InProcessServices(topology, settings)
    lab = Lab(topology, services, StaticRoutes(plugin(topology)))
    try:
        with closing(services):
            lab.up()
            yield lab, services
    finally:
        lab.down()
