"""`tortie bgp` and CalicoNodeStatus on hosts with agents and BIRD."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from tortie.cli.main import tortie
from tortie.lab.assembly import plugin
from tortie.lab.lab import Lab
from tortie.lab.services import BIRD, AgentServices
from tortie.lab.topology import Topology, Workload

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

REQUEST = """
apiVersion: projectcalico.org/v3
kind: CalicoNodeStatus
metadata: {name: first}
spec: {node: h1, classes: [Agent, BGP, Routes], updatePeriodSeconds: 1}
"""
PEER_THAT_WAITS = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: secretive}
spec: {peerIP: 172.31.0.77, asNumber: 65001, password: {secretKeyRef: {name: none, key: such}}}
"""


@pytest.fixture(scope="module")
def world(new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]) -> Iterator[World]:
    topology = new_topology(Workload("one", "h1"), Workload("two", "h2"))
    services = AgentServices(topology)
    with Lab(topology, services, plugin(topology)) as lab:
        yield world_of(lab, services)


def show(world: World, *words: str, host: str = "h1") -> list[dict[str, Any]]:
    directory = str(world.lab.place(host).directory)
    result = CliRunner().invoke(tortie, ["bgp", *words, "--run-directory", directory, "-o", "json"])
    return json.loads(result.stdout) if result.exit_code == 0 else []


def test_sessions_and_routes_of_a_host_are_shown_with_counts_and_reasons(world: World) -> None:
    world.until(lambda: [one["established"] for one in show(world, "peers")] == [True, True], "sessions")
    world.until(lambda: all(one["imported"] for one in show(world, "peers")), "routes")
    own, other = f"{world.address('one')}/32", world.address("two")
    (learned,) = show(world, "routes", other)
    assert (learned["protocol"], learned["why"], learned["origin"]) == ("Mesh_172_31_0_2", "the only route", "IGP")
    assert learned["local_preference"] == 2**31 - 1 - 1024
    assert own in {one["prefix"] for one in show(world, "routes", "10.65.0.0/16")}
    sent = {one["prefix"] for one in show(world, "routes", "--to", "172.31.0.2")}
    assert sent
    assert sent == {one["prefix"] for one in show(world, "routes", "--from", "172.31.0.1", host="h2")}
    assert not show(world, "routes", "--from", "172.31.0.1", "--rejected", host="h2")


def test_a_session_that_is_not_started_says_why(world: World) -> None:
    world.apply(PEER_THAT_WAITS)

    def reason() -> str:
        return next((one["info"] for one in show(world, "peers") if one["peer"] == "172.31.0.77"), "")

    world.until(lambda: "key such of secret none" in reason(), "the reason is told")


def test_a_request_for_a_status_is_answered_and_kept_fresh(world: World) -> None:
    world.apply(REQUEST)

    def told(condition: Callable[[Any], bool]) -> Callable[[], bool]:
        def holds() -> bool:
            words = ["get", "caliconodestatus", "first", "-o", "json", "--datastore", world.lab.topology.datastore]
            return condition(msgspec.json.decode(CliRunner().invoke(tortie, words).stdout)["status"])

        return holds

    def is_complete(status: Any) -> bool:
        routes = status["routes"].get("routesV4", [])
        learned = [one for one in routes if one["learnedFrom"] == {"sourceType": "NodeMesh", "peerIP": "172.31.0.2"}]
        return bool(
            status["agent"]["birdV4"].get("state") == "Ready" and status["bgp"]["numberEstablishedV4"] == 1 and learned
        )

    world.until(told(is_complete), "complete")
    place = world.lab.place("h1")
    place.kill(BIRD)
    world.until(told(lambda status: status["agent"]["birdV4"]["state"] == "NotReady"), "BIRD is missed")
    world.services.start_bird(place)
    world.until(told(is_complete), "complete again")
