"""Before a change of host policy is written: whom it would lock out, and what it would cut hosts off from."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_interface
from pathlib import Path

from tortie.analysis.cluster import KINDS
from tortie.analysis.lockout import Guarded, Lifeline, losses, mesh
from tortie.api.bgp import BGPPeer
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.hostendpoint import HostEndpoint
from tortie.api.node import Node
from tortie.api.resource import Resource, ResourceKey
from tortie.base.addresses import Cidr
from tortie.cli.personality import FORCE, LOCATION, before
from tortie.cli.plan import HOST_KINDS, Plan
from tortie.cli.probing import RESOLVERS, name_servers
from tortie.datastore.resources import ResourceStore
from tortie.desired.failsafes import TCP, UDP, Failsafes

SSH, BGP, KUBELET, DNS = 22, 179, 10250, 53

MOST_NODES = 20
"""Of so many nodes each is asked about every other; of more, each is asked about the first so many."""


async def locked_out(store: ResourceStore, plan: Plan) -> list[str]:
    """What hosts would lose by a plan that they have now; empty where nothing can be lost, or --force was given."""
    steps = {step.key: step.after for step in plan.steps if step.changes}
    if before(FORCE) or not any(key.kind in HOST_KINDS for key in steps):
        return []
    hosts = {one.key: one for one in await store.list(HostEndpoint.kind)}
    if not any(isinstance(one, HostEndpoint) for one in (hosts | steps).values()):
        return []
    kinds = sorted(KINDS | {FelixConfiguration.kind, BGPPeer.kind, Node.kind})
    now: dict[ResourceKey, Resource] = {one.key: one for kind in kinds for one in await store.list(kind)}
    then = {key: one for key, one in (now | steps).items() if one is not None}
    lines = list(lifelines(then.values()))
    found = losses(_guarded(now.values()), _guarded(then.values()), lines)
    return [str(one) for one in found]


def _guarded(resources: Iterable[Resource]) -> Guarded:
    known = list(resources)
    return Guarded(known, lambda node: failsafes_of(known, node))


def failsafes_of(resources: Iterable[Resource], node: str) -> Failsafes:
    """As FelixConfigurations say, over the defaults; what an agent's own file says is not known here."""
    from tortie.agent.configuration import effective
    from tortie.agent.settings import read_values
    from tortie.calculation.configurations import Configurations
    from tortie.calculation.problems import Problems

    found = Configurations(node, None, Problems())
    for one in resources:
        if isinstance(one, FelixConfiguration):
            found.put(one.key, one)
        elif isinstance(one, Node) and one.metadata.name == node:
            found.put_node(node, one)
    settings = effective(read_values({"TORTIE_NODE": node}), found.layers()).values.settings
    return Failsafes(settings.failsafe_inbound_host_ports, settings.failsafe_outbound_host_ports)


def lifelines(resources: Iterable[Resource]) -> Iterator[Lifeline]:
    """What the nodes of a cluster should not lose, as far as it is known where the command runs."""
    known = list(resources)
    nodes = [one for one in known if isinstance(one, Node)]
    addresses = {one.metadata.name: list(_addresses(one)) for one in nodes}
    for node, held in addresses.items():
        for own in held:
            yield from _of_node(node, own, known)
    some = dict(list(addresses.items())[:MOST_NODES])
    yield from mesh(some, BGP, "BGP")
    if any(ref.orchestrator == "k8s" for one in nodes for ref in one.spec.orch_refs):
        yield from (one for one in mesh(some, KUBELET, "the kubelet") if one.is_inbound)


def _of_node(node: str, own: Cidr, known: Sequence[Resource]) -> Iterator[Lifeline]:
    for client in _same(own, ssh_clients(os.environ.get("SSH_CONNECTION", ""))):
        yield Lifeline(node, f"SSH from {client.text}, where this session comes from", own, client, True, TCP, SSH)
    for server, port in datastore_ends():
        if server.family == own.family:
            yield Lifeline(node, f"the datastore {server.text} port {port}", own, server, False, TCP, port)
    for server in _same(own, map(_cidr, name_servers(RESOLVERS))):
        if not ip_address(server.text).is_loopback:
            yield Lifeline(node, f"the name server {server.text}", own, server, False, UDP, DNS)
    for peer in known:
        if isinstance(peer, BGPPeer) and peer.spec.peer_ip and peer.spec.node in ("", node):
            for router in _same(own, [_cidr(_without_port(peer.spec.peer_ip))]):
                yield Lifeline(node, f"BGP to {router.text}", own, router, False, TCP, BGP)


def ssh_clients(connection: str) -> Iterator[Cidr]:
    """Where the present session comes from (sshd(8): SSH_CONNECTION)."""
    if connection:
        yield _cidr(connection.split()[0].partition("%")[0])


def datastore_ends() -> list[tuple[Cidr, int]]:
    """Addresses and ports of etcd's servers; none of a file."""
    location = before(LOCATION)
    if location is None or isinstance(location, Path):
        return []
    found = []
    for url in location.endpoints:
        host, _, port = url.rpartition("://")[2].rpartition(":")
        try:
            answers = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            continue
        found += [(_cidr(str(answer[4][0])), int(port)) for answer in answers]
    return [one for one in dict.fromkeys(found) if not ip_address(one[0].text).is_loopback]


def _without_port(text: str) -> str:
    """The address of `192.0.2.1:1179` or `[2001:db8::1]:1179`."""
    return text.partition("]")[0].strip("[") if text.count(":") != 1 else text.partition(":")[0]


def _addresses(node: Node) -> Iterator[Cidr]:
    bgp = node.spec.bgp
    for text in (bgp.ipv4_address, bgp.ipv6_address) if bgp else ():
        if text:
            yield _cidr(str(ip_interface(text).ip))


def _same(own: Cidr, others: Iterable[Cidr]) -> Iterator[Cidr]:
    return (one for one in others if one.family == own.family and one != own)


def _cidr(address: str) -> Cidr:
    return Cidr.host(address)
