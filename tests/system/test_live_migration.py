"""Machines that change hosts while clients talk to them, with real agents, BGP between three hosts, and policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.migration import Migration, migrate
from tortie.lab.probe.model import Transport
from tortie.lab.probe.stream import Stream
from tortie.lab.services import AgentServices
from tortie.lab.sessions import wait_established
from tortie.lab.topology import Topology, Workload, simple
from tortie.netlink import route
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.system

HOSTS = ("h1", "h2", "h3")
CONVERGENCE = 1
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: server}
spec:
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {action: Allow, source: {selector: role == 'client'}}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {ipv4ElevatedRoutePriority: 600, ipv6ElevatedRoutePriority: 601}
"""


@pytest.fixture(scope="module")
def world(new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], Any]) -> Iterator[Any]:
    bare = new_topology()
    clients = (Workload(f"c{host[1:]}", host, labels={"role": "client"}) for host in HOSTS)
    workloads = (Workload("server", "h1", labels={"role": "server"}), *clients, Workload("stranger", "h2"))
    topology = msgspec.structs.replace(bare, hosts=simple(bare.name, 3, 0).hosts, workloads=workloads)
    services = AgentServices(topology, settings={"TORTIE_LIVE_MIGRATION_ROUTE_CONVERGENCE_SECONDS": str(CONVERGENCE)})
    with Lab(topology, services, plugin(topology)) as lab:
        one = world_of(lab, services)
        wait_established(lab)
        one.apply(POLICY)
        one.until(lambda: not one.reaches("stranger", "server"), "the policy is in force")
        yield one


@pytest.fixture
def migration(world: Any) -> Iterator[Migration]:
    """Of the server from where it is to the next host; what is left of it is cancelled."""
    here = world.lab.attachment("server").host
    one = Migration(world.lab, "server", HOSTS[(HOSTS.index(here) + 1) % 3])
    yield one
    if world.lab.attachment("server").host == here:
        one.cancel()
        world.until(lambda: not stages(world), "nothing moves")
    world.until(lambda: all(routed(world, host) for host in HOSTS), "every host knows the way")


def streams(world: Any) -> list[Stream]:
    """From a client on each host, over both families and transports."""
    return [
        world.lab.prober.stream(world.probe(client, "server", family, transport), interval=0.005)
        for client in ("c1", "c2", "c3")
        for family in (4, 6)
        for transport in (Transport.UDP, Transport.TCP)
    ]


def losses(running: list[Stream]) -> dict[str, str]:
    """Of streams that lost something, or broke."""
    reports = {f"{one.probe.source} to {one.probe.address}, {one.probe.transport}": one.stop() for one in running}
    assert all(one.sent > 20 for one in reports.values())
    return {name: str(one) for name, one in reports.items() if one.lost or one.broken}


def stages(world: Any) -> dict[str, str]:
    """By host."""
    moving = {host: world.report(host).moving for host in HOSTS}
    return {host: next(iter(found.values())) for host, found in moving.items() if found}


def known(world: Any, host: str, family: int) -> list[route.Route]:
    """Routes of a host to the server's address."""
    address = Cidr.host(world.address("server", family))
    with inside(world.lab.namespace(host)), NetlinkSocket(NETLINK_ROUTE) as rtnetlink:
        return [one for one in route.list_routes(rtnetlink, family) if one.destination == address]


def routed(world: Any, host: str) -> bool:
    """Whether packets at a host find the one that the server is attached to, in both families."""
    here = world.lab.attachment("server").host
    for family in (4, 6):
        best = min(known(world, host, family), key=lambda one: one.metric, default=None)
        gateway = best.gateway.text if best is not None and best.gateway else None
        block = world.lab.topology.host("h1").address(family)
        wanted = None if host == here else world.lab.topology.host(here).address(family)
        # Where it began its block says it.
        is_there = best is not None if host == here else best is not None or (here == "h1" and wanted == block)
        if not is_there or (best is not None and gateway != wanted):
            return False
    return True


