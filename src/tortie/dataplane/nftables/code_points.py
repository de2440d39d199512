"""Differentiated services code points (RFC 2474) of what workloads send out of the pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.matches import in_nets, in_set, of_family
from tortie.dataplane.nftables.rules import ChainWriter, Rendered
from tortie.dataplane.nftables.sets import set_name
from tortie.desired.network import Network, code_point_set
from tortie.desired.network import of_family as only
from tortie.desired.policy import Direction, PolicyId
from tortie.netlink.nftables import Hook
from tortie.netlink.nftables_expressions import NETWORK, bitwise, counter, payload, set_payload

CODE_POINTS = "code-points"
CODE_POINT_HOOKS: Mapping[str, Hook] = MappingProxyType({CODE_POINTS: Hook(4, -149)})
"""The base chain, before sources are translated (100)."""

_PLACE = {4: (0xFF03, 2), 6: (0xF03F, 6)}
"""In the first 16 bits of a header: what to keep, and how far to the left the six bits are."""
_IPV4_CHECKSUM = 10


def code_point_rules(network: Network) -> Iterator[Rendered]:
    """Its rules, none where nobody asks for a code point."""
    origin = PolicyId("Layout", "", CODE_POINTS)
    writer = ChainWriter(CODE_POINTS, origin, Direction.EGRESS)
    for value in network.code_points:
        for family in (4, 6):
            pools = only(family, network.pools)
            outside = in_nets(pools, 1, inverted=True) if pools else None
            if pools and outside is None:
                continue
            sender = in_set(set_name(f"hosts{family}", code_point_set(value)), family, 0)
            conditions = [of_family(family), sender, *([outside] if outside else [])]
            writer.match("mark", conditions, counter() + _set_code_point(value, family))
    yield origin, Direction.EGRESS, writer.rules()


def _set_code_point(value: int, family: int) -> bytes:
    kept, shift = _PLACE[family]
    changed = payload(NETWORK, 0, 2) + bitwise(kept.to_bytes(2, "big"), (value << shift).to_bytes(2, "big"))
    return changed + set_payload(NETWORK, 0, 2, _IPV4_CHECKSUM if family == 4 else 0)
