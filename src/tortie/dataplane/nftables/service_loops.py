"""Packets to services that nobody translated: they would go round between this node and who sent them here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.matches import in_nets, of_family
from tortie.dataplane.nftables.rules import END, ChainWriter, Rendered
from tortie.dataplane.nftables.settings import ServiceLoops, Settings
from tortie.desired.network import Network
from tortie.desired.network import of_family as only
from tortie.desired.policy import Direction, PolicyId
from tortie.netlink.nftables import Hook
from tortie.netlink.nftables_expressions import Verdict, counter, reject, verdict

SERVICE_LOOPS = "service-loops"
LOOP_HOOKS: Mapping[str, Hook] = MappingProxyType({SERVICE_LOOPS: Hook(2, 3)})
"""The base chain, behind all policies."""


def loop_rules(settings: Settings, network: Network) -> Iterator[Rendered]:
    """Its rules, none where this node announces no services."""
    origin = PolicyId("Layout", "", SERVICE_LOOPS)
    writer = ChainWriter(SERVICE_LOOPS, origin, Direction.EGRESS)
    if settings.service_loops is not ServiceLoops.DISABLED:
        then = reject() if settings.service_loops is ServiceLoops.REJECT else verdict(Verdict.DROP)
        for family in (4, 6):
            services = only(family, network.services)
            if services:
                there = in_nets(services, 1)
                writer.match("drop", [of_family(family), *([there] if there else [])], counter() + then, END)
    yield origin, Direction.EGRESS, writer.rules()
