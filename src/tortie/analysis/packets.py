"""Sets of packets: exact, and canonical, so that two that hold the same packets are equal.

A packet has a family, a protocol and two addresses; TCP, UDP, SCTP and UDP-Lite have ports, ICMP of
the packet's family has a type and a code. What a protocol does not have, no set looks at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from tortie.analysis.diagram import Forest, Intervals, Node, Path, intervals_of, paths, value_at
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.verdict import ICMP_PROTOCOL, Packet

PORT_PROTOCOLS = (6, 17, 132, 136)
"""Protocols with ports that rules can match: TCP, UDP, SCTP, UDP-Lite."""

FAMILIES = (4, 6)


class Field(enum.IntEnum):
    """What is looked at, in this order."""

    FAMILY = 0
    PROTOCOL = 1
    DESTINATION_PORT = 2
    SOURCE_PORT = 3
    ICMP_TYPE = 4
    ICMP_CODE = 5
    DESTINATION = 6
    SOURCE = 7


SIZES = (2, 256, 1 << 16, 1 << 16, 256, 256, 1 << 128, 1 << 128)
"""How many values each field has; the family counts 0 for IPv4 and 1 for IPv6."""


class Space:
    """All packets, and the sets of them that conditions make. Sets of different spaces never meet."""

    def __init__(self) -> None:
        self.forest = Forest(SIZES)
        self.all = PacketSet(self, self.forest.everything)
        self.none = PacketSet(self, self.forest.nothing)
        self._port_protocols = self._among(Field.PROTOCOL, [(one, one) for one in PORT_PROTOCOLS])

    def family(self, family: int) -> PacketSet:
        """Packets of IPv4 or IPv6."""
        return self._among(Field.FAMILY, [(FAMILIES.index(family),) * 2])

    def protocol(self, *protocols: int) -> PacketSet:
        """Packets of these IP protocols."""
        return self._among(Field.PROTOCOL, intervals_of((one, one) for one in protocols))

    def ports(self, field: Field, ranges: Iterable[tuple[int, int]]) -> PacketSet:
        """Packets that have a port, and whose source or destination port is in one of the ranges."""
        return self._port_protocols & self._among(field, intervals_of(ranges))

    def icmp(self, kind: int, code: int | None = None) -> PacketSet:
        """ICMP of either family (each its own) of a type and, if given, a code."""
        ours = self.none
        for family, protocol in ICMP_PROTOCOL.items():
            ours |= self.family(family) & self.protocol(protocol)
        ours &= self._among(Field.ICMP_TYPE, [(kind, kind)])
        return ours if code is None else ours & self._among(Field.ICMP_CODE, [(code, code)])

    def addresses(self, field: Field, family: int, intervals: Intervals) -> PacketSet:
        """Packets of a family whose source or destination is in one of the intervals, which are ascending and apart."""
        place = self.forest.among(field, intervals, size=1 << BITS[family])
        return self.family(family) & PacketSet(self, place)

    def nets(self, field: Field, nets: Iterable[Cidr]) -> PacketSet:
        """Packets whose source or destination is in one of the prefixes."""
        found, nets = self.none, list(nets)
        for family in FAMILIES:
            ranges = [(net.address, net.last) for net in nets if net.family == family]
            if ranges:
                found |= self.addresses(field, family, intervals_of(ranges))
        return found

    def wrap(self, node: Node) -> PacketSet:
        """The set of packets for which a function of this space's forest is True."""
        return PacketSet(self, node)

    def _among(self, field: Field, intervals: Intervals) -> PacketSet:
        return PacketSet(self, self.forest.among(field, intervals))


class PacketSet:
    """A set of packets: `&`, `|`, `-`, `~`, `<=`, `==`, `packet in`, and true when it is not empty."""

    __slots__ = ("node", "space")

    def __init__(self, space: Space, node: Node) -> None:
        self.space = space
        self.node = node

    def __and__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.forest.both(self.node, other.node))

    def __or__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.forest.either(self.node, other.node))

    def __sub__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.forest.without(self.node, other.node))

    def __invert__(self) -> PacketSet:
        return PacketSet(self.space, self.space.forest.opposite(self.node))

    def __le__(self, other: PacketSet) -> bool:
        return not self - other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PacketSet) and other.node is self.node

    def __hash__(self) -> int:
        return id(self.node)

    def __bool__(self) -> bool:
        return self.node is not self.space.forest.nothing

    def __contains__(self, packet: Packet) -> bool:
        return value_at(self.node, coordinates(packet)) is True

    def paths(self) -> Iterator[Path]:
        """The set cut into boxes that do not overlap."""
        return (path for path, _ in paths(self.node))

    def example(self) -> Packet | None:
        """One packet of it, always the same; None when it is empty."""
        path = next(self.paths(), None)
        return None if path is None else packet_in(path)


def coordinates(packet: Packet) -> dict[int, int]:
    """Where a packet stands in the space."""
    found = {
        Field.FAMILY: FAMILIES.index(packet.family),
        Field.PROTOCOL: packet.protocol,
        Field.SOURCE: packet.source,
        Field.DESTINATION: packet.destination,
    }
    if packet.protocol in PORT_PROTOCOLS:
        found[Field.SOURCE_PORT] = packet.source_port or 0
        found[Field.DESTINATION_PORT] = packet.destination_port or 0
    if packet.protocol == ICMP_PROTOCOL[packet.family]:
        found[Field.ICMP_TYPE] = packet.icmp_type or 0
        found[Field.ICMP_CODE] = packet.icmp_code or 0
    return {int(field): value for field, value in found.items()}


_USUAL = {Field.PROTOCOL: 6, Field.DESTINATION_PORT: 80, Field.SOURCE_PORT: 40000, Field.ICMP_TYPE: 8}
"""What an example has where it may have anything."""


def packet_in(path: Path) -> Packet:
    """A packet of a box: a usual one where that is in it, else the first."""
    family = FAMILIES[path.get(Field.FAMILY, (0, None))[0]]

    def value(field: Field) -> int:
        first, last = path.get(field, (0, None))
        usual = _USUAL.get(field, first)
        return usual if first <= usual and (last is None or usual <= last) else first

    protocol = value(Field.PROTOCOL)
    has_ports, is_icmp = protocol in PORT_PROTOCOLS, protocol == ICMP_PROTOCOL[family]
    return Packet(
        family=family,
        protocol=protocol,
        source=value(Field.SOURCE),
        destination=value(Field.DESTINATION),
        source_port=value(Field.SOURCE_PORT) if has_ports else None,
        destination_port=value(Field.DESTINATION_PORT) if has_ports else None,
        icmp_type=value(Field.ICMP_TYPE) if is_icmp else None,
        icmp_code=value(Field.ICMP_CODE) if is_icmp else None,
    )
