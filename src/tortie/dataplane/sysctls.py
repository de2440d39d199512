"""Settings of the kernel's network stack that routing to workloads needs, as tables; and files that hold them.

Documented in the kernel's ip-sysctl text. Paths are relative to /proc/sys/net, whose content is that of the
calling thread's network namespace.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tortie.base.errors import KernelError

ROOT = Path("/proc/sys/net")

NODE: Mapping[str, str] = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
}
"""Of the whole node. Before those of interfaces, which these reset."""

WORKLOAD: Mapping[str, str] = {
    # The host answers for the workload's gateway, 169.254.1.1, which nobody has.
    "ipv4/conf/{}/proxy_arp": "1",
    "ipv4/neigh/{}/proxy_delay": "0",
    "ipv4/conf/{}/forwarding": "1",
    # Lets address translation send a workload's packets to 127.0.0.0/8 of the host.
    "ipv4/conf/{}/route_localnet": "1",
    # A source address that is not routed back out of this interface is forged.
    "ipv4/conf/{}/rp_filter": "1",
    "ipv6/conf/{}/proxy_ndp": "1",
    "ipv6/conf/{}/forwarding": "1",
    # A workload must not configure its host.
    "ipv6/conf/{}/accept_ra": "0",
    # The workload's gateway, the link-local address, is usable at once.
    "ipv6/conf/{}/accept_dad": "0",
}
"""Of each workload's interface, whose name stands for the braces."""


def of_workload(interface: str, *, spoofing: bool, moving: bool = False) -> dict[str, str]:
    """Settings of one interface.

    Args:
        spoofing: it may use sources that are not routed to it.
        moving: its addresses may be routed to the other host of a migration; the packet filter still knows them.
    """
    settings = {template.format(interface): value for template, value in WORKLOAD.items()}
    if spoofing or moving:
        # Loose mode (2) is no help: it is strict for interfaces without an address of their own, such as these.
        settings[f"ipv4/conf/{interface}/rp_filter"] = "0"
    return settings


class Sysctls(msgspec.Struct, frozen=True):
    """The files, under `root`."""

    root: Path = ROOT

    def read(self, names: Iterable[str]) -> dict[str, str]:
        """Values of those settings that exist. Raises KernelError."""
        found = {}
        for name in names:
            try:
                found[name] = (self.root / name).read_text().strip()
            except OSError as error:
                if not _is_absent(error):
                    raise KernelError(f"read sysctl {name}", error.errno or errno.EIO) from error
        return found

    def write(self, name: str, value: str) -> None:
        """Set a value. Does nothing when the interface is gone or lacks the family. Raises KernelError."""
        try:
            (self.root / name).write_text(value)
        except OSError as error:
            if not _is_absent(error):
                raise KernelError(f"set sysctl {name} to {value}", error.errno or errno.EIO) from error


def _is_absent(error: OSError) -> bool:
    return error.errno in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)
