"""What of this host keeps traffic or the agent from working as wanted: one table of checks, each with its remedy.

Nothing is changed. Each check looks at the network namespace of its thread. `tortie doctor` shows all; an agent tells
of those that found an error in its report.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tortie.agent.checks import run_checks
from tortie.base.errors import TortieError
from tortie.netlink import links
from tortie.netlink.links import Link
from tortie.netlink.nftables_dump import read_base_chains
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket

OVERHEAD = {"vxlan.calico": 50, "vxlan-v6.calico": 70, "tunl0": 20, "wireguard.cali": 60, "wg-v6.cali": 80}
"""Bytes that encapsulation adds: VXLAN over IPv4 and IPv6 (RFC 7348), IP in IP (RFC 2003), WireGuard."""

BGP_PORT = 179
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
"""NFPROTO_* of linux/netfilter.h, as nft(8) calls them."""

_JUDGING = (1, 2)
"""Hooks input and forward."""

_LISTENING = "0A"
_FULL, _NEARLY_FULL = 0.95, 0.8
_LEAST_BYTES = 64 << 20
_UNSYNCHRONISED = 0x0040
"""STA_UNSYNC of adjtimex(2)."""


class State(enum.StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    """How one check went.

    Args:
        cause: what is wrong, or what is well, in a sentence.
        evidence: what was seen.
        fix: a command, or what to do; empty when nothing need be done.
    """

    check: str
    state: State
    cause: str
    evidence: str = ""
    fix: str = ""


class Surroundings(msgspec.Struct, frozen=True):
    """Where checks look.

    Args:
        prefix: how names of workload interfaces begin.
        run_directory: of the agent.
        speaks_bgp: whether the agent works with BIRD; else the port may be anybody's.
    """

    proc: Path = Path("/proc")
    etc: Path = Path("/etc")
    prefix: str = "cali"
    run_directory: Path = Path("/run/tortie")
    speaks_bgp: bool = True


Look = Callable[[Surroundings], Finding]


def host_findings(where: Surroundings) -> list[Finding]:
    """Every check of the table, of the thread's network namespace. What cannot be looked at is unknown."""
    return [_looked(name, look, where) for name, look in CHECKS]


def _looked(name: str, look: Look, where: Surroundings) -> Finding:
    try:
        return msgspec.structs.replace(look(where), check=name)
    except (OSError, TortieError, ValueError) as error:
        return Finding(name, State.UNKNOWN, "cannot be looked at", str(error), "run it as root on the host")


def _ok(cause: str, evidence: str = "") -> Finding:
    return Finding("", State.OK, cause, evidence)


def forwarding(where: Surroundings) -> Finding:
    """Without it no packet passes from a workload to another."""
    wanted = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
    off = [name for name in wanted if _sysctl(where, name) == "0"]
    if not off:
        return _ok("packets are forwarded")
    cause = "the kernel forwards nothing between interfaces"
    return Finding("", State.ERROR, cause, ", ".join(f"{name} = 0" for name in off), _sysctl_fix(off, "1"))


def reverse_path(where: Surroundings) -> Finding:
    """Strict filtering drops what comes in by another interface than answers leave by."""
    root = where.proc / "sys/net/ipv4/conf"
    names = sorted(path.name for path in root.iterdir() if path.name not in ("all", "default", "lo"))
    everywhere = int(_sysctl(where, "net.ipv4.conf.all.rp_filter") or 0)
    found = {name: int((root / name / "rp_filter").read_text()) for name in names}
    strict = [name for name, own in found.items() if max(own, everywhere) == 1 and not name.startswith(where.prefix)]
    if not strict:
        return _ok("no uplink filters strictly by reverse path")
    setting = "net.ipv4.conf.all.rp_filter" if everywhere == 1 else f"net.ipv4.conf.{strict[0]}.rp_filter"
    return Finding(
        "",
        State.WARNING,
        "packets that arrive by another interface than answers leave by are dropped (several uplinks, tunnels)",
        f"rp_filter is strict on {_some(strict)}",
        f"sysctl -w {setting}=2",
    )


