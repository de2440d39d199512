"""The steps of the demonstration, each told as it happens; a step that does not show what it should says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tortie.agent.client import ask
from tortie.base.errors import TortieError
from tortie.lab.demo import resolver, table
from tortie.lab.demo.scene import ALLOWED, EXAMPLES, LOCKDOWN, MANIFESTS, RESOLVER, SERVICES
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe
from tortie.lab.probe.watch import FIRST_ALLOWED, FIRST_REFUSED, Watch
from tortie.lab.services import AGENT, AgentServices

Say = Callable[[str], None]


class NotShown(TortieError):
    """The network did not do what the demonstration says it does."""


class Demonstration:
    """All steps, on a lab that is up.

    Args:
        lab: the lab.
        services: how its agents are started again.
        say: prints a line.
    """

    def __init__(self, lab: Lab, services: AgentServices, say: Say) -> None:
        self._lab = lab
        self._services = services
        self._say = say

    def run(self) -> None:
        """Everything but raising the lab. Raises NotShown."""
        self._prepare()
        for number, (title, step) in enumerate(self._steps(), 1):
            self._say(f"\n{number}. {title}\n")
            step()

    def _steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("Three hosts, two namespaces of workloads, IPv4 and IPv6; BGP, no encapsulation", self.hosts),
            ("Policies of a three-tier application", self.policy),
            ("A workload moves to another host", self.move),
            ("A policy changes", self.change),
            ("An agent is killed with -9 during traffic", self.crash),
        ]

    def hosts(self) -> None:
        """Routing: sessions established, plain routes."""
        self._say(self._command("lab", "status", "--name", self._lab.topology.name))
        for family in ("-4", "-6"):
            routes = self._lab.exec("h1", ["ip", family, "route", "show", "proto", "bird"]).stdout
            learned = [line.strip() for line in routes.splitlines() if " via " in line]
            self._say(f"\nh1 has learned {len(learned)} routes, such as:  {learned[0] if learned else '(none)'}")
            self._check(bool(learned) and " encap " not in routes, "routes are learned and carry no encapsulation")

    def policy(self) -> None:
        """The truth table before and after the application's policies."""
        self._say("Before any policy everyone reaches everyone ('.' reached, 'X' not; IPv4 and IPv6 alike):\n")
        everything = {(source, to) for source in SERVICES for to in SERVICES if source != to and source != RESOLVER}
        everything |= {(RESOLVER, to) for to in SERVICES if to != RESOLVER}
        self._show_table(everything)
        self._say(f"\n$ tortie apply -f {_shown(MANIFESTS)}\n{self._command('apply', '-f', str(MANIFESTS))}\n")
        self._show_table(ALLOWED)
        told = resolver.ask_all(self._lab, ["web-1"], table.address(self._lab, RESOLVER, 4), "db-1.shop")["web-1"]
        self._say(
            f"\nName service answers through it all: web-1 asks dns for db-1.shop and is told {told or 'nothing'}."
        )
        self._check(told == table.address(self._lab, "db-1", 4), "the resolver answers with the database's address")
        self._say("batch -> db-1 is allowed by the shop's own policy `db`, and denied by the tier `security` above it.")

    def move(self) -> None:
        """A workload changes its host under a stream of requests."""
        probe = self._probe("web-1", "api-1")
        with self._lab.prober.stream(probe) as stream:
            time.sleep(0.5)
            attachment = self._lab.move("api-1", "h1")
            time.sleep(1.5)
            report = stream.stop()
        self._say(
            f"api-1 moved from h2 to {attachment.host} under one TCP connection of web-1 with a request every 2 ms:\n"
            f"{report.sent} requests, outage {report.longest:.0f} ms, {report.lost} lost, "
            f"the connection {'broke: ' + report.broken if report.broken else 'lived on'}."
        )
        self._check(not report.broken and report.longest < 3000, "the connection survives the move")

    def change(self) -> None:
        """How soon a policy is in force everywhere."""
        watching = self._lab.prober.watch(self._probe("web-2", "api-1"), Watch(FIRST_REFUSED.until, within=10))
        time.sleep(0.3)
        began = time.monotonic()
        self._command("apply", "-f", str(LOCKDOWN))
        returned = time.monotonic()
        sighting = watching.result()
        if sighting is None:
            raise NotShown("no connection was refused within 10 s of the policy change")
        after_return = (sighting.started - returned) * 1000
        self._say(
            f"$ tortie apply -f {_shown(LOCKDOWN)}    ({(returned - began) * 1000:.0f} ms)\n"
            f"The first new connection refused was opened {abs(after_return):.0f} ms "
            f"{'after' if after_return >= 0 else 'before'} `apply` returned ({sighting.tried} were allowed before it)."
        )
        self._say(f"$ tortie delete -f {_shown(LOCKDOWN)}    (as it was before)")
        self._command("delete", "-f", str(LOCKDOWN))
        self._check(table.is_as_expected(table.settle(self._lab, ALLOWED), ALLOWED), "deleting the policy undoes it")

    def crash(self) -> None:
        """An agent dies and comes back under traffic."""
        host = self._lab.attachment("web-2").host
        place = self._lab.place(host)
        before = self._ruleset(host)
        allowed = self._lab.prober.stream(self._probe("monitor", "web-2"))
        newly = self._lab.prober.watch(self._probe("batch", "db-1"), Watch(FIRST_ALLOWED.until, within=4))
        pid = ask(place.directory).pid
        place.kill(AGENT)
        time.sleep(1.5)
        self._services.start_agent(place)
        self._lab.wait_ready()
        opened = newly.result()
        report = allowed.stop()
        filtering = next(target for target in ask(place.directory).targets if target.name == "nftables")
        self._say(
            f"The agent of {host} (process {pid}) was killed with -9 for 1.5 s, then started again:\n"
            f"allowed traffic: {report.sent} requests, {report.lost} lost; "
            f"denied connections that opened: {'none' if opened is None else 'one'}; "
            f"rules rewritten after the restart: {filtering.operations}."
        )
        self._check(report.lost == 0 and not report.broken, "no allowed packet is lost")
        self._check(opened is None, "no denied connection opens")
        self._check(self._ruleset(host) == before and not filtering.operations, "no rule is rewritten")

    def _prepare(self) -> None:
        for name, service in SERVICES.items():
            if name != RESOLVER:
                self._lab.prober.listen(name, service.port)
        names = {f"{name}.shop": self._lab.attachment(name).addresses for name in ("web-1", "web-2", "api-1", "db-1")}
        resolver.start(self._lab, RESOLVER, names)

    def _show_table(self, allowed: frozenset[table.Pair] | set[table.Pair]) -> None:
        found = table.settle(self._lab, allowed)
        self._say(table.text(found))
        self._check(table.is_as_expected(found, allowed), "the table is what the policies say")

    def _probe(self, source: str, to: str) -> Probe:
        service = SERVICES[to]
        return Probe(source, table.address(self._lab, to, 4), service.transport, service.port)

    def _ruleset(self, host: str) -> str:
        """The rules with their handles, which change whenever a rule is written; counters are left out."""
        return self._lab.exec(host, ["nft", "-s", "-a", "list", "table", "inet", "tortie"]).stdout

    def _command(self, *arguments: str) -> str:
        environment = {**os.environ, "TORTIE_DATASTORE": str(self._lab.topology.datastore)}
        program = Path(sys.executable).with_name("tortie")
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotShown(f"tortie {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.rstrip()

    def _check(self, shown: bool, what: str) -> None:
        if not shown:
            raise NotShown(f"NOT SHOWN: {what}")


def _shown(path: Path) -> str:
    """As one would type it in the project's folder."""
    return str(path.relative_to(EXAMPLES.parent))
