"""CalicoNodeStatus: what is answered, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tortie.agent.node_status_content import answer
from tortie.agent.node_statuses import NodeStatuses
from tortie.api.caliconodestatus import (
    AgentStatus,
    BGPStatus,
    CalicoNodeStatus,
    CalicoNodeStatusSpec,
    CalicoNodeStatusStatus,
    RoutesStatus,
)
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.bgp.route import RouteStatus
from tortie.bgp.speaker import Speaker
from tortie.bgp.status import DaemonStatus, SessionStatus
from tortie.datastore.contract import Datastore
from tortie.datastore.open import open_datastore
from tortie.datastore.resources import ResourceStore
from tortie.datastore.stream import ResourceStream
from tortie.selector.check import selector_problem

SPEAKER = Speaker(
    DaemonStatus("2.0.12", "10.0.0.1", "boot", "configured"),
    (
        SessionStatus("Mesh_10_0_0_2", "10.0.0.2", 64512, "Established", "then", "", 3, 1),
        SessionStatus("Global_10_0_0_9", "10.0.0.9", 65001, "Passive", "then", "", 0, 0),
        SessionStatus("Node_fd00__2", "fd00::2", 64512, "Down", "then", "", 0, 0),
    ),
    (
        RouteStatus("10.65.1.0/26", "unicast", "Mesh_10_0_0_2", "", True, 100, ("via 10.0.0.2 on eth0",), "BGP"),
        RouteStatus("10.65.1.0/26", "unicast", "Global_10_0_0_9", "", False, 100, ("via 10.0.0.9 on eth0",), "BGP"),
        RouteStatus("10.65.0.0/26", "blackhole", "blocks4", "", True, 200, (), "static"),
        RouteStatus("fd00::1/128", "unicast", "kernel6", "", True, 10, ("dev cali1",), "inherit"),
        RouteStatus("10.0.0.0/24", "unicast", "direct1", "", True, 240, ("dev eth0",), "device"),
    ),
)


def test_sessions_are_counted_and_told_by_family() -> None:
    bgp = answer(["BGP"], SPEAKER, 0).bgp
    assert (bgp.number_established_v4, bgp.number_not_established_v4) == (1, 1)
    assert (bgp.number_established_v6, bgp.number_not_established_v6) == (0, 1)
    assert [(one.peer_ip, one.type, one.state) for one in (*bgp.peers_v4, *bgp.peers_v6)] == [
        ("10.0.0.2", "NodeMesh", "Established"),
        ("10.0.0.9", "GlobalPeer", "Active"),
        ("fd00::2", "NodePeer", "Idle"),
    ]


def test_routes_are_told_with_where_they_lead_and_where_they_come_from() -> None:
    routes = answer(["Routes"], SPEAKER, 0).routes
    told = [
        (one.type, one.destination, one.gateway, one.interface, one.learned_from.source_type, one.learned_from.peer_ip)
        for one in (*routes.routes_v4, *routes.routes_v6)
    ]
    assert told == [
        ("FIB", "10.65.1.0/26", "10.0.0.2", "eth0", "NodeMesh", "10.0.0.2"),
        ("RIB", "10.65.1.0/26", "10.0.0.9", "eth0", "BGPPeer", "10.0.0.9"),
        ("FIB", "10.65.0.0/26", "N/A", "N/A", "Static", ""),
        ("FIB", "10.0.0.0/24", "N/A", "eth0", "Direct", ""),
        ("FIB", "fd00::1/128", "N/A", "cali1", "Kernel", ""),
    ]


def test_only_what_was_asked_for_is_told() -> None:
    told = answer(["Agent"], SPEAKER, 86400)
    assert told.last_updated == "1970-01-02T00:00:00Z"
    assert (told.agent.bird_v4.state, told.agent.bird_v6.router_id) == ("Ready", "10.0.0.1")
    assert (told.bgp, told.routes) == (BGPStatus(), RoutesStatus())
    assert answer(["BGP"], SPEAKER, 0).agent == AgentStatus()


def test_a_silent_daemon_is_not_ready() -> None:
    told = answer(["Agent", "BGP", "Routes"], None, 0)
    assert (told.agent.bird_v4.state, told.agent.bird_v6.state) == ("NotReady", "NotReady")
    assert (told.bgp, told.routes) == (BGPStatus(), RoutesStatus())


class Pacer(SystemClock):
    """Time passes only when somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.01)
        self.time += seconds


