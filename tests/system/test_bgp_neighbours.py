"""Hosts among routers of others: FRR as a pair at the top of a rack, above them, and as a reflector; GoBGP as a client.

What is exchanged is asked of the neighbour, in its own words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.routers import Frr, GoBgp, WithRouters
from tortie.lab.services import AgentServices
from tortie.lab.topology import Host, Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(180)]

HOSTS = {"h1": ("172.31.0.1", "fd00:31::1"), "h2": ("172.31.0.2", "fd00:31::2")}
ROUTERS = {
    "tor1": ("172.31.0.101", "fd00:31::101"),
    "tor2": ("172.31.0.102", "fd00:31::102"),
    "reflector": ("172.31.0.103",),
    "gobgp": ("172.31.0.104",),
    "above": ("172.31.1.105",),
}
OUTSIDE = "203.0.113.1"
"""What is reached by the routers only."""
PASSWORD = "cat-in-the-rack"
POOLS = "10.65.0.0/16", "fd00:65::/64"


def frr(as_number: int, identity: str, neighbours: dict[str, int], *more: str) -> Frr:
    """A plain router; each neighbour has an address and an AS number."""
    lines = [
        f"router bgp {as_number}",
        f"bgp router-id {identity}",
        "no bgp ebgp-requires-policy",
        # What dies is dead: nobody shall wait for it.
        "bgp graceful-restart-disable",
        "no bgp default ipv4-unicast",
        "bgp bestpath as-path multipath-relax",
    ]
    for address, number in neighbours.items():
        lines += [f"neighbor {address} remote-as {number}", f"neighbor {address} timers connect 1"]
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        lines.append(f"address-family {family} unicast")
        lines += [f"neighbor {address} activate" for address in neighbours if mark in address]
        lines += [line for line in more if (" ::" in line or ":" in line) == (family == "ipv6")]
        lines.append("exit-address-family")
    return Frr("\n".join(lines) + "\n")


def of_rack(number: int) -> Frr:
    ends = {address: 64512 for pair in HOSTS.values() for address in pair}
    return frr(65101, f"172.31.0.{100 + number}", {**ends, "172.31.1.105": 65100})


REFLECTOR = frr(
    64512,
    "172.31.0.103",
    {pair[0]: 64512 for pair in HOSTS.values()},
    *(f"neighbor {pair[0]} route-reflector-client" for pair in HOSTS.values()),
)
ABOVE = frr(
    65100,
    "172.31.1.105",
    {"172.31.1.101": 65101, "172.31.1.102": 65101},
    f"network {OUTSIDE}/32",
)
CLIENT = GoBgp(
    """
[global.config]
as = 65104
router-id = "172.31.0.104"
"""
    + "".join(
        f"""
[[neighbors]]
[neighbors.config]
neighbor-address = "{pair[0]}"
peer-as = 64512
auth-password = "{PASSWORD}"
[neighbors.timers.config]
connect-retry = 1
[neighbors.ebgp-multihop.config]
enabled = true
multihop-ttl = 9
"""
        for pair in HOSTS.values()
    )
)

TO_RACK = "".join(
    f"""
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {{name: {router}-{"v6" if ":" in address else "v4"}}}
spec: {{peerIP: "{address}", asNumber: 65101, keepOriginalNextHop: true}}
---
"""
    for router in ("tor1", "tor2")
    for address in ROUTERS[router]
)
TO_CLIENT = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: client}
spec:
  peerIP: 172.31.0.104
  asNumber: 65104
  filters: [towards-client]
  password: {secretKeyRef: {name: bgp, key: client}}
"""
FILTER = """
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: towards-client}
spec:
  exportV4:
    - {action: Reject, matchOperator: In, cidr: 10.65.0.0/16, source: RemotePeers}
    - action: Accept
      matchOperator: In
      cidr: 10.65.0.0/16
      operations:
        - addCommunity: {value: "65000:77"}
        - addCommunity: {value: "65000:7:8"}
        - prependASPath: {prefix: [64999, 64998]}
  importV4:
    - {action: Reject, matchOperator: In, cidr: 198.51.100.0/24}
"""


@pytest.fixture(scope="module")
def world(
    open_directory: Path,
    new_topology: Callable[..., Topology],
    world_of: Callable[[Lab, AgentServices], World],
) -> Iterator[World]:
    bare = new_topology(Workload("one", "h1"), Workload("two", "h2"))
    inside = msgspec.structs.replace(bare, directory=str(open_directory))
    routers = tuple(Host(name, addresses) for name, addresses in ROUTERS.items())
    whole = msgspec.structs.replace(inside, hosts=(*inside.hosts, *routers), subnets=(*inside.subnets, "172.31.1.0/24"))
    secrets = open_directory / "secrets" / "bgp"
    secrets.mkdir(parents=True)
    (secrets / "client").write_text(PASSWORD)
    settings = {"TORTIE_BGP_SECRETS_DIRECTORY": str(secrets.parent), "TORTIE_REFRESH_SECONDS": "1"}
    agents = AgentServices(inside, settings=settings)
    kinds = {"tor1": of_rack(1), "tor2": of_rack(2), "reflector": REFLECTOR, "gobgp": CLIENT, "above": ABOVE}
    with Lab(whole, WithRouters(agents, kinds), plugin(inside)) as lab:
        for number in (1, 2):
            lab.exec(f"tor{number}", ["ip", "address", "add", f"172.31.1.{100 + number}/24", "dev", "eth0"])
        lab.exec("above", ["ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo"])
        one = world_of(lab, agents)
        one.apply(TO_RACK)
        yield one