def conntrack_table(where: Surroundings) -> Finding:
    """A full table drops every new connection."""
    used, most = _sysctl(where, "net.netfilter.nf_conntrack_count"), _sysctl(where, "net.netfilter.nf_conntrack_max")
    if not used or not most or int(most) == 0:
        return Finding("", State.UNKNOWN, "connection tracking is not loaded", fix="modprobe nf_conntrack")
    share = int(used) / int(most)
    evidence = f"{used} of {most} connections"
    if share < _NEARLY_FULL:
        return _ok("the table of connections has room", evidence)
    state = State.ERROR if share >= _FULL else State.WARNING
    fix = f"sysctl -w net.netfilter.nf_conntrack_max={int(most) * 2}"
    return Finding("", state, "new connections are dropped when the table of connections is full", evidence, fix)


def mtu(where: Surroundings) -> Finding:
    """What is encapsulated must fit the interface below."""
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        devices = links.list_links(socket)
    overlays = [one for one in devices if one.name in OVERHEAD and one.up]
    outer = [one for one in devices if _is_uplink(one, where.prefix)]
    if not overlays or not outer:
        return _ok("nothing is encapsulated here")
    least = min(outer, key=lambda one: one.mtu)
    for one in overlays:
        most = least.mtu - OVERHEAD[one.name]
        if one.mtu > most:
            evidence = f"{one.name} has {one.mtu}, {least.name} {least.mtu}, encapsulation takes {OVERHEAD[one.name]}"
            cause = "large packets do not fit the interface below when they are encapsulated"
            return Finding("", State.ERROR, cause, evidence, f"ip link set {one.name} mtu {most}")
    return _ok("encapsulated packets fit", ", ".join(f"{one.name} {one.mtu}" for one in (*overlays, least)))


def checksum_offload(where: Surroundings) -> Finding:
    """Kernels before 5.7 get the outer checksum of encapsulated packets wrong with some network cards."""
    release = os.uname().release
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        names = [one.name for one in links.list_links(socket) if one.kind == "vxlan" and one.up]
    if version >= (5, 7) or not names:
        return _ok("this kernel computes checksums of encapsulated packets rightly", f"Linux {release}")
    cause = "some network cards send encapsulated packets with a wrong checksum under this kernel"
    fix = f"ethtool -K {names[0]} tx-checksum-ip-generic off"
    return Finding("", State.WARNING, cause, f"Linux {release}, {names[0]}", fix)


