"""Rules that are no policy: there only while they do something, and as many as are needed."""

from __future__ import annotations

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.chains import endpoint_rules
from tortie.dataplane.nftables.network_layout import NETWORK_HOOKS, network_rules
from tortie.dataplane.nftables.rules import action_of
from tortie.dataplane.nftables.settings import MetadataService, Outgoing, ServiceLoops, Settings
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.limits import Limits
from tortie.desired.network import NO_NETWORK, FloatingAddress, Network, Tunnels
from tortie.desired.policy import Direction, PolicyList
from tortie.desired.settings import WireguardSettings
from tortie.desired.state import DesiredState

POOLS = (Cidr.parse("10.0.0.0/8"), Cidr.parse("fd00::/8"))
DEFAULTS = Settings()
ENCRYPTED = Settings(wireguard={4: WireguardSettings("wireguard.cali", 51820)})
GUARD = HostEndpoint(HostEndpointName("h"), "eth0")


def counted(
    network: Network = NO_NETWORK, settings: Settings = DEFAULTS, state: DesiredState | None = None
) -> dict[str, int]:
    """How many rules each base chain has that is there."""
    state = state or DesiredState()
    state.network = network
    rendered = {origin.name: len(rules) for origin, _, rules in network_rules(settings, state)}
    assert rendered.keys() == NETWORK_HOOKS.keys()
    return {name: count for name, count in rendered.items() if count}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Network(), {}),
        (Network(pools=POOLS), {}),
        (Network(Tunnels(ipip=True)), {"tunnel-admission": 2, "nat-out": 1}),
        (
            Network(Tunnels(vxlan=(4,))),
            {"tunnel-admission": 2, "tunnel-untracked-in": 1, "tunnel-untracked-out": 1, "nat-out": 2},
        ),
        (Network(Tunnels(wireguard=(4,))), {}),
        (Network(pools=POOLS, masqueraded=POOLS[:1]), {"nat-out": 1}),
        (Network(pools=POOLS, masqueraded=POOLS), {"nat-out": 2}),
        (Network(pools=(Cidr.parse("0.0.0.0/0"),), masqueraded=POOLS[:1]), {}),
        (Network(services=POOLS), {"service-loops": 2}),
        (Network(pools=POOLS, code_points=(10, 46)), {"code-points": 4}),
        (
            Network(floating=(FloatingAddress(Cidr.host("192.0.2.1"), Cidr.host("10.0.0.1")),)),
            {"nat-in": 1, "nat-local": 1, "nat-out": 1},
        ),
    ],
)
def test_base_chains_are_there_only_while_they_do_something(network: Network, expected: dict[str, int]) -> None:
    assert counted(network) == expected


def test_tunnels_pass_host_endpoints_only_where_there_are_any() -> None:
    guarded = DesiredState(host_endpoints={GUARD.name: GUARD})
    assert counted(Network(Tunnels(True, (4, 6), (4, 6))), ENCRYPTED, guarded) == {
        "tunnel-admission": 6,
        "tunnel-departure": 4,
        "tunnel-untracked-in": 1,
        "tunnel-untracked-out": 1,
        "nat-out": 7,
    }


@pytest.mark.parametrize("required", [False, True])
def test_packets_are_marked_on_arrival_only_where_hosts_encrypt_for_themselves(required: bool) -> None:
    assert counted(settings=ENCRYPTED) == {"nat-out": 2}
    hosts = {4: WireguardSettings("wireguard.cali", 51820, hosts=True, required=required)}
    assert counted(settings=Settings(wireguard=hosts)) == {"encrypted-arrival": 1}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(nat=Outgoing(ports=(1, 9))), {"nat-out": 3, "service-loops": 1}),
        (Settings(external_nodes=POOLS, nat=Outgoing(spares_hosts=True)), {"nat-out": 1, "service-loops": 1}),
        (
            Settings(external_nodes=(Cidr.parse("0.0.0.0/0"),), nat=Outgoing(spares_hosts=True)),
            {"service-loops": 1},
        ),
        (Settings(service_loops=ServiceLoops.DISABLED), {"nat-out": 1}),
        (
            Settings(metadata=MetadataService(Cidr.host("127.0.0.1"), 80)),
            {"nat-in": 1, "nat-out": 1, "service-loops": 1},
        ),
    ],
)
def test_settings_add_rules_and_take_them_away(settings: Settings, expected: dict[str, int]) -> None:
    network = Network(pools=POOLS[:1], masqueraded=POOLS[:1], services=(Cidr.parse("192.0.2.0/24"),))
    assert counted(network, settings) == expected


def test_one_more_limited_workload_adds_no_rule_unless_its_number_of_connections_is_new() -> None:
    state, none = DesiredState(), PolicyList()
    seen = []
    for number, connections in enumerate((5, 5, 6)):
        one = Endpoint(EndpointId("shop", f"e{number}"), f"cali{number}", (), none, none)
        limits = Limits(packet_rate=10 + number, packet_burst=5, connections=connections)
        state.endpoints[one.id] = msgspec.structs.replace(one, egress_limits=limits)
        seen.append(counted(state=state))
    assert seen == [
        {"packet-rates": 1, "connection-limits": 1},
        {"packet-rates": 1, "connection-limits": 1},
        {"packet-rates": 1, "connection-limits": 2},
    ]


def test_inactive_workloads_are_not_limited() -> None:
    one = Endpoint(EndpointId("shop", "e"), "cali1", (), PolicyList(), PolicyList(), active=False)
    one = msgspec.structs.replace(one, ingress_limits=Limits(connections=5))
    assert counted(state=DesiredState(endpoints={one.id: one})) == {}


@pytest.mark.parametrize(
    ("settings", "drops"),
    [
        (Settings(), 4),
        (Settings(vxlan_from_workloads=True), 3),
        (Settings(vxlan_from_workloads=True, ipip_from_workloads=True), 2),
    ],
)
def test_tunnels_of_workloads_are_dropped_on_their_way_out(settings: Settings, drops: int) -> None:
    rules = endpoint_rules("c", PolicyList(), Direction.EGRESS, settings)
    assert [action_of(rule.tag) for rule in rules].count("drop") == drops
    inward = endpoint_rules("c", PolicyList(), Direction.INGRESS, settings)
    assert [action_of(rule.tag) for rule in inward].count("drop") == 2
