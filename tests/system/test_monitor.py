"""Packets as they are decided, watched on a running agent: which rule, which packet, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING

import msgspec
import pytest

from tortie.agent.client import monitor
from tortie.agent.decisions import Filter, Report
from tortie.api.resource import ResourceKey
from tortie.base.errors import Unavailable
from tortie.cli.connection import UNAVAILABLE
from tortie.dataplane.nftables.trace_table import PREFIX
from tortie.lab.probe.model import Probe, Transport

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

DENY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: no-web, namespace: default}
spec:
  selector: role == 'server'
  order: 1
  types: [Ingress]
  ingress:
    - {action: Log, protocol: UDP}
    - {action: Deny, protocol: TCP, destination: {ports: [80]}, source: {selector: role == 'client'}}
"""
HOST = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: guarded}
spec: {node: h1, interfaceName: eth0}
"""
FLOOD = """
import socket, time
speaker, start, sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), time.monotonic(), 0
while (gone := time.monotonic() - start) < 2:
    while sent < gone * 10_000:
        speaker.sendto(b"x", ("{}", 20_000 + sent % 20_000))
        sent += 1
    time.sleep(0.001)
"""
DENY_KEY = ResourceKey("NetworkPolicy", "default", "no-web")


class Watcher:
    """`tortie monitor` on h1, in JSON."""

    def __init__(self, world: World, *words: str) -> None:
        self._lines: Queue[str] = Queue()
        before = tables(world).count(PREFIX)
        directory = str(world.lab.place("h1").directory)
        command = [sys.executable, "-m", "tortie.cli", "monitor", "-o", "json", "--run-directory", directory, *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._gather, daemon=True).start()
        world.until(lambda: tables(world).count(PREFIX) > before, "watching has begun")

    def until(self, verdict: str, direction: str = "ingress") -> Report:
        """The next report with this verdict."""
        while True:
            report = msgspec.json.decode(self._lines.get(timeout=10), type=Report)
            if report.decision and (report.decision.verdict, str(report.decision.direction.value)) == (
                verdict,
                direction,
            ):
                return report

    @property
    def has_something(self) -> bool:
        """Whether a report waits to be taken."""
        return not self._lines.empty()

    def drain(self) -> int:
        """Take all that is there, and what comes until nothing more does; how much came."""
        taken = -self._lines.qsize()
        with suppress(Empty):
            while self._lines.get(timeout=0.5):
                taken += 1
        return taken

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def _gather(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def watching(world: World, *words: str) -> Iterator[Watcher]:
    """A watcher that is killed behind the block, and leaves nothing."""
    before = tables(world).count(PREFIX)
    watcher = Watcher(world, *words)
    try:
        yield watcher
    finally:
        watcher.kill()
    world.until(lambda: tables(world).count(PREFIX) <= before, "the table is gone")


def tables(world: World) -> str:
    return world.run("nft", "list", "tables")


def test_a_packet_that_a_rule_denies_shows_the_rule(settled: World) -> None:
    settled.apply(DENY)
    settled.until(lambda: not settled.reaches("client", "server"), "the policy is in force")
    with watching(settled, "--drops", "--destination", settled.address("server")) as watcher:
        assert not settled.reaches("client", "server")
        found = watcher.until("Deny")
    settled.delete(DENY_KEY)
    settled.until(lambda: settled.reaches("client", "server"), "the policy is gone")
    assert found.decision is not None and found.packet is not None
    decision, packet = found.decision, found.packet
    assert (decision.kind, decision.namespace, decision.name, decision.rule) == (
        "NetworkPolicy",
        "default",
        "no-web",
        1,
    )
    assert (packet.source, packet.destination) == (settled.address("client"), settled.address("server"))
    assert (packet.protocol, packet.destination_port) == (6, 80)
    assert found.endpoint == "default/h1-k8s-server-eth0"
    assert found.interface.startswith("cali")


def test_a_packet_that_is_allowed_shows_who_allows_it_on_both_sides(settled: World) -> None:
    with watching(settled, "--port", "80", "--protocol", "tcp") as watcher:
        assert settled.reaches("client", "server")
        found = watcher.until("Allow").decision
    assert found is not None
    assert (found.kind, found.name, found.rule) == ("GlobalNetworkPolicy", "server", 0)


def test_an_agent_that_is_killed_leaves_nothing_behind(settled: World) -> None:
    with watching(settled) as watcher:
        settled.kill()
        settled.until(lambda: PREFIX not in tables(settled), "the table is gone")
        assert watcher.process.wait(timeout=10) == UNAVAILABLE
    settled.start()


def test_watching_changes_nothing_of_ours_and_watchers_do_not_disturb_each_other(settled: World) -> None:
    before, drifts = settled.ruleset(), settled.target("nftables").drifts
    with watching(settled, "--drops") as first, watching(settled, "--port", "80") as second:
        assert settled.reaches("client", "server")
        assert not settled.reaches("neighbour", "server")
        assert second.until("Allow").decision is not None
        denied = first.until("Deny").decision
    assert denied is not None and denied.reason == "end of tier default"
    assert settled.ruleset() == before
    assert settled.target("nftables").drifts == drifts


def test_rules_are_named_rightly_after_the_table_was_flushed_and_made_anew(settled: World) -> None:
    with watching(settled, "--drops", "--destination", settled.address("server")) as watcher:
        assert not settled.reaches("neighbour", "server")
        before = settled.target("nftables").drifts
        settled.run("nft", "flush", "ruleset")
        settled.until(lambda: settled.target("nftables").drifts > before, "the table is made anew")
        settled.until(lambda: not settled.reaches("neighbour", "server"), "the policy is in force again")
        for _ in range(2):
            found = watcher.until("Deny").decision
            assert found is not None and found.reason == "end of tier default"


def test_a_host_endpoint_that_comes_meanwhile_is_watched_too(settled: World) -> None:
    with watching(settled, "--drops", "--port", "7777") as watcher:
        settled.apply(HOST)
        address = settled.lab.topology.host("h1").address(4).partition("/")[0]
        settled.until(lambda: knocked(settled, address, watcher), "a packet for the host is denied, and shown")
        found = watcher.until("Deny")
    settled.delete(ResourceKey("HostEndpoint", "", "guarded"))
    assert (found.interface, found.endpoint) == ("eth0", "")
    assert found.decision is not None and found.decision.reason.startswith("no profile matched")


def knocked(world: World, address: str, watcher: Watcher) -> bool:
    """Whether anything was shown after a connection was tried from the other host."""
    world.lab.probe(Probe("h2", address, Transport.TCP, 7777))
    return watcher.has_something


def test_under_ten_thousand_packets_a_second_policy_goes_on_and_nothing_old_is_shown(settled: World) -> None:
    flood = FLOOD.format(settled.address("server"))
    with watching(settled, "--drops", "--rate", "100000", "--protocol", "udp") as watcher:
        speaker = threading.Thread(target=settled.lab.exec, args=("neighbour", [sys.executable, "-c", flood]))
        speaker.start()
        assert watcher.until("Deny")
        settled.apply(DENY)
        settled.until(lambda: not settled.reaches("client", "server"), "the policy is in force")
        settled.delete(DENY_KEY)
        settled.until(lambda: settled.reaches("client", "server"), "the policy is gone")
        speaker.join()
        assert watcher.drain() < 5000, "what comes too fast is left out, not shown late"
    assert settled.report().ready


def test_an_endpoint_that_is_not_here_is_told(settled: World) -> None:
    with pytest.raises(Unavailable, match="no workload or workload endpoint default/nobody is on this node; here are"):
        next(monitor(settled.lab.place("h1").directory, Filter(endpoint="default/nobody")))


def test_the_command_ends_after_so_many_packets(settled: World) -> None:
    with watching(settled, "--limit", "1", "--drops", "--endpoint", "default/server") as watcher:
        assert not settled.reaches("neighbour", "server")
        assert watcher.process.wait(timeout=20) == 0
        found = watcher.until("Deny").decision
    assert found is not None and found.reason == "end of tier default"