def test_a_machine_goes_all_round_and_no_packet_of_anybody_is_lost(world: Any) -> None:
    running = streams(world)
    for host in ("h2", "h3", "h1"):
        migrate(world.lab, "server", host)
        time.sleep(0.3)
        assert all(routed(world, one) for one in HOSTS)
        assert not world.reaches("stranger", "server")
    assert losses(running) == {}


def test_afterwards_there_is_one_route_of_normal_priority_everywhere(world: Any, migration: Migration) -> None:
    migration.begin()
    migration.switch()
    migration.announce()
    migration.wait_preferred()
    target = migration.new.host
    metrics = {family: {one.metric for one in known(world, target, family)} for family in (4, 6)}
    assert metrics == {4: {600}, 6: {601}}
    running = streams(world)
    migration.finish()
    world.until(lambda: not stages(world), "nothing moves")
    assert losses(running) == {}
    for host in HOSTS:
        for family in (4, 6):
            found = known(world, host, family)
            if host == target:
                assert [(one.metric, one.gateway) for one in found] == [(1024, None)]
            else:
                assert len(found) <= 1


def test_until_it_announces_itself_it_is_reached_where_it_was_and_cancelling_costs_nothing(
    world: Any, migration: Migration
) -> None:
    running = streams(world)
    migration.begin()
    migration.switch()
    time.sleep(0.3)
    others = [host for host in HOSTS if host != migration.new.host]
    assert not any(map(migration.is_preferred_by, others))
    assert stages(world) == {migration.old.host: "leaving", migration.new.host: "waiting"}
    migration.cancel()
    world.until(lambda: not stages(world), "nothing moves")
    assert losses(running) == {}


@pytest.mark.parametrize("kind", range(3), ids=["rarp", "arp", "advertisement"])
def test_each_way_of_announcing_moves_routes_of_both_families_and_cancelling_moves_them_back(
    kind: int, world: Any, migration: Migration
) -> None:
    running = streams(world)
    migration.begin()
    migration.switch()
    migration.announce(kind)
    migration.wait_preferred()
    assert stages(world)[migration.new.host] == "live"
    migration.cancel()
    world.until(lambda: all(routed(world, host) for host in HOSTS), "every host goes back")
    # What arrives at an endpoint that is being deleted is lost, as at a machine that is stopped; connections go on.
    assert {name for name in losses(running) if name.endswith("tcp")} == set()
    assert not stages(world)


def test_an_agent_that_dies_while_it_waits_hears_the_machine_when_it_is_back(world: Any, migration: Migration) -> None:
    running = streams(world)
    migration.begin()
    world.kill(migration.new.host)
    world.start(migration.new.host)
    world.until(lambda: stages(world).get(migration.new.host) == "waiting", "the agent waits on")
    migration.switch()
    world.until(lambda: migration.announce() or stages(world).get(migration.new.host) == "live", "it is heard")
    migration.wait_preferred()
    migration.finish()
    assert losses(running) == {}


@pytest.mark.parametrize("end", ["source", "target"])
def test_an_agent_that_dies_where_the_machine_is_live_keeps_the_way_to_it(
    end: str, world: Any, migration: Migration
) -> None:
    running = streams(world)
    migration.begin()
    migration.switch()
    migration.announce()
    migration.wait_preferred()
    host = migration.new.host if end == "target" else migration.old.host
    world.kill(host)
    world.start(host)
    assert all(migration.is_preferred_by(one) for one in HOSTS if one != migration.new.host)
    assert stages(world) == {migration.old.host: "leaving", migration.new.host: "live"}
    migration.finish()
    assert losses(running) == {}


def test_a_machine_that_announced_itself_to_nobody_is_reached_once_its_migration_is_gone(
    world: Any, migration: Migration
) -> None:
    migration.begin()
    world.kill(migration.new.host)
    migration.switch()
    migration.announce()
    world.start(migration.new.host)
    world.until(lambda: stages(world).get(migration.new.host) == "waiting", "the agent waits on")
    migration.finish()
    migration.wait_preferred()
    assert all(world.reaches(client, "server", family) for client in ("c1", "c2", "c3") for family in (4, 6))
