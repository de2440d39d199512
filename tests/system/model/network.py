"""A network of two hosts whose packet filters are driven in this process: contents in, packets through."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from model.contents import CAST, PORTS, SOURCE_PORTS, Contents
from model.packets import Judge, Station, questions
from model.shooting import shots, surroundings
from model.shots import Gallery, Shot

from tortie.agent.configuration import effective
from tortie.agent.filter_settings import node_settings, permissions
from tortie.agent.settings import read_values
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.calculation.configurations import Configured
from tortie.calculation.crossing import Surroundings
from tortie.calculation.graph import Calculation
from tortie.dataplane.nftables.operations import DeleteTable, Operation
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import EndpointId
from tortie.desired.settings import FilterSettings
from tortie.desired.state import Changes, DesiredState
from tortie.lab.fabric import BRIDGE, UPLINK, write_sysctls
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.probe.model import Outcome, Probe
from tortie.lab.probe.prober import Patience
from tortie.lab.state import Attachment
from tortie.lab.topology import Host, Topology, Workload
from tortie.lab.workload import DirectAttacher
from tortie.netlink import links, route
from tortie.netlink.batch import Request, execute
from tortie.netlink.namespace import NamespaceThread, anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket

Update = tuple[ResourceKey, Resource | None]

_RESTARTS = 0.15
"""Of steps after which nodes begin anew."""
_SHORT = Patience(0.08, 2)
_LONG = Patience(1.0, 3)
_FLUSH_CONNECTIONS = Request(0x102, 0, bytes(4), "forget all connections")
_STRICT = {"netfilter/nf_conntrack_tcp_loose": "0", "netfilter/nf_conntrack_checksum": "0"}
"""Leftovers of earlier connections open no new ones; UDP-Lite is tracked, whose checksums the kernel gets wrong."""


class Node:
    """One host's way from resources to the kernel. All but `start` and `close` runs in the thread of the host."""

    def __init__(self, place: Place) -> None:
        self.thread = NamespaceThread(place.namespace)
        self._name = place.host.name
        self._own = {UPLINK: {Cidr.host(one) for one in place.host.addresses}}
        self._target = self._new_target()
        self.start()

    @property
    def surroundings(self) -> Surroundings:
        """What decides besides policy."""
        settings = self.desired.settings
        return surroundings(settings.filter if settings else FilterSettings(), self._own)

    def start(self) -> None:
        """Know nothing, as after a restart; what is in the kernel stays."""
        self._target.connection.close()
        self._target = self._new_target()
        self.calculation = Calculation(self._name, configure=_configured)
        self.calculation.set_in_sync()
        self.desired = DesiredState()
        self._is_first = True

    def wipe(self) -> None:
        """Take the table away, and every tracked connection."""
        self._target.connection.close()
        self._target = self._new_target()
        actual = self._target.read()
        if actual.present:
            self._target.apply([DeleteTable()])
        self.forget_connections()

    def bring(self, updates: Sequence[Update]) -> None:
        """One flush and one pass; the first is a full one, as after a start."""
        for key, value in updates:
            self.calculation.update(key, value)
        delta = self.calculation.flush()
        changes = Changes()
        changes.note(delta)
        self.desired.apply(delta)
        self._pass(None if self._is_first else changes)
        self._is_first = False

    def difference(self) -> Sequence[Operation]:
        """What somebody who reads the whole table anew would change."""
        with self.fresh_target() as target:
            return target.plan(self.desired, target.read(), None).operations

    @contextmanager
    def fresh_target(self) -> Iterator[NftablesTarget]:
        """One that has never read anything."""
        target = self._new_target()
        try:
            yield target
        finally:
            target.connection.close()

    def forget_connections(self) -> None:
        """Every flow is a new one."""
        with NetlinkSocket(NETLINK_NETFILTER) as socket:
            execute(socket, _FLUSH_CONNECTIONS)

    def close(self) -> None:
        """End the thread."""
        self.thread.submit(self._target.connection.close).result()
        self.thread.shutdown()

    def _new_target(self) -> NftablesTarget:
        return NftablesTarget(addresses=lambda: self._own)

    def _pass(self, changes: Changes | None) -> None:
        actual = self._target.read()
        plan = self._target.plan(self.desired, actual, changes)
        self._target.apply(plan.operations)
        self._target.applied(actual, plan)


