"""Services of the host that its virtual machines may use whatever their policy says: DHCP, DNS and metadata."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.dataplane.nftables.matches import Condition, in_nets, in_ports, of_family, of_protocol
from tortie.dataplane.nftables.settings import Settings
from tortie.desired.failsafes import TCP, UDP
from tortie.desired.policy import PortRange

_DHCP = {4: (68, 67), 6: (546, 547)}
"""Ports of client and server (RFC 2131, RFC 8415)."""
_DNS = 53


def host_services(settings: Settings) -> Iterator[list[Condition]]:
    """What comes to the host for each of them; none where the host has none."""
    if settings.openstack:
        yield from (dhcp(family) for family in (4, 6))
        yield from ([of_protocol(number), _port(_DNS)] for number in (TCP, UDP))
    if settings.metadata and (there := in_nets([settings.metadata.address], 1)):
        yield [of_family(4), there, of_protocol(TCP), _port(settings.metadata.port)]


def dhcp(family: int) -> list[Condition]:
    """What a client sends to its server."""
    client, server = _DHCP[family]
    return [of_family(family), of_protocol(UDP), _port(client, 0), _port(server)]


def _port(number: int, end: int = 1) -> Condition:
    return in_ports([PortRange(number, number)], end)
