"""Base chains that are there only while the network needs them; even an empty one costs every packet some 20 ns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.code_points import CODE_POINT_HOOKS, code_point_rules
from tortie.dataplane.nftables.encryption_rules import ENCRYPTION_HOOKS, encryption_rules
from tortie.dataplane.nftables.limit_rules import LIMIT_HOOKS, all_limits, limit_rules
from tortie.dataplane.nftables.nat_rules import NAT_HOOKS, nat_rules
from tortie.dataplane.nftables.rules import Rendered
from tortie.dataplane.nftables.service_loops import LOOP_HOOKS, loop_rules
from tortie.dataplane.nftables.settings import Settings
from tortie.dataplane.nftables.tunnel_rules import TUNNEL_HOOKS, tunnel_rules
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.nftables import Hook

NETWORK_HOOKS: Mapping[str, Hook] = MappingProxyType(
    {**TUNNEL_HOOKS, **ENCRYPTION_HOOKS, **NAT_HOOKS, **LOOP_HOOKS, **CODE_POINT_HOOKS, **LIMIT_HOOKS}
)
"""The base chains."""


def network_rules(settings: Settings, desired: DesiredState) -> Iterator[Rendered]:
    """The rules of each; one without rules is not wanted."""
    network = desired.network
    yield from tunnel_rules(settings, network.tunnels, guarded=bool(desired.host_endpoints))
    yield from encryption_rules(settings)
    yield from nat_rules(settings, network)
    yield from loop_rules(settings, network)
    yield from code_point_rules(network)
    yield from limit_rules(all_limits(desired.endpoints.values()))


def concerns_network(changes: Changes) -> bool:
    """Whether some of these rules may be different."""
    return changes.network or bool(changes.host_endpoints)
