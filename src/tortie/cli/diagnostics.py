"""A node's or a cluster's state as one archive, to be looked at later or by somebody else. Holds no secrets of ours."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tortie.base.errors import InvalidResource, Problem

NODE_COMMANDS: Mapping[str, str] = {
    "system/date": "date --iso-8601=seconds",
    "system/kernel": "uname -a",
    "system/release": "cat /etc/os-release",
    "system/memory": "cat /proc/meminfo",
    "system/modules": "cat /proc/modules",
    "system/processes": "ps auxww",
    "network/links": "ip -d -s link",
    "network/addresses": "ip address",
    "network/routes4": "ip -4 route show table all",
    "network/routes6": "ip -6 route show table all",
    "network/rules4": "ip -4 rule",
    "network/rules6": "ip -6 rule",
    "network/neighbours": "ip neighbour",
    "network/sockets": "ss -s",
    "network/sysctls": "sysctl net.ipv4 net.ipv6.conf net.netfilter",
    "filter/nftables": "nft list ruleset",
    "filter/iptables": "iptables-save",
    "filter/connections": "conntrack -S",
    "bird/protocols": "birdc show protocols all",
    "bird/routes": "birdc show route all",
    "agent/settings": "tortie-agent --show-settings",
    "agent/log": "journalctl --unit tortie-agent --no-pager --lines 5000",
}
"""File in the archive, and the program that fills it."""

SECONDS = 20
"""How long one program may take."""


def node_files() -> Iterator[tuple[str, bytes]]:
    """Every file and its content; a program that is missing or fails leaves the reason."""
    for file, command in NODE_COMMANDS.items():
        yield file, _output(command)


def write_archive(folder: Path, name: str, files: Iterator[tuple[str, bytes]]) -> Path:
    """Make `<name>-<time>.tar.gz` in a folder, readable by its owner only.

    Raises:
        InvalidResource: it cannot be written.
    """
    stem = f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    path = folder / f"{stem}.tar.gz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with tarfile.open(path, "w:gz") as archive:
            for file, content in files:
                member = tarfile.TarInfo(f"{stem}/{file}")
                member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
                archive.addfile(member, io.BytesIO(content))
    except OSError as error:
        raise InvalidResource(Problem(str(path), "", f"cannot be written: {error.strerror}")) from error
    return path


def _output(command: str) -> bytes:
    program, *arguments = command.split()
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        return f"{program}: is not installed\n".encode()
    try:
        done = subprocess.run([found, *arguments], check=False, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command}: {error}\n".encode()
    status = f"\n{command}: status {done.returncode}\n".encode() if done.returncode else b""
    return done.stdout + done.stderr + status