class Node:
    """What answers for node `here`, and the datastore."""

    def __init__(self, datastore: Datastore) -> None:
        self.clock = Pacer()
        self.refusal = ""
        self.store = ResourceStore(datastore, SystemClock(), selector_problem)
        stream = ResourceStream(datastore, ("CalicoNodeStatus",), SystemClock())
        self.statuses = NodeStatuses("here", stream, self.store, self.clock, None, lambda: self.refusal)

    async def ask(self, name: str, node: str = "here", period: int = 10) -> None:
        spec = CalicoNodeStatusSpec(node=node, classes=("Agent",), update_period_seconds=period)
        await self.store.apply(CalicoNodeStatus(metadata=Metadata(name=name), spec=spec))

    async def status(self, name: str) -> CalicoNodeStatusStatus:
        found = await self.store.get(ResourceKey("CalicoNodeStatus", "", name))
        assert isinstance(found, CalicoNodeStatus)
        return found.status

    async def until(self, name: str, condition: Callable[[CalicoNodeStatusStatus], bool]) -> None:
        for _ in range(4000):
            if condition(await self.status(name)):
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never")


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("never")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    datastore = await open_datastore(tmp_path / "datastore.db")
    one = Node(datastore)
    await one.store.ensure_initialized()
    task = asyncio.create_task(one.statuses.run())
    yield one
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await datastore.close()


async def test_requests_of_this_node_are_answered_again_and_again(node: Node) -> None:
    await node.ask("mine")
    await node.ask("other", node="elsewhere")
    await node.ask("once", period=0)
    await node.until("mine", lambda status: status.agent.bird_v4.state == "NotReady")
    first = (await node.status("mine")).last_updated
    await node.until("mine", lambda status: status.last_updated != first)
    for name in ("other", "once"):
        assert (await node.status(name)).last_updated is None


async def test_a_period_of_zero_ends_the_answers_and_leaves_the_last(node: Node) -> None:
    await node.ask("mine")
    await node.until("mine", lambda status: status.last_updated is not None)
    await node.ask("mine", period=0)
    await eventually(lambda: not node.statuses._due)
    last = await node.status("mine")
    assert last.last_updated is not None
    await asyncio.sleep(0.05)
    assert await node.status("mine") == last


async def test_what_cannot_be_written_is_a_problem_until_it_can(node: Node) -> None:
    node.refusal = "the datastore is locked"
    await node.ask("mine")
    await eventually(lambda: bool(node.statuses.problems))
    assert node.statuses.problems == ["CalicoNodeStatus mine cannot be answered: the datastore is locked"]
    assert (await node.status("mine")).last_updated is None
    node.refusal = ""
    await node.until("mine", lambda status: status.last_updated is not None)
    await eventually(lambda: not node.statuses.problems)


async def test_an_answer_keeps_what_people_wrote_beside_it(node: Node) -> None:
    spec = CalicoNodeStatusSpec(node="here", classes=("Agent",), update_period_seconds=10)
    metadata = Metadata(name="mine", labels={"a": "b"})
    await node.store.apply(CalicoNodeStatus(metadata=metadata, spec=spec))
    await node.until("mine", lambda status: status.last_updated is not None)
    found = await node.store.get(ResourceKey("CalicoNodeStatus", "", "mine"))
    assert isinstance(found, CalicoNodeStatus)
    assert (found.metadata.labels, msgspec.structs.asdict(found.spec)) == ({"a": "b"}, msgspec.structs.asdict(spec))
