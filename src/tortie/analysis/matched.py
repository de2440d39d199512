"""Why a rule matches a packet: the sets, prefixes, ports and services that its ends are in."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.analysis.cluster import Cluster
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import Packet
from tortie.desired.policy import PortRange, Rule, SetId, Side


def why(cluster: Cluster, rule: Rule, packet: Packet) -> Iterator[str]:
    """What a rule that matches asks of the ends of a packet, and which member answers to it."""
    for name, side, address, port in (
        ("source", rule.source, packet.source, packet.source_port),
        ("destination", rule.destination, packet.destination, packet.destination_port),
    ):
        text = Cidr(packet.family, address, BITS[packet.family]).text
        yield from (f"{name} {text} is in {net}" for net in side.nets if _is_in(net, packet.family, address))
        yield from (f"{name} {text} is a member of {set_text(cluster, one)}" for one in side.sets)
        yield from (f"{name} {text} is a backend of {set_text(cluster, one)}" for one in side.service_sets)
        yield from _ports(cluster, name, side, port)


def _ports(cluster: Cluster, name: str, side: Side, port: int | None) -> Iterator[str]:
    if port is None or not (side.ports or side.port_sets):
        return
    span = next((one for one in side.ports if one.first <= port <= one.last), None)
    if span is None:
        yield f"{name} port {port} is {' or '.join(port_name(cluster, one) for one in side.port_sets)}"
    elif span.first != span.last:
        yield f"{name} port {port} is in {range_text(span)}"


def set_text(cluster: Cluster, name: SetId) -> str:
    """What a set holds, as people write it."""
    spec = cluster.specs.get(name)
    if spec is None:
        return str(name)
    return f"service {spec.service}" if spec.selector is None else spec.selector.canonical


def port_name(cluster: Cluster, name: SetId) -> str:
    """What a set of named ports is called."""
    spec = cluster.specs.get(name)
    return f"one that is called {spec.port}" if spec is not None and spec.port else str(name)


def range_text(span: PortRange) -> str:
    """Ports as people write them."""
    return str(span.first) if span.first == span.last else f"{span.first}:{span.last}"


def _is_in(net: Cidr, family: int, address: int) -> bool:
    return net.family == family and net.address <= address <= net.last
