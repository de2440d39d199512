"""Failsafe ports: what host endpoints always let pass, so that no policy can lock its operator out."""

from __future__ import annotations

import re

import msgspec

from tortie.base.addresses import Cidr

TCP, UDP = 6, 17
PROTOCOLS = {TCP: "tcp", UDP: "udp", 132: "sctp"}

_FORM = re.compile(
    r"(?:(?P<protocol>tcp|udp|sctp):)?(?:(?P<net4>[0-9./]+):|\[(?P<net6>[0-9a-f:./]+)\]:)?(?P<port>[0-9]{1,5})", re.I
)

WORKLOAD_DISCOVERY = (130, 131, 132, 133, 135, 136)
"""ICMPv6 types that every workload may send its host: multicast listener query, report, done (RFC 2710); router and
neighbour solicitation, neighbour advertisement (RFC 4861)."""

HOST_DISCOVERY = (*WORKLOAD_DISCOVERY, 134, 143)
"""Types that host endpoints always let pass, because nothing works on a link without them: also router advertisement
and version 2 of the report (RFC 3810)."""


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


def parse_failsafes(text: str) -> tuple[Failsafe, ...]:
    """Read `tcp:22, udp:10.0.0.0/8:68, tcp:[fd00::/8]:22`; a number alone is TCP, and `none` or nothing is none.

    Raises:
        ValueError: says what would be right.
    """
    if text.strip().lower() in ("", "none"):
        return ()
    return tuple(dict.fromkeys(_parse(part.strip()) for part in text.split(",")))


def failsafes_text(ports: tuple[Failsafe, ...]) -> str:
    """The inverse of `parse_failsafes`."""
    return ", ".join(_text(one) for one in ports) or "none"


def _parse(text: str) -> Failsafe:
    found = _FORM.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise ValueError("use tcp:22, udp:10.0.0.0/8:68 or tcp:[fd00::/8]:22, separated by commas, or none")
    protocol = next(number for number, name in PROTOCOLS.items() if name == (found["protocol"] or "tcp").lower())
    net = found["net4"] or found["net6"]
    return Failsafe(protocol, int(found["port"]), Cidr.parse(net) if net else None)


def _text(one: Failsafe) -> str:
    net = "" if one.net is None else f":[{one.net}]" if one.net.family == 6 else f":{one.net}"
    return f"{PROTOCOLS[one.protocol]}{net}:{one.port}"


def _ports(protocol: int, *ports: int) -> tuple[Failsafe, ...]:
    return tuple(Failsafe(protocol, port) for port in ports)


DEFAULT_FAILSAFES = Failsafes(
    inbound=_ports(TCP, 22, 179, 2379, 2380, 5473, 6443, 6666, 6667) + _ports(UDP, 68),
    outbound=_ports(TCP, 179, 2379, 2380, 5473, 6443, 6666, 6667) + _ports(UDP, 53, 67),
)
"""SSH, BGP, etcd, Typha, the Kubernetes API, DHCP and DNS, as users of such systems know them."""


def is_failsafe(ports: tuple[Failsafe, ...], protocol: int, port: int | None, peer: Cidr) -> bool:
    """Whether a port of this protocol is kept open for a peer (an address of full length)."""
    return any(
        (one.protocol, one.port) == (protocol, port) and (one.net is None or one.net.contains(peer)) for one in ports
    )