class Network:
    """The lab, its nodes, and what the datastore holds."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = {place.host.name: Node(place) for place in lab.places()}
        self._contents: Contents = Contents()
        self._interfaces = {name: one.interface for name, one in lab.state().attachments.items()}
        self.stations = tuple(
            Station(one.name, one.addresses, one.host, EndpointId(one.namespace, one.name), self._interfaces[one.name])
            for one in CAST
        )
        self.stations += (Station(BRIDGE, tuple(one.text for one in lab.topology.gateways())),)
        for station in self.stations:
            lab.prober.listen(station.name, *PORTS)
        hosts = (Station(one.name, one.addresses, one.name) for one in lab.topology.hosts)
        self.everybody = (*self.stations, *hosts)
        self._gallery = Gallery({one.name: lab.namespace(one.name) for one in self.everybody})

    def restart(self) -> None:
        """Hosts without a table, and nodes that know nothing."""
        self._contents = Contents()
        self._everywhere("start")
        self._everywhere("wipe")

    def bring(self, contents: Contents, chance: random.Random | None = None) -> None:
        """Move to these contents at once or, by chance, in any order, in several steps, with restarts in between."""
        known = {key: self._wired(one) for key, one in self._contents.items()}
        for step in _steps(list(self._updates(contents)), chance):
            self._everywhere("bring", step)
            known.update(step)
            if chance is not None and chance.random() < _RESTARTS:
                self._everywhere("start")
                self._everywhere("bring", sorted((key, one) for key, one in known.items() if one is not None))
        self._contents = contents

    def ask(self, seed: int) -> list[str]:
        """Send packets; returns those that fared otherwise than the compiled form says.

        Loss is not denial: what should have been answered and was not is asked once more, with patience.
        """
        judge = self._judge()
        asked = questions(judge, self.stations, PORTS, SOURCE_PORTS, seed)
        judgements = {question.probe: judgement for question, judgement in asked.items()}
        first = self._send(judgements, _SHORT)
        leaks = [one for one in first if one.allowed and judgements[one.probe].denials]
        lost = [one.probe for one in first if not one.allowed and not judgements[one.probe].denials]
        wrong = leaks + [one for one in self._send(lost, _LONG) if not one.allowed]
        return [f"{one} from port {one.probe.source_port}, but: {judgements[one.probe].way}" for one in wrong]

    def shoot(self, seed: int) -> list[str]:
        """Send single packets, of hosts too; returns those that fared otherwise than the compiled form says."""
        judged = shots(self._judge(), self.everybody, seed)
        first = self._fire(judged, [one for one, judgement in judged.items() if not judgement.denials], 0.2)
        leaks = [one for one in first if judged[one].denials]
        lost = [one for one, judgement in judged.items() if not judgement.denials and one not in first]
        for patience in (0.3, 1.0) if lost else ():
            found = self._fire(lost, lost, patience)
            lost = [one for one in lost if one not in found]
        return [f"{one} {word}, but: {judged[one].way}" for word, some in _words(leaks, lost) for one in some]

    def _judge(self) -> Judge:
        nodes = self.nodes.items()
        return Judge({name: node.desired for name, node in nodes}, {name: node.surroundings for name, node in nodes})

    def _fire(self, shots: Collection[Shot], expected: Collection[Shot], patience: float) -> set[Shot]:
        self._everywhere("forget_connections")
        return self._gallery.arrived(shots, expected, patience)

    def _send(self, probes: Iterable[Probe], patience: Patience) -> list[Outcome]:
        """Every probe opens a new flow."""
        if not (asked := list(probes)):
            return []
        self._everywhere("forget_connections")
        return self.lab.prober.run(asked, patience)

    def differences(self) -> list[str]:
        """How the kernel differs from what it would have if it had never had anything else, in words."""
        return [
            f"{name}: {difference}"
            for name, node in self.nodes.items()
            for difference in _undone(node) or _unlike(node.thread.submit(table).result(), _from_nothing(node))
        ]

    def close(self) -> None:
        """End all threads."""
        self._gallery.close()
        for node in self.nodes.values():
            node.close()

    def _updates(self, contents: Contents) -> Iterator[Update]:
        for key in self._contents.keys() | contents.keys():
            old, new = self._contents.get(key), contents.get(key)
            if old != new:
                yield key, self._wired(new)

    def _wired(self, resource: Resource | None) -> Resource | None:
        if not isinstance(resource, WorkloadEndpoint):
            return resource
        name = self._interfaces[resource.metadata.name]
        return msgspec.structs.replace(resource, spec=msgspec.structs.replace(resource.spec, interface_name=name))

    def _everywhere(self, method: str, *arguments: Any) -> None:
        waiting = [node.thread.submit(getattr(node, method), *arguments) for node in self.nodes.values()]
        for one in waiting:
            one.result()


@contextmanager
def network(topology: Topology) -> Iterator[Network]:
    """The cast on the hosts of a topology, and a way to them from outside; gone after the block."""
    workloads = tuple(Workload(one.name, one.host, one.namespace) for one in CAST)
    topology = msgspec.structs.replace(topology, workloads=workloads)
    with Lab(topology, attacher=_Attacher()) as lab:
        for place in lab.places():
            with inside(place.namespace):
                write_sysctls(_STRICT)
        _route_from_outside(topology)
        found = Network(lab)
        try:
            yield found
        finally:
            found.close()


def table() -> dict[str, list[Any]]:
    """What `nft` shows of our table in the namespace of this thread, in an order that says nothing of its history."""
    shown = subprocess.run(["nft", "-j", "-s", "list", "table", "inet", "tortie"], check=True, capture_output=True)
    found: dict[str, list[Any]] = {}
    for entry in json.loads(shown.stdout)["nftables"]:
        for kind, body in entry.items():
            if kind != "metainfo":
                where = f"rules of {body['chain']}" if kind == "rule" else f"{kind} {body['name']}"
                found.setdefault(where, []).append(_settled(body))
    return found


def _configured(layers: Sequence[FelixConfiguration]) -> Configured:
    found = effective(read_values({}), layers).values.settings
    return Configured(node_settings(found), permissions(found))


def _words(leaks: Collection[Shot], lost: Collection[Shot]) -> Iterator[tuple[str, Collection[Shot]]]:
    yield "arrived", leaks
    yield "did not arrive", lost


class _Attacher:
    """Gives everybody the addresses of the cast."""

    def __init__(self) -> None:
        self._direct = DirectAttacher()

    def attach(self, topology: Topology, workload: Workload, host: Host, addresses: Sequence[str]) -> Attachment:
        own = next(one.addresses for one in CAST if one.name == workload.name)
        return self._direct.attach(topology, workload, host, own)

    def detach(self, topology: Topology, workload: Workload, attachment: Attachment) -> None:
        self._direct.detach(topology, workload, attachment)


def _from_nothing(node: Node) -> dict[str, list[Any]]:
    namespace = anonymous_namespace()
    try:
        with inside(namespace), node.fresh_target() as target:
            target.apply(target.plan(node.desired, target.read(), None).operations)
            return table()
    finally:
        os.close(namespace)


def _undone(node: Node) -> list[str]:
    return [f"a full pass would {one}" for one in node.thread.submit(node.difference).result()]


def _unlike(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    parts = sorted(actual.keys() | wanted.keys())
    return [f"{one}: {actual.get(one)}, not {wanted.get(one)}" for one in parts if actual.get(one) != wanted.get(one)]


def _settled(value: Any) -> Any:
    """Without handles, and with the elements of sets in order."""
    if isinstance(value, Mapping):
        return {
            key: sorted(map(_settled, one), key=json.dumps)
            if key in ("elem", "set") and isinstance(one, list)
            else _settled(one)
            for key, one in value.items()
            if key != "handle"
        }
    return [_settled(one) for one in value] if isinstance(value, list) else value


def _steps(updates: list[Update], chance: random.Random | None) -> Iterator[list[Update]]:
    """All updates in one step or, by chance, shuffled and cut in up to five, some of them empty."""
    if chance is None:
        yield sorted(updates, key=lambda update: update[0])
        return
    updates = chance.sample(sorted(updates, key=lambda update: update[0]), len(updates))
    cuts = sorted(chance.randint(0, len(updates)) for _ in range(chance.randint(0, 4)))
    for first, last in zip([0, *cuts], [*cuts, len(updates)], strict=True):
        yield updates[first:last]


def _route_from_outside(topology: Topology) -> None:
    with inside(topology.host_namespace(BRIDGE)), NetlinkSocket(NETLINK_ROUTE) as socket:
        bridge = links.get_link(socket, BRIDGE)
        assert bridge is not None
        for one in CAST:
            for address in map(Cidr.host, one.addresses):
                gateway = Cidr.host(topology.host(one.host).address(address.family))
                execute(socket, route.add(route.Route(address, bridge.index, gateway=gateway)))