def routes(world: World, router: str, family: int = 4) -> dict[str, list[dict[str, Any]]]:
    """Paths of each prefix, as a FRR sees them."""
    shown: dict[str, list[dict[str, Any]]] = Frr.ask(world.lab.place(router), f"show bgp ipv{family} unicast json")[
        "routes"
    ]
    return shown


def best_next_hops(world: World, router: str, prefix: str) -> set[str]:
    paths = routes(world, router, 6 if ":" in prefix else 4).get(prefix, [])
    used = [path for path in paths if path.get("bestpath") or path.get("multipath")]
    return {hop["ip"] for path in used for hop in path["nexthops"] if hop.get("used")}


def block(world: World, workload: str, family: int = 4) -> str:
    """The block that a workload's address is in."""
    address = Cidr.host(world.address(workload, family))
    return str(Cidr(family, address.address, 26 if family == 4 else 122))


def kernel_next_hops(world: World, place: str, prefix: str) -> set[str]:
    """By which neighbours a host's kernel sends what is for a prefix."""
    shown = json.loads(world.run("ip", "-j", "route", "show", prefix, host=place) or "[]")
    hops = [hop for route in shown for hop in route.get("nexthops", [route])]
    return {hop["gateway"] for hop in hops if "gateway" in hop}


def client_routes(world: World) -> dict[str, list[dict[str, Any]]]:
    shown: dict[str, list[dict[str, Any]]] = GoBgp.ask(world.lab.place("gobgp"), "global", "rib")
    return shown


def attributes(path: dict[str, Any]) -> dict[int, Any]:
    """By type (RFC 4271, 1997, 8092)."""
    return {one["type"]: one for one in path["attrs"]}


@pytest.mark.parametrize("family", [4, 6])
def test_routers_of_the_rack_learn_every_block_by_its_own_host(world: World, family: int) -> None:
    for router in ("tor1", "tor2"):
        for workload, host in (("one", "h1"), ("two", "h2")):
            prefix, wanted = block(world, workload, family), HOSTS[host][family == 6]
            world.until(
                lambda router=router, prefix=prefix, wanted=wanted: best_next_hops(world, router, prefix) == {wanted},
                f"{router} reaches {prefix} by {wanted}",
            )


def test_a_pair_of_routers_is_used_both_ways_and_one_alone_when_the_other_dies(world: World) -> None:
    lab = world.lab
    pair = {ROUTERS["tor1"][0], ROUTERS["tor2"][0]}
    world.until(lambda: kernel_next_hops(world, "h1", OUTSIDE) == pair, "the host uses both")
    prefix = block(world, "one")
    world.until(
        lambda: best_next_hops(world, "above", prefix) == {"172.31.1.101", "172.31.1.102"}, "both lead to the host"
    )
    lab.prober.listen("above", 8080)
    there = Probe("one", OUTSIDE, Transport.TCP, 8080)
    back = Probe("above", world.address("one"), Transport.TCP, 80)
    world.until(lambda: all(lab.probe(probe)[0].allowed for probe in (there, back)), "packets both ways")
    lab.kill_services("tor1")
    world.until(lambda: kernel_next_hops(world, "h1", OUTSIDE) == {ROUTERS["tor2"][0]}, "one is left")
    world.until(lambda: best_next_hops(world, "above", prefix) == {"172.31.1.102"}, "one leads to the host")
    assert all(lab.probe(probe)[0].allowed for probe in (there, back))
    lab.start_services("tor1")
    world.until(lambda: kernel_next_hops(world, "h1", OUTSIDE) == pair, "both again")


def test_communities_of_prefixes_are_seen_by_the_neighbour(world: World) -> None:
    world.apply(
        """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec:
  asNumber: 64512
  communities: [{name: pods, value: "65000:100"}]
  prefixAdvertisements: [{cidr: 10.65.0.0/16, communities: [pods, "65000:1:2"]}]
"""
    )
    prefix = block(world, "one")

    def seen() -> tuple[str, str]:
        shown = Frr.ask(world.lab.place("tor1"), f"show bgp ipv4 unicast {prefix} json")
        best = next((path for path in shown.get("paths", []) if path.get("bestpath")), {})
        return (
            best.get("community", {}).get("string", ""),
            best.get("largeCommunity", {}).get("string", ""),
        )

    world.until(lambda: seen() == ("65000:100", "65000:1:2"), "both communities")