def foreign_tables(where: Surroundings) -> Finding:
    """What another table drops, ours cannot let through."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        dropping = [
            f"{FAMILIES.get(table.family, 'inet')} {table.name} {chain.name}"
            for table, chain in read_base_chains(socket)
            if table.name != "tortie" and chain.hook and chain.hook.number in _JUDGING and not chain.hook.accept
        ]
    if not dropping:
        return _ok("no other table drops by default what is forwarded or comes in")
    cause = "another program's table drops what nothing of its own lets through, whatever policy says"
    fix = f"nft list chain {dropping[0]}  # and let {where.prefix}* through there"
    return Finding("", State.WARNING, cause, _some(dropping), fix)


def network_manager(where: Surroundings) -> Finding:
    """It takes interfaces of workloads for its own, and their routes away, unless told not to."""
    if "NetworkManager" not in _running(where):
        return _ok("NetworkManager does not run")
    folder = where.etc / "NetworkManager"
    files = [folder / "NetworkManager.conf", *sorted((folder / "conf.d").glob("*.conf"))]
    told = [file for file in files if file.exists() and f"interface-name:{where.prefix}" in file.read_text()]
    if told:
        return _ok("NetworkManager leaves interfaces of workloads alone", str(told[0]))
    text = f"[keyfile]\\nunmanaged-devices=interface-name:{where.prefix}*;interface-name:tunl*;interface-name:vxlan*\\n"
    fix = f"printf '{text}' > {folder}/conf.d/tortie.conf && systemctl reload NetworkManager"
    cause = "NetworkManager runs and may change interfaces and routes of workloads"
    return Finding("", State.WARNING, cause, f"no unmanaged-devices for {where.prefix}* in {folder}", fix)


def clock(where: Surroundings) -> Finding:
    """Certificates, deadlines and records need the right time."""
    if _clock_state() & _UNSYNCHRONISED:
        cause = "nothing keeps the clock right: certificates, deadlines and records go by it"
        return Finding("", State.WARNING, cause, "adjtimex: STA_UNSYNC", "timedatectl set-ntp true")
    return _ok("the clock is kept right")


def bgp_port(where: Surroundings) -> Finding:
    """BIRD must be able to listen, and nobody else may."""
    if not where.speaks_bgp:
        return _ok("this agent works without BIRD")
    sockets = set(_listeners(where, BGP_PORT))
    owners = {name for name, held in _holders(where) if held & sockets}
    if not sockets:
        return _ok("nobody listens on port 179", "no BGP here, or BIRD does not run")
    others = sorted(owners - {"bird"})
    if others:
        cause = "another program takes the port of BGP, so that BIRD hears no neighbour"
        return Finding("", State.ERROR, cause, f"listening: {_some(others)}", f"systemctl stop {others[0]}")
    return _ok("BIRD listens on port 179" if owners else "somebody listens on port 179 whom this user may not see")


def disk(where: Surroundings) -> Finding:
    """The agent keeps what it must remember beside its sockets."""
    folder = next(path for path in (where.run_directory, *where.run_directory.parents) if path.exists())
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free >= _LEAST_BYTES:
        return _ok("the run directory has room", f"{free >> 20} MiB free in {folder}")
    cause = "the agent cannot write down what it must remember"
    return Finding("", State.ERROR, cause, f"{free >> 20} MiB free in {folder}", f"du -xh {folder} | sort -h | tail")


def _sysctl(where: Surroundings, name: str) -> str:
    """A setting of the kernel; empty where there is none."""
    path = where.proc / "sys" / name.replace(".", "/")
    return path.read_text().strip() if path.exists() else ""


def _sysctl_fix(names: Sequence[str], value: str) -> str:
    return "sysctl -w " + " ".join(f"{name}={value}" for name in names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _is_uplink(link: Link, prefix: str) -> bool:
    ours = link.name in OVERHEAD or link.name.startswith(prefix)
    return link.up and link.name != "lo" and not ours and not link.master and link.kind not in ("bridge", "dummy")


def _running(where: Surroundings) -> set[str]:
    return {name for _, name in _processes(where)}


def _processes(where: Surroundings) -> Iterator[tuple[Path, str]]:
    for folder in where.proc.iterdir():
        if folder.name.isdigit():
            try:
                yield folder, (folder / "comm").read_text().strip()
            except OSError:  # it ended meanwhile
                continue


def _listeners(where: Surroundings, port: int) -> Iterator[str]:
    """Inode numbers of sockets that listen on a port (proc_net_tcp of the kernel's documentation)."""
    for name in ("tcp", "tcp6"):
        path = where.proc / "thread-self" / "net" / name
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            words = line.split()
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def _holders(where: Surroundings) -> Iterator[tuple[str, set[str]]]:
    """Names of programs, and the sockets that each has open."""
    for folder, name in _processes(where):
        opened = _opened(folder / "fd")
        yield name, {one[8:-1] for one in opened if one.startswith("socket:[")}


def _opened(folder: Path) -> Iterator[str]:
    """What a process has open, as far as it may be seen."""
    try:
        paths = list(folder.iterdir())
    except OSError:
        return
    for path in paths:
        with contextlib.suppress(OSError):  # closed meanwhile
            yield str(path.readlink())


def _clock_state() -> int:
    """The status word of adjtimex(2), asked without changing anything."""
    # struct timex begins: modes (int, padded), offset, freq, maxerror, esterror (long), status (int).
    buffer = ctypes.create_string_buffer(512)
    ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    return int(ctypes.c_int.from_buffer(buffer, 5 * ctypes.sizeof(ctypes.c_long)).value)


CHECKS: tuple[tuple[str, Look], ...] = (
    ("forwarding", forwarding),
    ("reverse path filter", reverse_path),
    ("connection table", conntrack_table),
    ("MTU", mtu),
    ("checksum offload", checksum_offload),
    ("foreign tables", foreign_tables),
    ("NetworkManager", network_manager),
    ("clock", clock),
    ("BGP port", bgp_port),
    ("disk", disk),
)
"""What to look at, in the order in which it is told."""


def kernel_findings() -> list[Finding]:
    """What the kernel can do, tried in a namespace of its own. Needs root."""
    return [
        Finding(
            one.name,
            (State.ERROR if one.required else State.WARNING) if one.problem else State.OK,
            "this machine cannot do it" if one.problem else "works here",
            one.problem,
            one.remedy if one.problem else "",
        )
        for one in run_checks()
    ]
