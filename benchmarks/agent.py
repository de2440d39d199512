"""An agent in a lab: start to ready, policy change to kernel, attaching and detaching workloads, memory, idle time.

Prints medians and worst cases; attaching is compared with a shell script's nine `ip` commands, in turns with it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tortie.agent.client import ask, is_ready
from tortie.agent.log_level import Threshold
from tortie.agent.main import configure_logging
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec
from tortie.api.resource import Metadata
from tortie.api.rules import EntityRule, Rule
from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.lab.assembly import assemble, in_process, plugin
from tortie.lab.lab import Lab
from tortie.lab.place import Place
from tortie.lab.services import AGENT, AgentServices
from tortie.lab.topology import Topology, Workload, simple
from tortie.netlink.namespace import inside
from tortie.netlink.nftables import EVENTS, NEWGEN
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.selector.check import selector_problem

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
STARTS = 5
IDLE_SECONDS = 10


def say(what: str, seconds: Sequence[float], more: str = "") -> None:
    """One line: median and worst, in milliseconds."""
    middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    print(f"{what:<44} p50 {middle:8.1f} ms   worst {worst:8.1f} ms   n {len(seconds):3}  {more}")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def start_to_ready(place: Place, services: AgentServices) -> None:
    """From the start of the process, with a node that is programmed already; against starting Python alone."""
    ready, imported = [], []
    program = [sys.executable, "-c", "import tortie.agent.main"]
    for _ in range(STARTS):
        place.kill(AGENT)
        began = time.perf_counter()
        services.start_agent(place)
        while not is_ready(place.directory):
            time.sleep(0.002)
        ready.append(time.perf_counter() - began)
        imported.append(timed(lambda: subprocess.run(program, check=True)))
    say("start to ready", ready)
    say("  of which importing its modules", imported, f"ratio {min(ready) / min(imported):.2f}")


class Changes:
    """Hears in a host's namespace when a table of the packet filter was changed."""

    def __init__(self, namespace: Path) -> None:
        with inside(namespace):
            self._socket = NetlinkSocket(NETLINK_NETFILTER, (EVENTS,))
        self._socket.set_blocking(True)
        self._committed = threading.Event()
        self.at = 0.0
        threading.Thread(target=self._listen, daemon=True).start()

    def expect(self) -> None:
        self._committed.clear()

    def wait(self) -> float:
        assert self._committed.wait(10), "nothing reached the kernel"
        return self.at

    def _listen(self) -> None:
        while True:
            if any(message.type == NEWGEN for message in self._socket.receive()) and not self._committed.is_set():
                self.at = time.perf_counter()
                self._committed.set()


async def policy_to_kernel(topology: Topology, changes: Changes) -> None:
    """From the call of apply, and from its return, to the kernel's word that the transaction is in force."""
    datastore = await EmbeddedDatastore.open(topology.datastore)
    store = ResourceStore(datastore, SystemClock(), selector_problem)
    called, returned = [], []
    for number in range(ROUNDS + 1):
        changes.expect()
        began = time.perf_counter()
        await store.apply(policy(number))
        ended = time.perf_counter()
        at = await asyncio.to_thread(changes.wait)
        called.append(at - began)
        returned.append(at - ended)
        await asyncio.sleep(0.05)
    await datastore.close()
    say("policy change: apply called to kernel", called[1:])
    say("policy change: apply returned to kernel", returned[1:])


def policy(number: int) -> GlobalNetworkPolicy:
    rule = Rule(action="Allow", protocol="TCP", destination=EntityRule(ports=(1000 + number,)))
    return GlobalNetworkPolicy(
        metadata=Metadata(name="measured"),
        spec=GlobalNetworkPolicySpec(selector="all()", types=("Ingress",), ingress=(rule, Rule(action="Allow"))),
    )


def attaching(lab: Lab) -> None:
    """The plugin as a runtime starts it, against what a script would do for the wiring alone."""
    topology, attacher = lab.topology, plugin(lab.topology)
    workload, host = topology.workload("measured"), topology.host("h1")
    lab.detach("measured")
    adds, deletes, scripts = [], [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        attachment = attacher.attach(topology, workload, host, ())
        added = time.perf_counter()
        attacher.detach(topology, workload, attachment)
        deletes.append(time.perf_counter() - added)
        adds.append(added - began)
        with inside(topology.host_namespace("h1")):
            scripts.append(timed(lambda: wire_by_script(topology.workload_namespace("measured").name)))
            subprocess.run(["ip", "link", "delete", "script0"], check=True)
    say("CNI ADD: addresses, cable, endpoint, in force", adds, f"ratio to the script {ratio(adds, scripts):.2f}")
    say("CNI DEL", deletes)
    say("nine `ip` commands: the cable alone", scripts)


def wire_by_script(workload: str) -> None:
    inner = ["ip", "-n", workload]
    for command in (
        ["ip", "link", "add", "script0", "type", "veth", "peer", "name", "eth0", "netns", workload],
        ["ip", "link", "set", "script0", "address", "ee:ee:ee:ee:ee:ee"],
        ["ip", "link", "set", "script0", "up"],
        [*inner, "link", "set", "eth0", "up"],
        [*inner, "address", "add", "10.65.0.1/32", "dev", "eth0"],
        [*inner, "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link"],
        [*inner, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0"],
        [*inner, "-6", "address", "add", "fd00:65::1/128", "dev", "eth0", "nodad"],
        ["ip", "route", "add", "10.65.0.1", "dev", "script0"],
    ):
        subprocess.run(command, check=True)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def idle(pid: int) -> None:
    """Processor time over some seconds in which nothing happens, and memory."""
    time.sleep(2)
    before = ticks(pid)
    time.sleep(IDLE_SECONDS)
    used = (ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(f"{'idle agent':<44} {used / IDLE_SECONDS:8.2%} of a processor   {resident / 1e6:.0f} MB resident")


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def whole_lab(directory: str) -> None:
    """Three hosts with agents in this process, without and with workloads."""
    for each in (0, 2):
        took = []
        for number in range(3):
            began = time.perf_counter()
            with in_process(simple(f"bi{os.getpid()}x{each}x{number}", 3, each, directory)):
                took.append(time.perf_counter() - began)
        say(f"lab in one process: 3 hosts, {3 * each} workloads", took)


def main() -> None:
    configure_logging(Threshold("error"))
    with tempfile.TemporaryDirectory() as directory:
        whole_lab(directory)
        bare = simple(f"b{os.getpid()}", 1, 0, directory)
        workloads = tuple(Workload(name, "h1") for name in ("measured", "one", "two"))
        topology = msgspec.structs.replace(bare, workloads=workloads)
        with assemble(topology, bird=False) as lab:
            (place,) = lab.places()
            start_to_ready(place, AgentServices(topology, bird=False))
            asyncio.run(policy_to_kernel(topology, Changes(place.namespace)))
            attaching(lab)
            idle(ask(place.directory).pid)


if __name__ == "__main__":
    main()
