"""Can this machine do what an agent needs? Each check does it, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from tortie.base.errors import TortieError
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.dataplane.wireguard.userspace import find_program
from tortie.desired.state import DesiredState
from tortie.netlink import conntrack, links
from tortie.netlink.batch import execute
from tortie.netlink.links import NewLink
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket
from tortie.netlink.wire import u32

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_INSTANCES = 128

VXLAN_NUMBER = u32(1, 4096)
"""IFLA_VXLAN_ID of linux/if_link.h: any number will do."""


class Refused(TortieError):
    """This machine cannot, for a reason in words."""


class Check(msgspec.Struct, frozen=True):
    """One thing to try.

    Args:
        name: what an operator would call it.
        probe: does it; raises TortieError or OSError when it cannot be done.
        remedy: what would help.
        required: whether an agent cannot work without.
    """

    name: str
    probe: Callable[[], None]
    remedy: str
    required: bool = True


class Outcome(msgspec.Struct, frozen=True):
    """How one check went; an empty problem is well."""

    name: str
    problem: str
    remedy: str
    required: bool


def run_checks() -> tuple[Outcome, ...]:
    """Try everything in the table. Needs root."""
    namespace = anonymous_namespace()
    try:
        with inside(namespace):
            return tuple(_outcome(check) for check in CHECKS)
    finally:
        os.close(namespace)


def _outcome(check: Check) -> Outcome:
    try:
        check.probe()
    except (TortieError, OSError) as error:
        return Outcome(check.name, str(error), check.remedy, check.required)
    return Outcome(check.name, "", check.remedy, check.required)


def _packet_filter() -> None:
    target = NftablesTarget()
    try:
        plan = target.plan(DesiredState(), target.read(), None)
        target.apply(plan.operations)
    finally:
        target.connection.close()


def _connection_tracking() -> None:
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        conntrack.count(socket)


def _devices(kind: str, data: bytes = b"") -> Callable[[], None]:
    def probe() -> None:
        with NetlinkSocket(NETLINK_ROUTE) as socket:
            execute(socket, links.create(NewLink(f"tt-{kind}"), kind, data))

    return probe


def _wireguard() -> None:
    """Of the kernel, or of the program that stands for it."""
    if find_program() is None:
        _devices("wireguard")()


def _ipv6() -> None:
    if not Path("/proc/thread-self/net/if_inet6").exists():
        raise Refused("the kernel was started without IPv6")


def _forwarding() -> None:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    path.write_text("1")
    if path.read_text().strip() != "1":
        raise Refused(f"{path} does not keep what is written")


def _bird() -> None:
    program = shutil.which("bird") or shutil.which("bird", path="/usr/sbin:/sbin")
    if program is None:
        raise Refused("there is no program `bird`")
    shown = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    version = (shown.stdout + shown.stderr).strip()
    if "version 2." not in version and "version 3." not in version:
        raise Refused(f"{program} is {version}")


def _inotify() -> None:
    allowed = int(INOTIFY_INSTANCES.read_text())
    if allowed < ENOUGH_INSTANCES:
        raise Refused(f"fs.inotify.max_user_instances is {allowed}")


def _root() -> None:
    if os.geteuid() != 0:
        raise Refused("not run as root")


CHECKS = (
    Check("root", _root, "run the agent as root"),
    Check("packet filter (nf_tables)", _packet_filter, "use a kernel of at least 5.17 with nf_tables"),
    Check("connection tracking", _connection_tracking, "modprobe -a nf_conntrack nf_conntrack_netlink"),
    Check("veth devices", _devices("veth"), "modprobe veth"),
    Check("IPv6", _ipv6, "start the kernel without ipv6.disable=1", required=False),
    Check("forwarding", _forwarding, "let the agent write /proc/sys/net"),
    Check("BIRD 2", _bird, "apt-get install bird2; not needed where nothing speaks BGP", required=False),
    Check("inotify", _inotify, f"sysctl fs.inotify.max_user_instances={ENOUGH_INSTANCES}", required=False),
    Check("VXLAN devices", _devices("vxlan", VXLAN_NUMBER), "modprobe vxlan; only overlays need it", required=False),
    Check("IP-in-IP devices", _devices("ipip"), "modprobe ipip; only overlays need it", required=False),
    Check("WireGuard devices", _wireguard, "modprobe wireguard, or apt-get install wireguard-go", required=False),
)
"""What to try, in the order in which it is told."""
