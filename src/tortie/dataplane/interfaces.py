"""Target: links of local workloads are up and their sysctls, and those of the node, are as routing needs them."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import msgspec

from tortie.dataplane.sysctls import NODE, WORKLOAD, Sysctls, of_workload
from tortie.dataplane.target import Plan
from tortie.desired.endpoints import Endpoint, Migration
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import links
from tortie.netlink.batch import send_batch
from tortie.netlink.monitor import LinkTable
from tortie.netlink.socket import NetlinkSocket


class Set(msgspec.Struct, frozen=True, gc=False):
    """Give a sysctl a value; `interface` is empty, and `index` 0, for those of the node."""

    name: str
    value: str
    interface: str = ""
    index: int = 0


class Raise(msgspec.Struct, frozen=True, gc=False):
    """Set a link up."""

    interface: str


Operation = Set | Raise


class Known(msgspec.Struct, frozen=True):
    """One workload interface as last read or written: its index, and the values of the settings it has."""

    index: int
    settings: Mapping[str, str]


class Actual(msgspec.Struct):
    """What the kernel has, for the node and by interface name."""

    node: dict[str, str]
    interfaces: dict[str, Known]


class InterfacesTarget:
    """Links and sysctls.

    Args:
        current: links as of the last event heard, in the event loop.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        prefixes: beginnings of the names of workload interfaces; only those are read in a full pass.
        sysctls: where the settings are.
    """

    name = "interfaces"

    def __init__(
        self,
        current: LinkTable,
        socket: NetlinkSocket,
        prefixes: tuple[str, ...] = ("cali",),
        sysctls: Sysctls | None = None,
    ) -> None:
        self._links = current
        self._socket = socket
        self._prefixes = prefixes
        self._sysctls = sysctls or Sysctls()

    def read(self) -> Actual:
        ours = [link for link in links.list_links(self._socket) if link.name.startswith(self._prefixes)]
        return Actual(
            node=self._sysctls.read(NODE),
            interfaces={link.name: Known(link.index, self._read_settings(link.name)) for link in ours},
        )

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        operations: list[Operation] = []
        waiting: dict[str, str] = {}
        if (changes is None or changes.settings) and (desired.settings is None or desired.settings.forwards):
            operations += [Set(key, value) for key, value in NODE.items() if actual.node.get(key, value) != value]
        for endpoint in _looked_at(desired, changes):
            link = self._links.get(endpoint.interface)
            if link is None:
                waiting[str(endpoint.id)] = f"interface {endpoint.interface} does not exist"
                continue
            operations += _settings(endpoint, link, actual.interfaces.get(link.name))
            operations += [] if link.up else [Raise(link.name)]
        return Plan(operations, waiting, _settled(desired, changes, waiting))

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            if isinstance(one, Set):
                self._sysctls.write(one.name, one.value)
        requests = [links.change(one.interface, up=True) for one in operations if isinstance(one, Raise)]
        for error in send_batch(self._socket, requests) if requests else ():
            # A link that vanished is reported by an event.
            if error is not None and error.errno != errno.ENODEV:
                raise error

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            if isinstance(one, Set) and not one.interface:
                actual.node[one.name] = one.value
            elif isinstance(one, Set):
                known = actual.interfaces.get(one.interface)
                settings = known.settings if known is not None and known.index == one.index else {}
                actual.interfaces[one.interface] = Known(one.index, {**settings, one.name: one.value})
        return actual

    def _read_settings(self, name: str) -> dict[str, str]:
        return self._sysctls.read(template.format(name) for template in WORKLOAD)


def _looked_at(desired: DesiredState, changes: Changes | None) -> list[Endpoint]:
    if changes is None:
        return list(desired.endpoints.values())
    changed = {one: desired.endpoints[one] for one in changes.endpoints if one in desired.endpoints}
    if changes.interfaces:
        changed.update((one.id, one) for one in desired.endpoints.values() if one.interface in changes.interfaces)
    return [changed[one] for one in sorted(changed)]


def _settled(desired: DesiredState, changes: Changes | None, waiting: Mapping[str, str]) -> list[str]:
    if changes is None:
        return []
    looked_at = changes.endpoints | {one.id for one in _looked_at(desired, changes)}
    return [text for one in looked_at if (text := str(one)) not in waiting]


def _settings(endpoint: Endpoint, link: links.Link, known: Known | None) -> list[Set]:
    """Settings that differ; all of them for a device that was not read or written before."""
    moving = endpoint.migration is not Migration.NONE
    wanted = of_workload(link.name, spoofing=bool(endpoint.allowed_sources), moving=moving)
    if known is not None and known.index == link.index:
        # What an interface lacks, such as all of IPv6 where that is off, is not asked for.
        wanted = {name: value for name, value in wanted.items() if known.settings.get(name, value) != value}
    return [Set(name, value, link.name, link.index) for name, value in wanted.items()]
