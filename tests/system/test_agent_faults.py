"""Whatever happens to its datastore or to what it programmed, an agent repairs it, and says so."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tortie.agent.client import SOCKET, is_ready
from tortie.api.resource import ResourceKey
from tortie.base.errors import Unavailable
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.watch import FIRST_REFUSED, Watch
from tortie.netlink import links
from tortie.netlink.batch import execute
from tortie.netlink.namespace import inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.system

World = Any

CUT = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: cut}
spec:
  order: 1
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {action: Deny, source: {selector: role == 'client'}}
"""
CUT_KEY = ResourceKey("GlobalNetworkPolicy", "", "cut")

LATE = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: cut}
spec:
  order: 1
  selector: role == 'server'
  types: [Ingress]
  ingress:
    - {action: Allow, source: {selector: role == 'stranger'}}
"""


@pytest.fixture(autouse=True)
def _policies_are_as_before(world: World) -> Iterator[None]:
    yield
    world.delete(CUT_KEY)


def drifts(world: World, target: str) -> int:
    """How often the agent has looked into what others did."""
    return world.target(target).drifts


@pytest.mark.parametrize(
    "what",
    [
        ["delete", "table", "inet", "tortie"],
        ["flush", "table", "inet", "tortie"],
        ["add", "chain", "inet", "tortie", "intruder"],
    ],
    ids=lambda words: f"{words[0]} {words[1]}",
)
def test_what_others_do_to_our_table_is_undone_at_once(settled: World, what: list[str]) -> None:
    before, seen = without_handles(settled.ruleset()), drifts(settled, "nftables")
    settled.run("nft", *what)
    settled.until(lambda: without_handles(settled.ruleset()) == before, "the table is as before")
    settled.until(lambda: drifts(settled, "nftables") > seen, "the status tells of it")
    assert settled.target("nftables").state == "programmed"
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")


def test_a_base_chain_that_somebody_deletes_is_put_back(settled: World) -> None:
    before = without_handles(settled.ruleset())
    tables = json.loads(settled.run("nft", "-j", "list", "chains"))["nftables"]
    name = next(one["chain"]["name"] for one in tables if one.get("chain", {}).get("hook") == "forward")
    settled.run("nft", "flush", "chain", "inet", "tortie", name)
    settled.run("nft", "delete", "chain", "inet", "tortie", name)
    settled.until(lambda: without_handles(settled.ruleset()) == before, "the chain is back")
    assert not settled.reaches("stranger", "server")


def without_handles(ruleset: str) -> list[str]:
    """The table as text whose order and handles do not matter."""
    return sorted(line.split(" # handle")[0] for line in ruleset.splitlines())


@pytest.mark.parametrize("family", [4, 6])
def test_a_route_that_somebody_deletes_or_bends_is_put_back(settled: World, family: int) -> None:
    address = settled.address("server", family)
    command = ["ip", f"-{family}", "route"]
    wanted = settled.run(*command, "show", address)
    assert "dev cali" in wanted
    settled.run(*command, "delete", address)
    settled.until(lambda: settled.run(*command, "show", address) == wanted, "the route is back")
    assert settled.reaches("client", "server", family)


@pytest.mark.parametrize(
    "name",
    ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/{}/proxy_arp", "ipv4/conf/{}/rp_filter"],
)
def test_a_setting_that_somebody_switches_off_is_switched_on_again(settled: World, name: str) -> None:
    path = "/proc/sys/net/" + name.format(settled.lab.attachment("server").interface)
    assert settled.run("cat", path).strip() == "1"
    settled.run("sh", "-c", f"echo 0 > {path}")
    settled.until(lambda: settled.run("cat", path).strip() == "1", "the setting is on again")


def test_a_workload_interface_that_somebody_takes_down_is_raised_and_routed_again(settled: World) -> None:
    interface = settled.lab.attachment("server").interface
    settled.run("ip", "link", "set", interface, "down")
    settled.until(lambda: settled.reaches("client", "server") and settled.reaches("client", "server", 6), "it is back")


def test_a_newly_denied_pair_is_refused_and_the_established_flow_lives_on(settled: World) -> None:
    with settled.lab.prober.stream(settled.probe("client", "server")) as stream:
        watching = settled.lab.prober.watch(settled.probe("client", "server"), Watch(FIRST_REFUSED.until, within=10))
        settled.apply(CUT)
        assert watching.result() is not None
        report = stream.stop()
    assert (report.lost, report.broken) == (0, "")


def test_tracked_connections_of_an_address_go_with_its_workload(settled: World) -> None:
    probe = settled.probe("client", "neighbour", 4, Transport.UDP)
    assert settled.lab.probe(probe)[0].allowed
    tracked = ["conntrack", "-L", "-d", probe.address]
    assert probe.address in settled.run(*tracked)
    attachment = settled.lab.detach("neighbour")
    settled.until(lambda: probe.address not in settled.run(*tracked), "nothing is tracked any more")
    settled.lab.attach("neighbour", "h1", attachment.addresses)


def test_without_its_datastore_an_agent_lives_on_and_takes_up_what_it_missed(settled: World) -> None:
    datastore = Path(settled.lab.topology.datastore)
    away = datastore.with_name("away.db")
    pid = settled.pid()
    with settled.lab.prober.stream(settled.probe("client", "server")) as stream:
        datastore.rename(away)
        time.sleep(1.5)
        assert settled.reaches("client", "server")
        assert not settled.reaches("stranger", "server")
        assert settled.report().ready
        away.rename(datastore)
        report = stream.stop()
    assert (report.lost, report.broken) == (0, "")
    settled.apply(LATE)
    settled.until(lambda: settled.reaches("stranger", "server"), "the change is in force")
    assert (settled.pid(), settled.report().pid) == (pid, pid)


def test_a_datastore_that_somebody_locks_delays_and_breaks_nothing(settled: World) -> None:
    lock = sqlite3.connect(settled.lab.topology.datastore, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        time.sleep(0.5)
        assert settled.reaches("client", "server")
        assert settled.report().ready
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    settled.apply(LATE)
    settled.until(lambda: settled.reaches("stranger", "server"), "the change is in force")


def test_an_agent_that_never_saw_its_datastore_guards_every_workload_interface_and_says_what_it_waits_for(
    settled: World,
) -> None:
    """A fresh host: no table of ours, a datastore that cannot be opened, and interfaces that nobody knows."""
    datastore = Path(settled.lab.topology.datastore)
    away = datastore.with_name("away.db")
    settled.stop()
    settled.run("nft", "delete", "table", "inet", "tortie")
    assert settled.reaches("stranger", "server"), "without a table everything is open"
    datastore.rename(away)
    datastore.mkdir()
    try:
        settled.start(wait=False)
        settled.until(lambda: not settled.reaches("client", "server"), "the guard stands")
        settled.until(lambda: bool(delayed(settled)), "the status is served")
        assert str(datastore) in delayed(settled)
        assert not settled.report().ready
        for family in (4, 6):
            assert not settled.reaches("client", "server", family)
            assert not settled.reaches("server", "client", family)
            assert not settled.reaches("server", "neighbour", family)
    finally:
        datastore.rmdir()
        away.rename(datastore)
    settled.until(lambda: settled.report().ready, "the agent goes on")
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")


def delayed(world: World) -> str:
    """What the start of the agent waits for."""
    try:
        return world.report().delayed
    except Unavailable:
        return ""


def test_an_interface_that_no_endpoint_knows_forwards_nothing_from_its_first_packet_on(settled: World) -> None:
    """Wired by somebody else under our prefix, with a route of its own, while the agent works."""
    lab = settled.lab
    before = settled.address("neighbour")
    attachment = lab.detach("neighbour")
    with inside(lab.namespace("h1")), NetlinkSocket(NETLINK_ROUTE) as socket:
        settled.until(lambda: links.get_link(socket, attachment.interface) is None, "the cable is gone")
    host, workload = lab.namespace("h1"), lab.namespace("neighbour")
    pair = ["ip", "link", "add", "calixxx", "type", "veth", "peer", "name", "eth0", "netns", workload.name]
    assert settled.run(*pair) == ""
    for command in (
        ["ip", "link", "set", "calixxx", "up"],
        ["ip", "route", "add", before, "dev", "calixxx"],
        ["sysctl", "-q", "-w", "net.ipv4.conf.calixxx.proxy_arp=1", "net.ipv4.neigh.calixxx.proxy_delay=0"],
    ):
        assert settled.run(*command) == ""
    for command in (
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "addr", "add", f"{before}/32", "dev", "eth0"],
        ["ip", "route", "add", "default", "dev", "eth0"],
    ):
        settled.run(*command, host="neighbour")
    probes = [
        settled.probe("client", "server"),
        *(Probe("stranger", before, one) for one in (Transport.TCP, Transport.ICMP)),
        settled.probe("neighbour", "client"),
        settled.probe("neighbour", "client", 4, Transport.UDP),
    ]
    try:
        assert [one.allowed for one in lab.probe(*probes)] == [True, False, False, False, False]
        settled.kill()
        settled.run("nft", "delete", "table", "inet", "tortie")
        settled.until(lambda: all(one.allowed for one in lab.probe(*probes)), "only the table stands in the way")
        settled.start()
        assert [one.allowed for one in lab.probe(*probes)] == [True, False, False, False, False]
    finally:
        with inside(host), NetlinkSocket(NETLINK_ROUTE) as socket:
            execute(socket, links.delete("calixxx"))
        lab.attach("neighbour", "h1", attachment.addresses)


def test_a_kernel_that_refuses_makes_an_agent_unready_and_ready_once_it_accepts(settled: World) -> None:
    """Another process owns a table of our name; it goes with that process."""
    settled.stop()
    settled.run("nft", "delete", "table", "inet", "tortie")
    with inside(settled.lab.namespace("h1")):
        owner = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert owner.stdin is not None
        owner.stdin.write("add table inet tortie { flags owner; }\n")
        owner.stdin.flush()
        settled.until(lambda: "tortie" in settled.run("nft", "list", "tables"), "the table is somebody else's")
        settled.start(wait=False)
        settled.until(lambda: "not permitted" in delayed(settled), "the status tells of it")
        assert not is_ready(settled.lab.place("h1").directory)
    finally:
        owner.communicate()  # ends it
    settled.until(lambda: is_ready(settled.lab.place("h1").directory), "the agent is ready")
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")


def test_an_agent_that_hangs_answers_nobody_and_changes_nothing(settled: World) -> None:
    pid = settled.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        settled.apply(CUT)
        with socket.socket(socket.AF_UNIX) as asking, pytest.raises(TimeoutError):
            asking.settimeout(0.3)
            asking.connect(str(settled.lab.place("h1").directory / SOCKET))
            asking.sendall(b"GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
            asking.recv(1)
        assert settled.reaches("client", "server")
        assert not settled.reaches("stranger", "server")
    finally:
        os.kill(pid, signal.SIGCONT)
    settled.until(lambda: not settled.reaches("client", "server"), "what came meanwhile is in force")
    assert settled.report().pid == pid


MANY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {{name: set{number}, labels: {{many: "{number}"}}}}
spec: {{nets: [{nets}]}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: many{number}}}
spec:
  order: 5
  selector: role == 'server'
  types: [Ingress]
  ingress: [{{action: Pass, protocol: UDP, source: {{selector: many == '{number}'}}}}]
"""


