"""A lab with everything on it: agents and BIRD as services, workloads attached by the CNI plugin."""

from __future__ import annotations

import functools
from pathlib import Path

from tortie import cni
from tortie.lab.lab import Lab
from tortie.lab.services import AgentServices, cni_config
from tortie.lab.state import StateFile
from tortie.lab.topology import Topology
from tortie.lab.workload import CniAttacher

DIRECTORY = Path("/run/tortie/lab")

PLUGIN = Path(cni.__file__).with_name("tortie-cni")


def assemble(topology: Topology, *, bird: bool = True) -> Lab:
    """The lab of a topology, up or not."""
    attacher = CniAttacher(PLUGIN, functools.partial(cni_config, topology))
    return Lab(topology, AgentServices(topology, bird=bird), attacher)


def find(name: str, directory: Path = DIRECTORY) -> Lab:
    """The lab of this name that some process has put up. Raises NotFound."""
    return assemble(StateFile(directory / name).read().topology)
