"""What WireGuard has encrypted, and what comes in the clear, is routed as if there were no WireGuard.

Only where hosts encrypt what they send each other for themselves: there an answer to an encrypted packet would be
encrypted too, so that the kernel would take its source for forged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.matches import Condition, in_ports, of_family, of_protocol
from tortie.dataplane.nftables.rules import ChainWriter, Rendered, set_mark
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.desired.failsafes import UDP
from tortie.desired.policy import Direction, PolicyId, PortRange
from tortie.netlink.nftables import Hook
from tortie.netlink.nftables_expressions import Meta, Operator, compare, counter, meta

ARRIVAL = "encrypted-arrival"
ENCRYPTION_HOOKS: Mapping[str, Hook] = MappingProxyType({ARRIVAL: Hook(0, -297)})
"""The base chain: after workloads are told from others (-300), before the kernel looks for a route."""

_NAME_LENGTH = 16


def encryption_rules(settings: Settings) -> Iterator[Rendered]:
    """The rules of the chain, none where it is not needed."""
    origin = PolicyId("Layout", "", ARRIVAL)
    writer = ChainWriter(ARRIVAL, origin, Direction.INGRESS)
    mark = MarkBits.of(settings.mark_mask).encrypted
    then = counter() + set_mark(mark, mark)
    for family, one in sorted(settings.wireguard.items()):
        if not one.hosts:
            continue
        outside = [of_family(family), *_from_outside(settings)]
        if one.required:
            # Whatever else comes in the clear must not leave so.
            outside += [of_protocol(UDP), in_ports([PortRange(one.port, one.port)], 1)]
        writer.match("mark", outside, then)
    yield origin, Direction.INGRESS, writer.rules()


def _from_outside(settings: Settings) -> list[Condition]:
    names = ["lo", *(one.interface for one in settings.wireguard.values())]
    exact = [name.encode().ljust(_NAME_LENGTH, b"\0") for name in names]
    return [
        Condition(meta(Meta.IIFNAME) + compare(one, Operator.NOT_EQUAL))
        for one in (*exact, *(prefix.encode() for prefix in settings.interface_prefixes))
    ]
