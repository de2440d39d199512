"""Policies as people write them and who reaches whom then: four workloads on two hosts, every pair, both families."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from tortie.api.resource import ResourceKey
from tortie.base.clock import SystemClock
from tortie.cli.manifests import read_manifests
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import in_process
from tortie.lab.cluster import write
from tortie.lab.lab import Lab
from tortie.lab.probe.matrix import eventually
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.topology import Topology, Workload
from tortie.selector.check import selector_problem

pytestmark = pytest.mark.system

NAMES = ("w0", "w1", "w2", "w3")
OWN = {"w0": 1000, "w1": 1001, "w2": 1002, "w3": 1003}
"""A port that each calls by its own name, such as `w0-port`."""

SHARED, DNS, SIGNAL, PLAIN = 1100, 5300, 5400, 4000
"""Ports that all call `shared` (TCP), `dns` (UDP) and `signal` (SCTP), and one without a name."""

MANY = tuple(range(3000, 3032, 2))
"""Ports of which no two are one range."""

PORTS = (80, 3001, *OWN.values(), SHARED, DNS, SIGNAL, PLAIN, MANY[0], MANY[-1])
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{name: {name}}}}}
spec:
  containers:
    - name: main
      image: none
      ports:
        - {{name: {name}-port, containerPort: {port}}}
        - {{name: shared, containerPort: 1100}}
        - {{name: dns, containerPort: 5300, protocol: UDP}}
        - {{name: signal, containerPort: 5400, protocol: SCTP}}
"""
Allowed = Callable[[str, str, Transport, int], bool]
TCP, UDP, SCTP = Transport.TCP, Transport.UDP, Transport.SCTP


