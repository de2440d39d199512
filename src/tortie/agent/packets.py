"""Headers of traced packets as people read them, and whether they fit a filter. Pure."""

from __future__ import annotations

from tortie.agent.decisions import Filter, Packet
from tortie.base.addresses import Cidr

_IPV4, _IPV6 = 2, 10
_WITH_PORTS = (6, 17, 132, 136)
_ICMP = (1, 58)


def read_packet(protocol: int, network: bytes, transport: bytes) -> Packet | None:
    """From the first bytes of both headers; None when they are no IP or too short.

    Args:
        protocol: NFPROTO_* of the packet.
    """
    if protocol == _IPV4 and len(network) >= 20:
        return _packet(network[9], network[12:16], network[16:20], transport)
    if protocol == _IPV6 and len(network) >= 40:
        return _packet(network[6], network[8:24], network[24:40], transport)
    return None


def fits(packet: Packet, wanted: Filter) -> bool:
    """Whether the addresses and ports are those that somebody asked for."""
    ends = ((wanted.source, packet.source), (wanted.destination, packet.destination))
    return (
        all(not prefix or _inside(prefix, address) for prefix, address in ends)
        and wanted.protocol in (None, packet.protocol)
        and (wanted.port is None or wanted.port in (packet.source_port, packet.destination_port))
    )


def _packet(protocol: int, source: bytes, destination: bytes, transport: bytes) -> Packet:
    ends = (Cidr.from_bytes(source).text, Cidr.from_bytes(destination).text)
    if protocol in _WITH_PORTS and len(transport) >= 4:
        ports = (int.from_bytes(transport[:2], "big"), int.from_bytes(transport[2:4], "big"))
        return Packet(*ends, protocol, *ports)
    if protocol in _ICMP and len(transport) >= 2:
        return Packet(*ends, protocol, icmp_type=transport[0], icmp_code=transport[1])
    return Packet(*ends, protocol)


def _inside(prefix: str, address: str) -> bool:
    net, one = Cidr.parse(prefix), Cidr.host(address)
    return net.family == one.family and net.address <= one.address <= net.last
