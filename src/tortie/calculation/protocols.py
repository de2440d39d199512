"""IP protocols by name (IANA Assigned Internet Protocol Numbers)."""

from __future__ import annotations

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "udplite": 136}
"""Names that rules and endpoint ports may use, in lower case."""

KUBERNETES_PROTOCOLS = {"": 6, "TCP": 6, "UDP": 17, "SCTP": 132}
"""As Kubernetes spells them; none is TCP."""

FAMILIES = {1: 4, 58: 6}
"""Protocols that exist in one address family only."""


def protocol_number(protocol: int | str) -> int:
    """The number of a protocol given by number, by decimal text or by name in any case.

    Raises:
        ValueError: no such protocol.
    """
    if isinstance(protocol, str):
        protocol = PROTOCOLS.get(protocol.lower()) or int(protocol)
    if not 1 <= protocol <= 255:
        raise ValueError(f"protocol {protocol} is not in 1 to 255")
    return protocol
