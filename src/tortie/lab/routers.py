"""Routers of others on hosts of a lab, for hosts to peer with: FRR, GoBGP and BIRD, as Debian packages them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tortie.base.errors import Unavailable
from tortie.bgp.control import BirdControl
from tortie.lab.place import HostServices, Place

FRR = Path("/usr/lib/frr")
"""Where Debian puts its daemons."""

FRR_SHELL = "vtysh"

_PATIENCE = 10.0
_LOOK_AGAIN = 0.01


class Router(Protocol):
    """A router that is no host of the cluster."""

    def start(self, place: Place) -> None:
        """Start what does not run; does not wait."""

    def stop(self, place: Place) -> None:
        """End it in good order."""

    def kill(self, place: Place) -> None:
        """Crash it."""

    def ready(self, place: Place) -> bool:
        """Whether it answers."""


class Frr(msgspec.Struct, frozen=True):
    """FRR: zebra, which programs the kernel, and bgpd. Sockets and files are all in the host's directory.

    The daemons give up their privileges, so the user `frr` must be able to reach that directory.

    Args:
        configuration: of bgpd, in its own words.
        bfd: whether bfdd runs too.
    """

    configuration: str
    bfd: bool = False

    def start(self, place: Place) -> None:
        """Start what does not run; does not wait. Raises OSError: FRR is not installed."""
        directory = _directory(place)
        directory.mkdir(exist_ok=True)
        (directory / "zebra.conf").write_text(f"hostname {place.host.name}\n")
        (directory / "bfdd.conf").write_text(f"hostname {place.host.name}\n")
        (directory / "bgpd.conf").write_text(f"hostname {place.host.name}\n{self.configuration}")
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, "frr", "frr")
        if not place.alive("zebra"):
            place.start("zebra", _daemon(directory, "zebra"))
        # The others look for zebra again after a while only.
        _await_socket(directory / "zserv.api")
        if self.bfd and not place.alive("bfdd"):
            place.start("bfdd", [*_daemon(directory, "bfdd"), "--bfdctl", str(directory / "bfdd.sock")])
        if not place.alive("bgpd"):
            place.start("bgpd", _daemon(directory, "bgpd"))

    def stop(self, place: Place) -> None:
        """End all in good order; bgpd takes its routes along."""
        place.stop("bgpd")
        place.stop("bfdd")
        place.stop("zebra")

    def kill(self, place: Place) -> None:
        """Crash bgpd; zebra keeps its routes until it hears of it."""
        place.kill("bgpd")

    def ready(self, place: Place) -> bool:
        """Whether bgpd answers."""
        try:
            self.ask(place, "show bgp summary json")
        except Unavailable:
            return False
        return True

    @staticmethod
    def ask(place: Place, command: str) -> Any:
        """What `vtysh -c COMMAND` says in JSON. Raises Unavailable."""
        return _json([FRR_SHELL, "--vty_socket", str(_directory(place)), "-c", command])

    @staticmethod
    def configure(place: Place, *lines: str) -> None:
        """Lines of configuration, as after `configure terminal`. Raises Unavailable."""
        words = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        _run([FRR_SHELL, "--vty_socket", str(_directory(place)), *words])


class GoBgp(msgspec.Struct, frozen=True):
    """GoBGP: it exchanges routes and programs none.

    Args:
        configuration: in TOML, as gobgpd reads it.
    """

    configuration: str

    def start(self, place: Place) -> None:
        """Start it if it does not run; does not wait. Raises OSError: GoBGP is not installed."""
        if place.alive("gobgpd"):
            return
        directory = place.directory
        (directory / "gobgpd.toml").write_text(self.configuration)
        _socket(place).unlink(missing_ok=True)
        argv = ["gobgpd", "-f", str(directory / "gobgpd.toml"), "--pprof-disable", "--api-hosts"]
        place.start("gobgpd", [*argv, f"unix://{_socket(place)}"])

    def stop(self, place: Place) -> None:
        """End it in good order."""
        place.stop("gobgpd")

    def kill(self, place: Place) -> None:
        """Crash it."""
        place.kill("gobgpd")

    def ready(self, place: Place) -> bool:
        """Whether it answers."""
        try:
            self.ask(place, "global")
        except Unavailable:
            return False
        return True

    @staticmethod
    def ask(place: Place, *words: str) -> Any:
        """What `gobgp WORDS` says in JSON. Raises Unavailable."""
        return _json(["gobgp", "--target", f"unix://{_socket(place)}", "-j", *words])

    @staticmethod
    def order(place: Place, *words: str) -> None:
        """Run `gobgp WORDS`. Raises Unavailable."""
        _run(["gobgp", "--target", f"unix://{_socket(place)}", *words])


class Bird(msgspec.Struct, frozen=True):
    """A BIRD that no agent configures.

    Args:
        configuration: in its own words.
    """

    configuration: str

    def start(self, place: Place) -> None:
        """Start it if it does not run; does not wait. Raises OSError."""
        if place.alive("bird"):
            return
        file = place.directory / "router.conf"
        file.write_text(self.configuration)
        place.start("bird", ["bird", "-f", "-c", str(file), "-s", str(self.socket(place))])

    def stop(self, place: Place) -> None:
        """End it in good order."""
        place.stop("bird")

    def kill(self, place: Place) -> None:
        """Crash it."""
        place.kill("bird")

    def ready(self, place: Place) -> bool:
        """Whether it answers."""
        try:
            with BirdControl(self.socket(place)):
                return True
        except Unavailable:
            return False

    @staticmethod
    def socket(place: Place) -> Path:
        """Where it answers."""
        return place.directory / "router.ctl"


class WithRouters:
    """Hosts of a cluster, and routers among them.

    Args:
        hosts: services of those that are no routers; its topology should not hold these, or they become nodes.
        routers: by name of the host.
    """

    def __init__(self, hosts: HostServices, routers: Mapping[str, Router]) -> None:
        self._hosts = hosts
        self._routers = dict(routers)

    def start(self, place: Place) -> None:
        """As its kind does."""
        self._of(place).start(place)

    def stop(self, place: Place) -> None:
        """As its kind does."""
        self._of(place).stop(place)

    def kill(self, place: Place) -> None:
        """As its kind does."""
        self._of(place).kill(place)

    def ready(self, place: Place) -> bool:
        """As its kind does."""
        return self._of(place).ready(place)

    def hindrance(self, place: Place) -> str:
        """Routers take no workload at all."""
        return "it is a router" if place.host.name in self._routers else self._hosts.hindrance(place)

    def _of(self, place: Place) -> Router | HostServices:
        return self._routers.get(place.host.name, self._hosts)


def _directory(place: Place) -> Path:
    return place.directory / "frr"


def _socket(place: Place) -> Path:
    return place.directory / "gobgp.sock"


def _daemon(directory: Path, name: str) -> list[str]:
    """In the foreground, with nothing shared with an FRR of this machine, and no TCP port for people."""
    files = ["-f", f"{directory}/{name}.conf", "-i", f"{directory}/{name}.pid", "-z", f"{directory}/zserv.api"]
    return [str(FRR / name), *files, "--vty_socket", str(directory), "-P", "0", "--log", "stdout"]


def _await_socket(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)


def _json(argv: Sequence[str]) -> Any:
    try:
        return json.loads(_run(argv))
    except json.JSONDecodeError as error:
        raise Unavailable(f"{' '.join(argv)} says no JSON: {error}") from error


def _run(argv: Sequence[str]) -> str:
    """Raises Unavailable."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
