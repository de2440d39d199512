"""The table of links that events keep, and events as they come from the kernel."""

from __future__ import annotations

import asyncio
import errno
import os
import socket as socketlib
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.netlink import links, route
from tortie.netlink.batch import execute
from tortie.netlink.links import Link
from tortie.netlink.monitor import Event, LinkEvent, LinkTable, Monitor, Resync, RouteEvent
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import Message

A, B = Link(7, "cali1", up=True), Link(8, "cali2", up=True)


def test_a_new_link_is_reported_once() -> None:
    table = LinkTable()
    assert table.note(A) == [LinkEvent("cali1", A)]
    assert table.note(A) == []
    assert table.get("cali1") == A


def test_a_rename_is_the_old_name_gone_and_the_new_one_there() -> None:
    table = LinkTable()
    table.note(A)
    renamed = Link(7, "cali9", up=True)
    assert table.note(renamed) == [LinkEvent("cali1", None), LinkEvent("cali9", renamed)]
    assert (table.get("cali1"), table.get("cali9")) == (None, renamed)


def test_a_link_made_again_under_its_name_survives_the_late_end_of_the_old_one() -> None:
    table = LinkTable()
    table.note(A)
    again = Link(9, "cali1", up=True)
    assert table.note(again) == [LinkEvent("cali1", again)]
    assert table.note(A, gone=True) == []
    assert table.get("cali1") == again


def test_names_that_two_links_swap_come_right_in_the_end() -> None:
    table = LinkTable()
    for link in (A, B, Link(7, "cali2"), Link(8, "cali1")):
        table.note(link)
    assert {link.index: link.name for link in table} == {7: "cali2", 8: "cali1"}


def test_a_complete_list_reports_only_what_was_missed() -> None:
    table = LinkTable()
    table.replace([A, B])
    down = Link(8, "cali2")
    assert table.replace([down]) == [LinkEvent("cali1", None), LinkEvent("cali2", down)]
    assert table.replace([down]) == []


events = st.lists(
    st.tuples(st.builds(Link, st.integers(1, 4), st.sampled_from("abc"), up=st.booleans()), st.booleans()), max_size=30
)


@given(events, st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), max_size=3))
def test_after_a_complete_list_the_table_is_that_list_whatever_was_heard_before(
    heard: list[tuple[Link, bool]], names: dict[str, int]
) -> None:
    table = LinkTable()
    for link, gone in heard:
        table.note(link, gone=gone)
    present = {index: Link(index, name) for name, index in names.items()}
    table.replace(present.values())
    assert {link.index: link for link in table} == present


class Recorder:
    """Collects events; waits until one comes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[list[Event]], bool]) -> None:
        while not condition(self.events):
            self._news.clear()
            await self._news.wait()


@pytest.fixture
async def recorder(namespace: int, rtnetlink: NetlinkSocket) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    with inside(namespace):
        monitor = Monitor(recorder)
    monitor.start(links.list_links(rtnetlink))
    yield recorder
    monitor.close()


@pytest.mark.kernel
async def test_links_are_reported_as_they_come_go_up_change_name_and_go(
    rtnetlink: NetlinkSocket, recorder: Recorder, veth: int
) -> None:
    def heard(name: str, *, running: bool) -> Callable[[list[Event]], bool]:
        return lambda events: any(
            isinstance(one, LinkEvent) and one.name == name and (one.link is not None and one.link.running) == running
            for one in events
        )

    await recorder.until(heard("cali1", running=True))
    recorder.events.clear()
    execute(rtnetlink, links.change(veth, up=False), links.rename(veth, "cali2"), links.delete(veth))
    await recorder.until(lambda events: LinkEvent("cali2", None) in events)
    names = [one.name for one in recorder.events if isinstance(one, LinkEvent)]
    assert names.index("cali1") < names.index("cali2")
    assert LinkEvent("cali1", None) in recorder.events


@pytest.mark.kernel
async def test_routes_are_reported_with_the_one_who_changed_them(
    rtnetlink: NetlinkSocket, recorder: Recorder, veth: int, run: Callable[..., str]
) -> None:
    for text in ("10.65.0.1", "fd65::1"):
        wanted = route.device_route(Cidr.parse(text), veth, 1024, 80)
        execute(rtnetlink, route.add(wanted))
        await recorder.until(lambda events, wanted=wanted: RouteEvent(wanted, False, rtnetlink.port) in events)
        run("ip", "route", "delete", text, "dev", "cali1", "proto", "80")
        await recorder.until(
            lambda events, wanted=wanted: any(
                isinstance(one, RouteEvent) and one.route == wanted and one.gone and one.port != rtnetlink.port
                for one in events
            )
        )


@pytest.mark.kernel
async def test_after_lost_events_old_ones_are_dropped_and_new_ones_wait_for_a_complete_list(
    namespace: int, rtnetlink: NetlinkSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    with inside(namespace):
        monitor = Monitor(recorder)
    failures = [KernelError("receive from netlink", errno.ENOBUFS)]
    receive = NetlinkSocket.receive

    def overrun(socket: NetlinkSocket, size: int = 1 << 20) -> list[Message]:
        if failures and socket is not rtnetlink:
            raise failures.pop()
        return receive(socket, size)

    monitor.start(links.list_links(rtnetlink))
    monkeypatch.setattr(NetlinkSocket, "receive", overrun)
    execute(rtnetlink, links.create_bridge("queued"))
    await recorder.until(lambda events: Resync() in events)
    execute(rtnetlink, links.delete("queued"))
    complete = links.list_links(rtnetlink)
    execute(rtnetlink, links.create_bridge("later"))
    await asyncio.sleep(0.01)
    assert {link.name for link in monitor.links} == {"lo"}
    monitor.resynchronised(complete)
    await recorder.until(lambda events: monitor.links.get("later") is not None)
    assert {link.name for link in monitor.links} == {"lo", "later"}
    monitor.close()


@pytest.mark.kernel
async def test_a_buffer_that_really_overflows_ends_in_a_resync(
    namespace: int, rtnetlink: NetlinkSocket, veth: int
) -> None:
    recorder = Recorder()
    with inside(namespace):
        monitor = Monitor(recorder)
    with socketlib.socket(fileno=os.dup(monitor.fileno())) as raw:
        raw.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_RCVBUF, 4096)
    monitor.start(links.list_links(rtnetlink))
    routes = [route.device_route(Cidr(4, 0x0A410000 + number, 32), veth, 1024, 80) for number in range(500)]
    execute(rtnetlink, *[route.add(one) for one in routes])
    await recorder.until(lambda events: Resync() in events)
    monitor.close()