def test_a_session_with_a_password_needs_it_and_its_filters_hold_on_the_other_side(world: World) -> None:
    client = world.lab.place("gobgp")

    def states() -> set[int]:
        return {one["state"]["session_state"] for one in GoBgp.ask(client, "neighbor")}

    established = 6
    world.apply(FILTER)
    world.apply(TO_CLIENT.replace("key: client", "key: missing"))
    world.until(lambda: "missing" in str(world.report().targets), "no session without its password")
    assert established not in states()
    GoBgp.order(client, "global", "rib", "add", "198.51.100.0/24")
    GoBgp.order(client, "global", "rib", "add", "192.0.2.0/24")
    world.apply(TO_CLIENT)
    world.until(lambda: states() == {established}, "sessions with the password")
    prefix = block(world, "one")
    world.until(lambda: prefix in client_routes(world), "the block")
    (path,) = client_routes(world)[prefix]
    found = attributes(path)
    numbers = [number for segment in found[2]["as_paths"] for number in segment["asns"]]
    assert numbers == [64512, 64999, 64998]
    assert (65000 << 16) + 77 in found[8]["communities"]
    assert {"ASN": 65000, "LocalData1": 7, "LocalData2": 8} in found[32]["value"]
    world.until(lambda: bool(kernel_next_hops(world, "h1", "192.0.2.0/24")), "what the client announces")
    assert not kernel_next_hops(world, "h1", "198.51.100.0/24"), "what the filter refuses"


SERVICES = """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec:
  asNumber: 64512
  serviceClusterIPs: [{cidr: 10.96.0.0/12}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ipFamilies: [IPv4]
  externalTrafficPolicy: Local
  ports: [{port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.65.0.1], nodeName: h2, conditions: {ready: true}}]
ports: [{port: 80, protocol: TCP}]
"""


def test_addresses_of_services_are_announced_by_the_hosts_that_have_them(world: World) -> None:
    world.apply(SERVICES)
    both = {pair[0] for pair in HOSTS.values()}
    world.until(lambda: best_next_hops(world, "tor1", "10.96.0.0/12") == both, "the range by every host")
    world.until(lambda: best_next_hops(world, "tor1", "10.96.0.10/32") == {HOSTS["h2"][0]}, "the service by one")
    assert not kernel_next_hops(world, "h1", "10.96.0.10/32"), "hosts do not route it to each other"


MESHED = """
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {{name: default}}
spec: {{asNumber: 64512, nodeToNodeMeshEnabled: {meshed}}}
"""
TO_REFLECTOR = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: reflector}
spec: {peerIP: 172.31.0.103, asNumber: 64512}
"""


def test_a_reflector_of_others_takes_the_place_of_the_mesh(world: World) -> None:
    for router in ("tor1", "tor2"):
        for family in ("v4", "v6"):
            world.delete(ResourceKey("BGPPeer", "", f"{router}-{family}"))
    world.delete(ResourceKey("BGPPeer", "", "client"))
    world.apply(TO_REFLECTOR)
    world.apply(MESHED.format(meshed="false"))

    def sessions(host: str) -> list[tuple[str, bool]]:
        return [(one.peer, one.established) for one in world.report(host).bgp]

    for host in HOSTS:
        world.until(lambda host=host: sessions(host) == [("172.31.0.103", True)], f"{host} has the reflector alone")
    prefix = block(world, "two")
    world.until(lambda: best_next_hops(world, "reflector", prefix) == {HOSTS["h2"][0]}, "the reflector knows it")
    world.until(lambda: kernel_next_hops(world, "h1", prefix) == {HOSTS["h2"][0]}, "and tells of it")
    world.until(lambda: world.reaches("one", "two"), "packets")


OWN_REFLECTOR = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: h1, labels: {{role: reflector}}}}
spec: {{bgp: {{ipv4Address: 172.31.0.1/24, ipv6Address: "fd00:31::1/64", routeReflectorClusterID: {cluster}}}}}
"""
TO_OWN = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: own}
spec: {peerSelector: role == 'reflector'}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: outsider}
spec: {node: h1, peerIP: 172.31.0.103, asNumber: 64512}
"""


def test_a_host_reflects_to_hosts_and_to_routers_of_others(world: World) -> None:
    world.delete(ResourceKey("BGPPeer", "", "reflector"))
    world.apply(OWN_REFLECTOR.format(cluster="244.0.0.1"))
    world.apply(TO_OWN)
    prefix = block(world, "two")

    def path() -> dict[str, Any]:
        shown = Frr.ask(world.lab.place("reflector"), f"show bgp ipv4 unicast {prefix} json")
        return next((one for one in shown.get("paths", []) if one["peer"]["peerId"] == HOSTS["h1"][0]), {})

    world.until(lambda: path().get("originatorId") == HOSTS["h2"][0], "reflected by the host")
    assert path()["clusterList"]["list"] == ["244.0.0.1"]
    assert [hop["ip"] for hop in path()["nexthops"]] == [HOSTS["h2"][0]], "packets need not pass the reflector"
    world.until(lambda: world.reaches("one", "two"), "packets")
