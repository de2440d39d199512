"""What is told, where, and only when asked: from the end of a pass to keys and files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tortie.agent.endpoint_states import Seen
from tortie.agent.reporting import Reporter
from tortie.agent.settings import read_settings
from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.hosts import HostEndpoint, HostEndpointName
from tortie.desired.policy import PolicyList
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.links import Link

WEB = EndpointId("shop", "n1-k8s-web--0-eth0")
WEB_KEY = "/calico/felix/v2/no-region/host/n1/workload/k8s/shop%2fweb-0/endpoint/eth0"
HOST_KEY = "/calico/felix/v1/host/n1/endpoint/uplink"
STALE = WEB_KEY.replace("web-0", "gone")
FILE = "k8s shop%2Fweb-0 eth0"
UP, DOWN = b'{"status":"up"}', b'{"status":"down"}'
EVERYTHING = {"TORTIE_ENDPOINT_REPORTING_ENABLED": "true", "TORTIE_ENDPOINT_REPORTING_DELAY_SECONDS": "0"}


class Node:
    """The kernel and the feed of an agent, as its reporter sees them."""

    def __init__(self) -> None:
        self.desired = DesiredState()
        self.links = {name: Link(1, name, up=True, running=True) for name in ("cali1", "eth0")}
        self.listings = 1
        self.closed = ""
        self.synchronised = asyncio.Event()

    def seen(self) -> Seen:
        return Seen(self.desired, (), self.links.get, dict)

    @property
    def sources(self) -> Any:
        """This, in all places where a reporter looks."""
        return SimpleNamespace(stream=self, feed=self, seen=self.seen)


class Rig:
    """A reporter at work on a datastore in memory."""

    def __init__(self, **settings: str) -> None:
        self.node = Node()
        self.datastore = EmbeddedDatastore.open_memory()
        environment = {"TORTIE_NODE": "n1", **settings}
        self.reporter = Reporter(read_settings(environment)[0], self.datastore, self.node.sources, SystemClock())
        self.task = asyncio.create_task(self.reporter.run())
        self.node.synchronised.set()

    def put(self, **changes: Any) -> None:
        """Let there be a workload and a host endpoint, and a pass that programmed them."""
        self.node.desired.endpoints[WEB] = Endpoint(WEB, "cali1", (), PolicyList(), PolicyList())
        self.node.desired.host_endpoints[HostEndpointName("uplink")] = HostEndpoint(HostEndpointName("uplink"), "eth0")
        self.reporter.after_pass(Changes(endpoints={WEB}, host_endpoints={HostEndpointName("uplink")}, **changes))

    async def keys(self) -> dict[str, bytes]:
        return {one.key: one.value for one in (await self.datastore.list("/calico/felix/")).items}

    async def until(self, condition: Callable[[dict[str, bytes]], object]) -> None:
        for _ in range(5000):
            if condition(await self.keys()):
                return
            await asyncio.sleep(0.001)
        raise AssertionError(await self.keys())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.datastore.close()


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**settings: str) -> Rig:
        rigs.append(Rig(**settings))
        return rigs[-1]

    yield make
    for one in rigs:
        await one.end()


async def test_nothing_is_told_that_was_not_asked(make: Callable[..., Rig]) -> None:
    rig = make()
    await rig.datastore.put(STALE, UP)
    rig.put()
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert await rig.keys() == {STALE: UP}
    assert not rig.task.done()


async def test_endpoints_and_the_host_are_told_under_felixs_keys(make: Callable[..., Rig]) -> None:
    rig = make(**EVERYTHING)
    await rig.datastore.put(STALE, UP)
    rig.put()
    root = "/calico/felix/v2/no-region/host/n1/"
    wanted = {WEB_KEY, HOST_KEY, f"{root}status", f"{root}last_reported_status"}
    await rig.until(lambda keys: keys.keys() == wanted)
    assert (await rig.keys())[WEB_KEY] == (await rig.keys())[HOST_KEY] == UP
    rig.node.links["cali1"] = Link(1, "cali1", up=True, running=False)
    rig.reporter.after_pass(Changes(interfaces={"cali1"}))
    await rig.until(lambda keys: keys[WEB_KEY] == DOWN)
    rig.node.desired = DesiredState()
    rig.reporter.after_pass(Changes(endpoints={WEB}, host_endpoints={HostEndpointName("uplink")}))
    await rig.until(lambda keys: keys.keys() == {f"{root}status", f"{root}last_reported_status"})


async def test_a_region_stands_in_the_keys_of_workloads(make: Callable[..., Rig]) -> None:
    rig = make(**EVERYTHING, TORTIE_OPENSTACK_REGION="east-2", TORTIE_REPORTING_INTERVAL_SECONDS="0")
    rig.put()
    await rig.until(lambda keys: keys.keys() == {WEB_KEY.replace("no-region", "region-east-2"), HOST_KEY})


async def test_signs_of_life_can_be_asked_for_alone(make: Callable[..., Rig]) -> None:
    rig = make(TORTIE_REPORTING_INTERVAL_SECONDS="30")
    rig.put()
    await rig.until(lambda keys: len(keys) == 2 and all("status" in key for key in keys))


async def test_what_is_stale_goes_even_where_there_is_no_endpoint(make: Callable[..., Rig]) -> None:
    rig = make(**EVERYTHING, TORTIE_REPORTING_INTERVAL_SECONDS="0")
    await rig.datastore.put(STALE, UP)
    rig.reporter.after_pass(Changes())
    await rig.until(lambda keys: not keys)


async def test_a_file_is_made_for_what_is_up_and_outlives_its_carrier(make: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make(TORTIE_ENDPOINT_STATUS_PATH_PREFIX=str(tmp_path))
    file = tmp_path / "endpoint-status" / FILE
    rig.node.links["cali1"] = Link(1, "cali1", up=True, running=False)
    rig.put()
    await written_after(rig, tmp_path, "one")
    assert not file.exists()
    rig.node.links["cali1"] = Link(1, "cali1", up=True, running=True)
    rig.reporter.after_pass(Changes(interfaces={"cali1"}))
    await rig.until(lambda _: file.exists())
    assert file.read_bytes() == b'{"ifaceName":"cali1"}'
    del rig.node.links["cali1"]
    rig.reporter.after_pass(Changes(interfaces={"cali1"}))
    await written_after(rig, tmp_path, "two")
    assert file.exists()
    everything = set(rig.node.desired.endpoints)
    rig.node.desired = DesiredState()
    rig.reporter.after_pass(Changes(endpoints=everything))
    await rig.until(lambda _: not list(file.parent.iterdir()))
    assert await rig.keys() == {}


async def written_after(rig: Rig, prefix: Path, name: str) -> None:
    """Bring another workload up, and wait for its file: all that changed before has been written then."""
    other = EndpointId("shop", f"n1-k8s-{name}-eth0")
    rig.node.links[name] = Link(2, name, up=True, running=True)
    rig.node.desired.endpoints[other] = Endpoint(other, name, (), PolicyList(), PolicyList())
    rig.reporter.after_pass(Changes(endpoints={other}))
    await rig.until(lambda _: (prefix / "endpoint-status" / f"k8s shop%2F{name} eth0").exists())


async def test_a_gap_in_the_datastores_history_has_everything_looked_at_again(make: Callable[..., Rig]) -> None:
    rig = make(**EVERYTHING, TORTIE_REFRESH_SECONDS="0.01", TORTIE_REPORTING_INTERVAL_SECONDS="0")
    rig.put()
    await rig.until(lambda keys: keys.keys() == {WEB_KEY, HOST_KEY})
    await rig.datastore.put(STALE, UP)
    await rig.datastore.delete(HOST_KEY)
    rig.node.listings += 1
    await rig.until(lambda keys: keys.keys() == {WEB_KEY, HOST_KEY})


async def test_a_datastore_that_fails_holds_up_nobody_and_is_told(
    make: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(**EVERYTHING)

    async def fail(*_: object) -> None:
        raise Unavailable("nobody answers")

    with monkeypatch.context() as broken:
        broken.setattr(rig.datastore, "put", fail)
        rig.put()
        await rig.until(lambda _: len(rig.reporter.problems) == 2)
    assert all("nobody answers" in problem for problem in rig.reporter.problems)
    await rig.until(lambda keys: keys.get(WEB_KEY) == UP)
    assert not rig.task.done()


async def test_an_endpoint_whose_name_says_nothing_is_not_told(make: Callable[..., Rig]) -> None:
    rig = make(**EVERYTHING, TORTIE_REPORTING_INTERVAL_SECONDS="0")
    odd = EndpointId("shop", "odd")
    rig.node.desired.endpoints[odd] = Endpoint(odd, "cali1", (), PolicyList(), PolicyList())
    rig.reporter.after_pass(Changes(endpoints={odd}))
    rig.put()
    await rig.until(lambda keys: keys.keys() == {WEB_KEY, HOST_KEY})
