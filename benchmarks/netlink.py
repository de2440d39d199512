"""Routes: added, listed and deleted by us and by `ip`, in turns.

Prints minimum and median of CPU (own and children) and wall seconds, and the ratios of the minima. Every
round checks that the kernel has exactly the routes asked for.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.netlink import links, route
from tortie.netlink.batch import execute
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

ROUTES = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
ROUNDS = 5
FIRST = int.from_bytes(bytes([10, 0, 0, 1]), "big")

Times = list[tuple[float, float]]


class Bench:
    """A namespace with one running veth, and both ways to its routes."""

    def __init__(self, namespace: int, directory: Path) -> None:
        self.namespace = namespace
        with inside(namespace):
            self.socket = NetlinkSocket(NETLINK_ROUTE)
        execute(self.socket, links.create_veth(links.NewLink("cali1"), links.NewLink("peer")))
        execute(self.socket, links.change("peer", up=True), links.change("cali1", up=True))
        link = links.get_link(self.socket, "cali1")
        assert link is not None
        self.routes = [route.device_route(Cidr(4, FIRST + n, 32), link.index, 1024, 80) for n in range(ROUTES)]
        self.batches = {verb: directory / verb for verb in ("add", "delete")}
        for verb, file in self.batches.items():
            file.write_text(
                "".join(f"route {verb} {one.destination} dev cali1 proto 80 metric 1024\n" for one in self.routes)
            )

    def ours_add(self) -> None:
        execute(self.socket, *[route.add(one) for one in self.routes])

    def ours_replace(self) -> None:
        execute(self.socket, *[route.replace(one) for one in self.routes])

    def ours_list(self) -> None:
        assert len(route.list_routes(self.socket, 4, protocol=80)) == ROUTES

    def ours_delete(self) -> None:
        execute(self.socket, *[route.delete(one) for one in self.routes])

    def ip_add(self) -> None:
        self._ip("-batch", str(self.batches["add"]))

    def ip_list(self) -> None:
        shown = json.loads(self._ip("-j", "route", "show", "proto", "80"))
        assert len(shown) == ROUTES

    def ip_delete(self) -> None:
        self._ip("-batch", str(self.batches["delete"]))

    def check(self, count: int) -> None:
        """Outside of what is timed: the kernel has all routes, or none."""
        found = set(route.list_routes(self.socket, 4, protocol=80))
        assert found == set(self.routes[:count]), f"{len(found)} routes instead of {count}"

    def _ip(self, *arguments: str) -> str:
        command = ["nsenter", f"--net=/proc/self/fd/{self.namespace}", "ip", *arguments]
        return subprocess.run(command, pass_fds=[self.namespace], check=True, capture_output=True, text=True).stdout


def cpu() -> float:
    """Seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(work: Callable[[], None]) -> tuple[float, float]:
    cpu_before, wall_before = cpu(), time.perf_counter()
    work()
    return cpu() - cpu_before, time.perf_counter() - wall_before


def measure(bench: Bench) -> dict[str, Times]:
    times: dict[str, Times] = {}
    for _ in range(ROUNDS):
        for who, verbs in (("ours", ("add", "replace", "list", "delete")), ("ip", ("add", "list", "delete"))):
            for verb in verbs:
                times.setdefault(f"{who}_{verb}", []).append(timed(getattr(bench, f"{who}_{verb}")))
                bench.check(0 if verb == "delete" else ROUTES)
    return times


def report(times: dict[str, Times]) -> None:
    print(f"{ROUTES} routes of 32 bits out of one veth, {ROUNDS} rounds, in turns")
    print(f"{'':14} {'CPU min':>9} {'CPU med':>9} {'wall min':>9} {'wall med':>9} {'routes/s':>10}")
    for name, values in times.items():
        columns = [[value[column] for value in values] for column in (0, 1)]
        figures = [function(column) for column in columns for function in (min, statistics.median)]
        print(f"{name:14} " + " ".join(f"{figure:9.3f}" for figure in figures) + f" {ROUTES / figures[2]:10.0f}")
    for verb in ("add", "list", "delete"):
        ours, theirs = (
            [min(value[column] for value in times[f"{who}_{verb}"]) for column in (0, 1)] for who in ("ours", "ip")
        )
        print(f"{verb}: ip takes {theirs[0] / ours[0]:.2f} times the CPU and {theirs[1] / ours[1]:.2f} times the time")


def main() -> None:
    namespace = anonymous_namespace()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(namespace, Path(directory))
        report(measure(bench))
    os.close(namespace)


if __name__ == "__main__":
    main()