def test_sets_and_policies_that_come_and_go_all_the_time_end_no_agent_and_cut_nothing(settled: World) -> None:
    pids = [settled.pid(host) for host in ("h1", "h2")]
    before, failed = without_handles(settled.ruleset()), settled.target("nftables").failures
    keys = [
        ResourceKey(kind, "", f"{name}{number}")
        for kind, name in (("GlobalNetworkPolicy", "many"), ("GlobalNetworkSet", "set"))
        for number in range(16)
    ]
    with settled.lab.prober.stream(settled.probe("client", "server")) as stream:
        for turn in range(4):
            nets = ", ".join(f'"10.{turn}.{one}.0/{24 + one % 9}"' for one in range(20))
            settled.apply("---".join(MANY.format(number=number, nets=nets) for number in range(turn, 16)))
            for key in keys[turn::2]:
                settled.delete(key)
        for key in keys:
            settled.delete(key)
        settled.until(lambda: without_handles(settled.ruleset()) == before, "all of it is gone")
        report = stream.stop()
    assert (report.lost, report.broken) == (0, "")
    assert [settled.pid(host) for host in ("h1", "h2")] == pids
    assert settled.target("nftables").failures == failed
    assert not settled.report().rejected


def test_an_interface_that_flaps_and_changes_its_name_ends_like_one_that_did_not(settled: World) -> None:
    interface = settled.lab.attachment("server").interface
    before = without_handles(settled.ruleset())
    for _ in range(10):
        settled.run("ip", "link", "set", interface, "down")
        settled.run("ip", "link", "set", interface, "up")
    settled.run("ip", "link", "set", interface, "down")
    settled.run("ip", "link", "set", interface, "name", "calielse")
    settled.run("ip", "link", "set", "calielse", "up")
    assert not settled.reaches("client", "server"), "nobody knows an interface of that name"
    settled.run("ip", "link", "set", "calielse", "down")
    settled.run("ip", "link", "set", "calielse", "name", interface)
    settled.until(lambda: settled.reaches("client", "server") and settled.reaches("client", "server", 6), "as before")
    assert not settled.reaches("stranger", "server")
    assert without_handles(settled.ruleset()) == before
    assert not [one for one in settled.report().targets if one.state != "programmed"]


def test_an_idle_agent_uses_next_to_nothing(settled: World) -> None:
    settled.until(lambda: settled.report().ready, "ready")
    time.sleep(1)
    pid = settled.pid()
    before = ticks(pid)
    time.sleep(4)
    assert ticks(pid) - before <= 5 * os.sysconf("SC_CLK_TCK") // 100
    assert resident(pid) < 150 << 20


def ticks(pid: int) -> int:
    """Processor time that a process has used, in clock ticks (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> int:
    """Bytes in memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
