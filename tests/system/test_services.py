"""Manifests of Kubernetes users, real packets: rules for services follow the slices, endpoints their pods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.cli.main import tortie
from tortie.cli.manifests import read_manifests
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import in_process
from tortie.lab.cluster import write
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.topology import Topology, Workload
from tortie.selector.check import selector_problem

pytestmark = pytest.mark.system

POLICIES = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-shop}
spec:
  selector: role == 'client'
  types: [Egress]
  egress: [{action: Allow, destination: {services: {name: shop}}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: from-shop}
spec:
  selector: role == 'listener'
  types: [Ingress]
  ingress: [{action: Allow, source: {services: {name: shop}}}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 8000, targetPort: 80}]}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-%s, labels: {kubernetes.io/service-name: shop}}
addressType: %s
endpoints: [{addresses: ["%s"], conditions: {ready: false}}]
ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {%s}}
spec: {containers: [{name: main, image: shop}]}
"""
TYPES = {4: "IPv4", 6: "IPv6"}


PORTS = (53, 80, 81, 8000)
Target = tuple[str, Transport, int]


class Shop:
    """A lab in this process, and what users do to it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._file = folder / "manifest.yaml"

    def apply(self, text: str) -> None:
        """As `tortie apply -f` does."""
        self._file.write_text(text)
        asyncio.run(write(self._lab.topology, read_manifests([self._file], "default").resources))

    def delete(self, kind: str, *names: str) -> None:
        """As `tortie delete` does."""
        asyncio.run(_delete(self._lab.topology, [ResourceKey(kind, "default", name) for name in names]))

    def command(self, *words: str) -> None:
        """`tortie` with these words."""
        done = CliRunner().invoke(tortie, ["--datastore", self._lab.topology.datastore, *words])
        assert done.exit_code == 0, done.output

    def serve(self, workload: str) -> None:
        """Make a workload the backend of the service, in both families."""
        self.apply("---".join(SLICE % (family, TYPES[family], self.address(workload, family)) for family in TYPES))

    def address(self, workload: str, family: int) -> str:
        """A workload's address."""
        return next(one for one in self._lab.attachment(workload).addresses if (":" in one) == (family == 6))

    def open(self, source: str, *targets: Target) -> list[bool]:
        """What of this a workload reaches, in both families."""
        probes = [Probe(source, self.address(to, f), transport, port) for to, transport, port in targets for f in TYPES]
        return [outcome.allowed for outcome in self._lab.probe(*probes)]

    def until(self, condition: Callable[[], bool], patience: float = 15) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, "never"
            time.sleep(0.02)


async def _delete(topology: Topology, keys: list[ResourceKey]) -> None:
    datastore = await EmbeddedDatastore.open(Path(topology.datastore))
    try:
        for key in keys:
            await ResourceStore(datastore, SystemClock(), selector_problem).delete(key)
    finally:
        await datastore.close()


@pytest.fixture(scope="module")
def shop(new_topology: Callable[..., Topology], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    topology = new_topology(
        Workload("client", "h1", labels={"role": "client"}),
        Workload("one", "h1"),
        Workload("two", "h2"),
        Workload("listener", "h2", labels={"role": "listener"}),
    )
    with in_process(topology) as (lab, _):
        shop = Shop(lab, tmp_path_factory.mktemp("shop"))
        for workload in topology.workloads:
            lab.prober.listen(workload.name, *PORTS)
        shop.until(lambda: all(shop.open("client", ("one", Transport.TCP, 80))))
        shop.apply(POLICIES)
        shop.until(lambda: not any(shop.open("client", ("one", Transport.TCP, 80))))
        yield shop


def test_a_rule_for_a_service_follows_its_slices(shop: Shop) -> None:
    at_one = [("one", Transport.TCP, 80), ("one", Transport.UDP, 53)]
    at_two = [("two", Transport.TCP, 80), ("two", Transport.UDP, 53)]
    elsewhere = [("one", Transport.TCP, 81), ("one", Transport.UDP, 80), ("two", Transport.TCP, 8000)]
    everything = (*at_one, *at_two, *elsewhere)
    shop.apply(SERVICE)
    assert not any(shop.open("client", *everything))
    shop.serve("one")
    shop.until(lambda: all(shop.open("client", *at_one)))
    assert not any(shop.open("client", *at_two, *elsewhere))
    shop.serve("two")
    shop.until(lambda: all(shop.open("client", *at_two)))
    shop.until(lambda: not any(shop.open("client", *at_one, *elsewhere)))
    shop.delete("EndpointSlice", "shop-4", "shop-6")
    shop.until(lambda: not any(shop.open("client", *everything)))


def test_from_a_service_every_port_of_its_backends_counts(shop: Shop) -> None:
    to_listener = [("listener", Transport.TCP, 80), ("listener", Transport.TCP, 81), ("listener", Transport.UDP, 53)]
    assert not any(shop.open("one", *to_listener))
    shop.serve("one")
    shop.until(lambda: all(shop.open("one", *to_listener)))
    assert not any(shop.open("two", *to_listener))
    shop.delete("EndpointSlice", "shop-4", "shop-6")
    shop.until(lambda: not any(shop.open("one", *to_listener)))


def test_a_rule_for_a_service_matches_nothing_once_the_service_is_deleted(shop: Shop) -> None:
    shop.apply(SERVICE)
    shop.serve("one")
    shop.until(lambda: all(shop.open("client", ("one", Transport.TCP, 80))))
    shop.command("delete", "service", "shop")
    shop.until(lambda: not any(shop.open("client", ("one", Transport.TCP, 80), ("one", Transport.UDP, 53))))


def test_a_pod_gives_its_endpoint_labels_while_it_is_there(shop: Shop) -> None:
    web = ("two", Transport.TCP, 80)
    assert all(shop.open("one", web))
    shop.apply(POD % ("one", "role: client"))
    shop.until(lambda: not any(shop.open("one", web)))
    shop.apply(POD % ("one", "role: other"))
    shop.until(lambda: all(shop.open("one", web)))
    shop.apply(POD % ("one", "role: client"))
    shop.until(lambda: not any(shop.open("one", web)))
    shop.delete("Pod", "one")
    shop.until(lambda: all(shop.open("one", web)))
