"""A container runtime's part of CNI: executes the plugins of a network one after another, as libcni does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tortie.lab.workload import PluginFailed
from tortie.netlink.namespace import inside

_PATIENCE = 60.0


class Chain(msgspec.Struct, frozen=True):
    """A network of one host.

    Args:
        host: where the host's network namespace is mounted.
        folders: where plugins are searched for.
        network: the network configuration list, as a runtime reads it from a file.
    """

    host: Path
    folders: Sequence[Path]
    network: Mapping[str, Any]

    def add(self, container: Container) -> dict[str, Any]:
        """The result of the last plugin. Raises PluginFailed."""
        result: dict[str, Any] | None = None
        for plugin in self.network["plugins"]:
            more = {} if result is None else {"prevResult": result}
            result = msgspec.json.decode(self.execute("ADD", plugin, container, more), type=dict[str, Any])
        assert result is not None, "a network has plugins"
        return result

    def delete(self, container: Container, result: Mapping[str, Any] | None = None) -> None:
        """In reverse order; the result is that of ADD. Raises PluginFailed."""
        more = {} if result is None else {"prevResult": result}
        for plugin in reversed(self.network["plugins"]):
            self.execute("DEL", plugin, container, more)

    def check(self, container: Container, result: Mapping[str, Any]) -> None:
        """Raises PluginFailed: something is not as ADD's result says."""
        for plugin in self.network["plugins"]:
            self.execute("CHECK", plugin, container, {"prevResult": result})

    def status(self) -> None:
        """Asks the first plugin alone: those of Debian 12 do not know the question. Raises PluginFailed."""
        self.execute("STATUS", self.network["plugins"][0], None, {})

    def collect(self, valid: Sequence[Container]) -> None:
        """GC of the first plugin; `valid` are the containers that the runtime knows. Raises PluginFailed."""
        known = [{"containerID": one.identity, "ifname": one.interface} for one in valid]
        self.execute("GC", self.network["plugins"][0], None, {"cni.dev/valid-attachments": known})

    def execute(
        self, command: str, plugin: Mapping[str, Any], container: Container | None, more: Mapping[str, Any]
    ) -> bytes:
        """One command of one plugin; what it answers. Raises PluginFailed."""
        about = {} if container is None else container.variables
        search = ":".join(map(str, self.folders))
        program = shutil.which(plugin["type"], path=search)
        if program is None:
            raise PluginFailed(f"{plugin['type']} is in none of {search}")
        with inside(self.host):
            done = subprocess.run(
                [program],
                input=msgspec.json.encode(self._configuration(plugin, container, more)),
                env={"PATH": os.environ.get("PATH", os.defpath), "CNI_COMMAND": command, "CNI_PATH": search, **about},
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        if done.returncode:
            raise PluginFailed((done.stdout + done.stderr).decode(errors="replace").strip())
        return done.stdout

    def _configuration(
        self, plugin: Mapping[str, Any], container: Container | None, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        asked = plugin.get("capabilities", {})
        given = {} if container is None else {name: one for name, one in container.wishes.items() if asked.get(name)}
        return {
            "cniVersion": self.network["cniVersion"],
            "name": self.network["name"],
            **{name: value for name, value in plugin.items() if name != "capabilities"},
            **({"runtimeConfig": given} if given else {}),
            **more,
        }


class Container(msgspec.Struct, frozen=True):
    """What a runtime says of a container.

    Args:
        arguments: CNI_ARGS.
        wishes: by capability; plugins that have it in their `capabilities` are told.
    """

    identity: str
    netns: Path | None
    interface: str = "eth0"
    arguments: str = "IgnoreUnknown=1"
    wishes: Mapping[str, Any] = {}

    @property
    def variables(self) -> dict[str, str]:
        """As plugins get them."""
        return {
            "CNI_CONTAINERID": self.identity,
            "CNI_NETNS": str(self.netns or ""),
            "CNI_IFNAME": self.interface,
            "CNI_ARGS": self.arguments,
        }
