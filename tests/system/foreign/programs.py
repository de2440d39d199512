"""Other packet filters as they are shipped: iptables-nft, firewalld and Docker, run in the namespaces of a lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tortie.netlink.namespace import inside

_REPOSITORY = Path(__file__).parents[3]
_UNPACKED = _REPOSITORY / ".venv" / "foreign"
_LIBRARIES = _UNPACKED / "usr" / "lib"
_PATIENCE = 30.0
_BUS = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""
_DOCKERD = """
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
exec dockerd --data-root {0}/data --exec-root {0}/run --pidfile {0}/pid --host unix://{0}/docker.sock \
  --config-file {0}/daemon.json --storage-driver vfs --experimental --ip6tables
"""
"""In a mount namespace of its own, since it asks for one hierarchy of control groups."""


class Place:
    """A network namespace in which programs of other people run, with what they find there.

    Args:
        folder: theirs to write in.
        variables: besides those of this process.
    """

    def __init__(self, namespace: Path, folder: Path, variables: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self._namespace = namespace
        self._variables = {**os.environ, **_variables(folder), **variables}

    def run(self, *command: str, given: str = "") -> str:
        """What a program prints."""
        with inside(self._namespace):
            done = subprocess.run(
                command, input=given, env=self._variables, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, *command: str, until: Callable[[], bool]) -> Iterator[None]:
        """A daemon, and its end by SIGTERM."""
        log = self.folder / f"{Path(command[0]).name}.log"
        with log.open("wb") as output, inside(self._namespace):
            process = subprocess.Popen(command, env=self._variables, stdout=output, stderr=output)
        try:
            _wait(lambda: process.poll() is not None or until(), log)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def iptables(namespace: Path, folder: Path) -> Place:
    """Where `iptables`, `ip6tables` and their like are those that write to nf_tables."""
    unpack("iptables")
    _link_iptables(folder)
    return Place(namespace, folder)


@contextmanager
def firewalld(namespace: Path, folder: Path) -> Iterator[Place]:
    """firewalld as Debian configures it, on a bus of its own."""
    unpack("firewalld", "python3-firewall", "python3-nftables")
    settings, bus = folder / "firewalld", folder / "bus"
    shutil.copytree(_UNPACKED / "etc" / "firewalld", settings)
    (folder / "bus.conf").write_text(_BUS.format(socket=bus))
    variables = {
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}",
        "PYTHONPATH": str(_LIBRARIES / "python3" / "dist-packages"),
    }
    place = Place(namespace, folder, variables)
    own = "--system-config", str(settings), "--default-config", str(_LIBRARIES / "firewalld")
    log = "--log-file", str(folder / "messages.log")
    daemon = "/usr/bin/python3", str(_UNPACKED / "usr" / "sbin" / "firewalld"), "--nofork", "--nopid", *own, *log
    with (
        place.running("dbus-daemon", "--nofork", f"--config-file={folder / 'bus.conf'}", until=bus.exists),
        place.running(*daemon, until=lambda: _answers(place, *FIREWALL, "--state")),
    ):
        yield place


FIREWALL = "/usr/bin/python3", str(_UNPACKED / "usr" / "bin" / "firewall-cmd")
"""The command of firewalld's users."""


@contextmanager
def docker(namespace: Path, folder: Path) -> Iterator[Place]:
    """Docker with its bridge, writing rules of both families through iptables-nft."""
    unpack("iptables", "docker.io", "containerd", "runc")
    _link_iptables(folder)
    (folder / "daemon.json").write_text("{}")
    place = Place(namespace, folder, {"DOCKER_HOST": f"unix://{folder / 'docker.sock'}"})
    daemon = "unshare", "--mount", "sh", "-c", _DOCKERD.format(folder)
    with place.running(*daemon, until=lambda: _answers(place, "docker", "version")):
        yield place


def unpack(*packages: str) -> None:
    """Have these packages at hand."""
    subprocess.run([_REPOSITORY / "tools" / "unpack.sh", _UNPACKED, *packages], check=True)


def _variables(folder: Path) -> dict[str, str]:
    paths: Sequence[str] = (
        str(folder / "bin"),
        *(str(_UNPACKED / "usr" / where) for where in ("bin", "sbin")),
        os.environ["PATH"],
    )
    extensions = next(iter(_LIBRARIES.glob("*/xtables")), _LIBRARIES)
    return {"PATH": ":".join(paths), "XTABLES_LIBDIR": str(extensions)}


def _link_iptables(folder: Path) -> None:
    (folder / "bin").mkdir()
    for family in ("iptables", "ip6tables"):
        for name in (family, f"{family}-save", f"{family}-restore"):
            (folder / "bin" / name).symlink_to(_UNPACKED / "usr" / "sbin" / "xtables-nft-multi")


def _answers(place: Place, *command: str) -> bool:
    try:
        place.run(*command)
    except AssertionError:
        return False
    return True


def _wait(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
