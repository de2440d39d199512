"""Failsafe ports: what host endpoints always let pass, so that no policy can lock its operator out."""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.policy import PortRange

TCP, UDP = 6, 17


class Failsafe(msgspec.Struct, frozen=True, order=True, gc=False):
    """One port.

    Args:
        protocol: IP protocol number of TCP, UDP or SCTP.
        port: of the host for inbound ones, of its peer for outbound ones.
        net: the peers that it is for; None is everybody of both families.
    """

    protocol: int
    port: int
    net: Cidr | None = None


class Failsafes(msgspec.Struct, frozen=True, gc=False):
    """All of a node: what may come to processes of the host, and what these may send."""

    inbound: tuple[Failsafe, ...] = ()
    outbound: tuple[Failsafe, ...] = ()


def _ports(protocol: int, *ports: int) -> tuple[Failsafe, ...]:
    return tuple(Failsafe(protocol, port) for port in ports)


DEFAULT = Failsafes(
    inbound=_ports(TCP, 22, 179, 2379, 2380, 5473, 6443, 6666, 6667) + _ports(UDP, 68),
    outbound=_ports(TCP, 179, 2379, 2380, 5473, 6443, 6666, 6667) + _ports(UDP, 53, 67),
)
"""SSH, BGP, etcd, Typha, the Kubernetes API, DHCP and DNS, as users of such systems know them."""


def port_ranges(ports: tuple[Failsafe, ...], protocol: int, net: Cidr | None) -> tuple[PortRange, ...]:
    """The ports of one protocol that are for these peers."""
    chosen = {one.port for one in ports if (one.protocol, one.net) == (protocol, net)}
    return tuple(PortRange(port, port) for port in sorted(chosen))
