"""What the demonstration consists of: hosts, workloads, the service that each offers, and the manifests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tortie.lab.probe.model import Transport
from tortie.lab.topology import Topology, Workload, simple

NAME = "demo"

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
MANIFESTS = EXAMPLES / "three-tier"
LOCKDOWN = EXAMPLES / "lockdown.yaml"


class Service(msgspec.Struct, frozen=True):
    """What a workload offers; that of the resolver is asked with a real question instead of a probe."""

    transport: Transport
    port: int

    def __str__(self) -> str:
        return f"{self.transport}/{self.port}"


SERVICES = {
    "web-1": Service(Transport.TCP, 80),
    "web-2": Service(Transport.TCP, 80),
    "api-1": Service(Transport.TCP, 8080),
    "db-1": Service(Transport.TCP, 5432),
    "dns": Service(Transport.UDP, 53),
    "monitor": Service(Transport.TCP, 80),
    "batch": Service(Transport.TCP, 80),
}

RESOLVER = "dns"

WORKLOADS = (
    Workload("web-1", "h1", "shop", {"role": "web"}),
    Workload("web-2", "h2", "shop", {"role": "web"}),
    Workload("api-1", "h2", "shop", {"role": "api"}),
    Workload("db-1", "h3", "shop", {"role": "db"}),
    Workload("dns", "h1", "platform", {"role": "dns"}),
    Workload("monitor", "h3", "platform", {"role": "monitor"}),
    Workload("batch", "h2", "platform", {"role": "batch"}),
)

ALLOWED = frozenset(
    {
        *((source.name, "dns") for source in WORKLOADS if source.name != "dns"),
        *((source, web) for source in ("monitor", "batch") for web in ("web-1", "web-2")),
        *((web, "api-1") for web in ("web-1", "web-2")),
        ("api-1", "db-1"),
    }
)
"""Who reaches whose service once the policies are in force; everything else is denied."""


def topology(name: str = NAME) -> Topology:
    """Three hosts, seven workloads."""
    return msgspec.structs.replace(simple(name, 3, 0), workloads=WORKLOADS)
