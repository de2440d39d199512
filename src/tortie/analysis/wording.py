"""Sets of packets in words: `TCP 80,443`, `everything but UDP`, `ICMP type 8`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.analysis.diagram import Node
from tortie.analysis.packets import FAMILIES, PORT_PROTOCOLS, Field, PacketSet
from tortie.calculation.protocols import PROTOCOLS
from tortie.calculation.verdict import Packet

NAMES = {
    number: {"icmpv6": "ICMPv6", "udplite": "UDP-Lite"}.get(name, name.upper()) for name, number in PROTOCOLS.items()
}

NOTHING, EVERYTHING = "nothing", "everything"

Span = tuple[int, int | None]


def describe(packets: PacketSet, family: int | None = None) -> str:
    """What is in a set, apart from addresses.

    Args:
        family: of all packets in question; without it, one that stands alone is named.
    """
    node = packets.node
    if node.variable != Field.FAMILY:
        return _protocols(node, PORT_PROTOCOLS)
    by_family = dict(zip(FAMILIES, (child for _, _, child in node.pieces()), strict=True))
    if family is not None:
        return _protocols(by_family[family], PORT_PROTOCOLS)
    said = [f"IPv{one}: {_protocols(child, PORT_PROTOCOLS)}" for one, child in by_family.items() if _is_some(child)]
    return "; ".join(said)


def packet_text(packet: Packet) -> str:
    """A packet without its addresses, as `TCP 80`."""
    name = NAMES.get(packet.protocol, f"protocol {packet.protocol}")
    if packet.destination_port is not None:
        return f"{name} {packet.destination_port}"
    return name if packet.icmp_type is None else f"{name} type {packet.icmp_type} code {packet.icmp_code or 0}"


def _protocols(node: Node, ported: tuple[int, ...]) -> str:
    if node.is_leaf:
        return EVERYTHING if node.value is True else NOTHING
    if node.variable != Field.PROTOCOL:
        return _inside(node, "any protocol")
    found: dict[Node, list[Span]] = {}
    for first, last, child in node.pieces():
        if _is_some(child):
            found.setdefault(child, []).append((first, last))
    return "; ".join(_of_protocols(child, spans) for child, spans in found.items())


def _of_protocols(child: Node, spans: list[Span]) -> str:
    numbers = [number for first, last in spans for number in range(first, (255 if last is None else last) + 1)]
    others = [number for number in range(256) if number not in set(numbers)]
    names = _listed(_name(one) for one in numbers)
    if len(numbers) > len(others):
        names = f"every protocol but {_listed(_name(one) for one in others)}" if others else "every protocol"
    return names if child.is_leaf else _inside(child, names)


def _inside(node: Node, name: str) -> str:
    """Ports, or types and codes of ICMP, joined to a protocol's name."""
    if node.variable == Field.DESTINATION_PORT:
        parts = list(_grouped(node))
        return ", ".join(f"{name} {_numbers(spans)}{_from(child)}" for child, spans in parts)
    if node.variable == Field.SOURCE_PORT:
        return f"{name}{_from(node)}"
    if node.variable == Field.ICMP_TYPE:
        return ", ".join(f"{name} type {_numbers(spans)}{_code(child)}" for child, spans in _grouped(node))
    return f"{name}, some of it"


def _from(node: Node) -> str:
    if node.variable != Field.SOURCE_PORT:
        return ""
    return f" from port {', '.join(_numbers(spans) for _, spans in _grouped(node))}"


def _code(node: Node) -> str:
    return (
        f" code {', '.join(_numbers(spans) for _, spans in _grouped(node))}" if node.variable == Field.ICMP_CODE else ""
    )


def _grouped(node: Node) -> Iterator[tuple[Node, list[Span]]]:
    found: dict[Node, list[Span]] = {}
    for first, last, child in node.pieces():
        if _is_some(child):
            found.setdefault(child, []).append((first, last))
    yield from found.items()


def _numbers(spans: Iterable[Span]) -> str:
    return ",".join(
        str(first) if first == last else f"{first} and up" if last is None else f"{first}-{last}"
        for first, last in spans
    )


def _is_some(node: Node) -> bool:
    return not (node.is_leaf and node.value is False)


def _name(number: int) -> str:
    return NAMES.get(number, str(number))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