class Yard:
    """A lab in this process; what is applied goes again with `clear`."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self._file = folder / "manifest.yaml"
        self._applied: set[ResourceKey] = set()

    def apply(self, text: str) -> None:
        """As `tortie apply -f` does."""
        self._file.write_text(text)
        resources = read_manifests([self._file], "default").resources
        self._applied |= {resource.key for resource in resources}
        asyncio.run(write(self.lab.topology, resources))

    def keep(self) -> None:
        """What was applied stays."""
        self._applied.clear()

    def delete(self, *keys: ResourceKey) -> None:
        """As `tortie delete` does."""
        asyncio.run(_delete(self.lab.topology, keys))
        self._applied -= set(keys)

    def clear(self) -> None:
        """Policies first, for tiers that are in use stay."""
        self.delete(*sorted(self._applied, key=lambda key: key.kind == "Tier"))

    def addresses(self, *names: str) -> list[str]:
        """Both of each workload, as prefixes."""
        found = [address for name in names for address in self.lab.attachment(name).addresses]
        return [f"{address}/{128 if ':' in address else 32}" for address in found]

    def expect(self, allowed: Allowed, *ports: int, transports: Iterable[Transport] = (TCP,)) -> None:
        """Every pair of workloads soon fares so on these ports, and goes on to."""
        expected = {
            Probe(source, address, transport, port): allowed(source, to, transport, port)
            for source in NAMES
            for to in NAMES
            if source != to
            for address in self.lab.attachment(to).addresses
            for transport in transports
            for port in ports or (80,)
        }
        assert eventually(self.lab.prober, expected, 15) == []
        assert [one for one in self.lab.probe(*expected) if one.allowed != expected[one.probe]] == []


async def _delete(topology: Topology, keys: Iterable[ResourceKey]) -> None:
    datastore = await EmbeddedDatastore.open(Path(topology.datastore))
    try:
        for key in keys:
            await ResourceStore(datastore, SystemClock(), selector_problem).delete(key)
    finally:
        await datastore.close()


@pytest.fixture(scope="module")
def whole(new_topology: Callable[..., Topology], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    topology = new_topology(*(Workload(name, host) for name, host in zip(NAMES, ("h1", "h1", "h2", "h2"), strict=True)))
    with in_process(topology) as (lab, _):
        for name in NAMES:
            lab.prober.listen(name, *PORTS)
        yard = Yard(lab, tmp_path_factory.mktemp("yard"))
        yard.apply("---".join(POD.format(name=name, port=port) for name, port in OWN.items()))
        yard.keep()
        yield yard


@pytest.fixture
def yard(whole: Yard) -> Iterator[Yard]:
    yield whole
    whole.clear()


def policy(name: str = "p", selector: str = "name == 'w0'", kind: str = "GlobalNetworkPolicy", **spec: object) -> str:
    """A policy as YAML."""
    metadata = {"name": name}
    document = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata}
    return yaml.safe_dump({**document, "spec": {"selector": selector, **spec}})


def tier(name: str, order: int, end: str = "Deny") -> str:
    """A tier as YAML."""
    document = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}}
    return yaml.safe_dump({**document, "spec": {"order": order, "defaultAction": end}})


def key(kind: str, name: str, namespace: str = "") -> ResourceKey:
    return ResourceKey(kind, namespace, name)


ALLOW, DENY, PASS = ({"action": action} for action in ("Allow", "Deny", "Pass"))
FROM_W1 = {**ALLOW, "source": {"selector": "name == 'w1'"}}
TO_W1 = {**ALLOW, "destination": {"selector": "name == 'w1'"}}


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"ingress": [FROM_W1]}, lambda source, to, *_: to != "w0" or source == "w1"),
        ({"egress": [TO_W1]}, lambda source, to, *_: source != "w0" or to == "w1"),
        (
            {"ingress": [FROM_W1], "types": ["Ingress", "Egress"]},
            lambda source, to, *_: source != "w0" and (to != "w0" or source == "w1"),
        ),
        (
            {"ingress": [FROM_W1], "egress": [DENY], "types": ["Ingress"]},
            lambda source, to, *_: to != "w0" or source == "w1",
        ),
        ({"types": ["Ingress"]}, lambda source, to, *_: to != "w0"),
        ({"types": ["Egress"]}, lambda source, to, *_: source != "w0"),
    ],
    ids=["ingress", "egress", "both without egress rules", "egress rules without the type", "no rules", "no rules out"],
)
def test_types_say_which_directions_are_governed(yard: Yard, spec: dict[str, object], allowed: Allowed) -> None:
    yard.apply(policy(**spec))
    yard.expect(allowed)


def test_the_end_of_a_tier_and_passing_to_the_next(yard: Yard) -> None:
    yard.apply("---\n".join([tier("first", 1), tier("second", 2), policy("first.p", tier="first", ingress=[PASS])]))
    yard.apply(policy("second.q", tier="second", selector="name == 'w1'", ingress=[ALLOW]))
    yard.expect(lambda *_: True)
    yard.apply(policy("first.p", tier="first", ingress=[FROM_W1]))
    yard.expect(lambda source, to, *_: to != "w0" or source == "w1")
    yard.apply(tier("first", 1, "Pass"))
    yard.expect(lambda *_: True)
    yard.apply(policy("second.q", tier="second", ingress=[DENY]))
    yard.expect(lambda source, to, *_: to != "w0" or source == "w1")
    yard.apply(tier("second", 0))
    yard.expect(lambda source, to, *_: to != "w0")


def test_a_tier_of_staged_policies_denies_nothing(yard: Yard) -> None:
    yard.apply("---\n".join([tier("first", 1), policy(tier="first", kind="StagedGlobalNetworkPolicy", ingress=[DENY])]))
    yard.expect(lambda *_: True)


def cluster(name: str, level: str, priority: int, action: str, way: str = "ingress") -> str:
    """A ClusterNetworkPolicy about all that w0 receives or sends."""
    peers = {"ingress": "from", "egress": "to"}[way]
    subject = {"pods": {"podSelector": {"matchLabels": {"name": "w0"}}}}
    rules = [{"action": action, peers: [{"namespaces": {}}]}]
    document = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy"}
    spec = {"tier": level, "priority": priority, "subject": subject, way: rules}
    return yaml.safe_dump({**document, "metadata": {"name": name}, "spec": spec})


def test_policies_of_administrators_stand_before_and_after_all_others(yard: Yard) -> None:
    def guarded(source: str, to: str, *_: object) -> bool:
        return to != "w0"

    yard.apply(cluster("deny", "Admin", 10, "Deny"))
    yard.expect(guarded)
    yard.apply(cluster("first", "Admin", 5, "Accept"))
    yard.expect(lambda *_: True)
    yard.delete(key("GlobalNetworkPolicy", "kcnp.first"))
    yard.expect(guarded)
    yard.apply(cluster("deny", "Admin", 10, "Pass") + "---\n" + policy(ingress=[FROM_W1]))
    yard.expect(lambda source, to, *_: to != "w0" or source == "w1")
    yard.apply(cluster("last", "Baseline", 1, "Deny", "egress"))
    yard.expect(lambda source, to, *_: source != "w0" and (to != "w0" or source == "w1"))
    yard.apply(policy("out", egress=[TO_W1]))
    yard.expect(lambda source, to, *_: (source != "w0" or to == "w1") and (to != "w0" or source == "w1"))


NAMED = ["shared", "w0-port", "w1-port", PLAIN]
SOME = "name in {'w0', 'w1', 'w2'}"


def is_named(to: str, port: int) -> bool:
    return port in (SHARED, PLAIN) or (to in ("w0", "w1") and port == OWN[to])


@pytest.mark.parametrize(
    ("destination", "allowed"),
    [
        ({"selector": SOME, "ports": NAMED}, lambda _, to, __, port: to != "w3" and is_named(to, port)),
        (
            {"selector": SOME, "notSelector": "name == 'w2'", "ports": NAMED},
            lambda _, to, __, port: to in ("w0", "w1") and is_named(to, port),
        ),
        (
            {"notSelector": "name == 'w2'", "ports": NAMED},
            lambda _, to, __, port: to != "w2" and is_named(to, port),
        ),
        (
            {"selector": SOME, "notPorts": ["w0-port", OWN["w1"], PLAIN]},
            lambda _, to, __, port: to != "w3" and (to, port) != ("w0", OWN["w0"]) and port not in (OWN["w1"], PLAIN),
        ),
        (
            {"ports": [*MANY, "shared"], "notPorts": [MANY[-1], "w0-port"]},
            lambda _, to, __, port: port in (SHARED, *MANY[:-1]),
        ),
    ],
    ids=["selected", "but some", "all but some", "not these", "many"],
)
@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_ports_go_by_number_and_by_the_name_that_each_gives_them(
    yard: Yard, way: str, destination: dict[str, object], allowed: Allowed
) -> None:
    yard.apply(policy(selector="has(name)", **{way: [{**ALLOW, "protocol": "TCP", "destination": destination}]}))
    yard.expect(allowed, *OWN.values(), SHARED, PLAIN, MANY[0], MANY[-1], 3001)


def test_a_port_by_name_alone_has_the_protocol_that_it_has_there(yard: Yard) -> None:
    yard.apply(policy(selector="has(name)", ingress=[{**ALLOW, "destination": {"ports": ["shared", "dns", "signal"]}}]))
    there = {(TCP, SHARED), (UDP, DNS), (SCTP, SIGNAL)}
    yard.expect(
        lambda _, __, transport, port: (transport, port) in there, SHARED, DNS, SIGNAL, transports=(TCP, UDP, SCTP)
    )


@pytest.mark.parametrize("transport", [TCP, UDP, SCTP])
def test_ports_of_the_sender_count_too(yard: Yard, transport: Transport) -> None:
    """Senders choose theirs at random between 20000 and 60000 or more, so all of them or none fit."""
    for ports, fits in (("1024:65535", True), ("1:1023", False)):
        rule = {**ALLOW, "protocol": transport.upper(), "source": {"ports": [ports]}}
        yard.apply(policy(ingress=[rule]))
        yard.expect(lambda _, to, __, ___, fits=fits: to != "w0" or fits, transports=(transport,))


def _families(prefixes: Iterable[str]) -> list[list[str]]:
    found = list(prefixes)
    return [[one for one in found if (":" in one) is six] for six in (False, True)]


@pytest.mark.parametrize(
    ("sides", "allowed"),
    [
        ({"source": {"nets": ["w1", "w2"]}}, lambda source, *_: source in ("w1", "w2")),
        ({"source": {"notNets": ["w1", "w2"]}}, lambda source, *_: source not in ("w1", "w2")),
        ({"source": {"nets": ["w1", "w2"], "notNets": ["w2", "w3"]}}, lambda source, *_: source == "w1"),
        (
            {"source": {"nets": ["w0", "w1"]}, "destination": {"nets": ["w1", "w2"], "ports": [80, 3001]}},
            lambda source, to, _, port: source in ("w0", "w1") and to in ("w1", "w2") and port in (80, 3001),
        ),
        (
            {"source": {"notNets": ["w0", "w1"]}, "destination": {"notNets": ["w1", "w2"], "notPorts": [80, 3001]}},
            lambda source, to, _, port: source in ("w2", "w3") and to in ("w0", "w3") and port not in (80, 3001),
        ),
        (
            {
                "source": {"nets": ["w0", "w1", "w2"], "notNets": ["w2"], "selector": "name != 'w1'"},
                "destination": {"nets": ["w1", "w2", "w3"], "notNets": ["w3"], "notPorts": [3001]},
            },
            lambda source, to, _, port: source == "w0" and to in ("w1", "w2") and port != 3001,
        ),
    ],
    ids=["nets", "not nets", "both", "all four ways", "none of four", "with selectors"],
)
def test_every_list_of_prefixes_is_asked_by_itself(
    yard: Yard, sides: dict[str, dict[str, list[object]]], allowed: Allowed
) -> None:
    rules = []
    for six in (0, 1):
        rule: dict[str, object] = {**ALLOW, "protocol": "TCP"}
        for side, fields in sides.items():
            nets = {
                name: _families(yard.addresses(*map(str, given)))[six]
                for name, given in fields.items()
                if "ets" in name
            }
            rule[side] = {**fields, **nets}
        rules.append(rule)
    yard.apply(policy(selector="has(name)", ingress=rules))
    yard.expect(allowed, 80, 3001, PLAIN)


def network_set(name: str, role: str, nets: list[str]) -> str:
    document = {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet"}
    return yaml.safe_dump({**document, "metadata": {"name": name, "labels": {"role": role}}, "spec": {"nets": nets}})


def test_network_sets_come_change_overlap_and_go(yard: Yard) -> None:
    to_some = {**ALLOW, "source": {"selector": "role == 'src'"}, "destination": {"selector": "role == 'dst'"}}
    yard.apply(policy(selector="has(name)", ingress=[to_some]))
    yard.expect(lambda *_: False)
    yard.apply(network_set("src", "src", yard.addresses("w0", "w1", "w2")))
    yard.apply(network_set("dst", "dst", yard.addresses("w2", "w3")))
    yard.expect(lambda source, to, *_: source != "w3" and to in ("w2", "w3"))
    yard.apply(network_set("src", "src", [*yard.addresses("w1"), *yard.addresses("w1")[:1]]))
    yard.expect(lambda source, to, *_: source == "w1" and to in ("w2", "w3"))
    yard.apply(network_set("more", "src", ["0.0.0.0/0", "::/0"]))
    yard.expect(lambda source, to, *_: to in ("w2", "w3"))
    yard.delete(key("GlobalNetworkSet", "more"))
    yard.expect(lambda source, to, *_: source == "w1" and to in ("w2", "w3"))
    yard.delete(key("GlobalNetworkSet", "src"))
    yard.expect(lambda *_: False)
    yard.apply(network_set("src", "src", yard.addresses("w0", "w1", "w2")))
    yard.expect(lambda source, to, *_: source != "w3" and to in ("w2", "w3"))


SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: shop-{family}, labels: {{kubernetes.io/service-name: shop}}}}
addressType: IPv{family}
endpoints: [{{addresses: ["{address}"]}}]
ports: [{{port: 80}}]
"""


def slices(yard: Yard, name: str) -> str:
    """What makes a workload the backend of a service, in both families."""
    found = (one.split("/")[0] for one in yard.addresses(name))
    return "---".join(SLICE.format(family=6 if ":" in one else 4, address=one) for one in found)


def test_denying_a_service_denies_its_backends_on_their_ports_only(yard: Yard) -> None:
    service = {"services": {"name": "shop", "namespace": "default"}}
    yard.apply(policy(selector="has(name)", egress=[{**DENY, "destination": service}, ALLOW]))
    yard.expect(lambda *_: True, 80, 3001)
    for backend in ("w1", "w0"):
        yard.apply(slices(yard, backend))
        yard.expect(lambda _, to, __, port, backend=backend: (to, port) != (backend, 80), 80, 3001)
    yard.apply(policy(selector="has(name)", ingress=[{**DENY, "source": service}, ALLOW]))
    yard.expect(lambda source, *_: source != "w0", 80, 3001)
    for family in (4, 6):
        yard.delete(key("EndpointSlice", f"shop-{family}", "default"))
    yard.expect(lambda *_: True, 80, 3001)
