"""Target: the device of IP in IP (RFC 2003), which every kernel that has such tunnels makes by itself: `tunl0`.

It leads to no host in particular: routes name the nodes. A kernel without such tunnels gets a device of the same name
that does the same by two programs (see `ipip_programs`); one that can do neither is told of. Nobody can delete the
kernel's own, so one that is not needed only loses its address.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.base.hashes import short_hash
from tortie.dataplane.ipip_driver import KIND as PROGRAMMED
from tortie.dataplane.ipip_driver import IpipDriver, Programs
from tortie.dataplane.mtu import IPIP_OVERHEAD
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import IPIP_DEVICE, Underlay
from tortie.desired.network import NODES
from tortie.desired.network import of_family as only
from tortie.desired.packed import unpack
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.links import Link
from tortie.netlink.socket import NetlinkSocket

_HARMLESS = frozenset({errno.EEXIST, errno.EADDRNOTAVAIL})
"""It is there already, or what was to go is gone."""


class Equipment(msgspec.Struct, frozen=True, gc=False):
    """What makes a device of ours a tunnel.

    Args:
        leaving: name of the program on what leaves by the device.
        arriving: of those on what arrives by others, by index.
        nodes: that packets can go to.
    """

    leaving: str = ""
    arriving: Mapping[int, str] = {}
    nodes: frozenset[Cidr] = frozenset()


class Device(msgspec.Struct, frozen=True, gc=False):
    """The device as it is, or shall be; one of the kernel's has no equipment."""

    mtu: int
    up: bool = True
    addresses: frozenset[Cidr] = frozenset()
    equipment: Equipment | None = None


class Make(msgspec.Struct, frozen=True, gc=False):
    """Have the kernel make the device."""


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove a device of ours, and its programs from others."""

    arriving: tuple[int, ...] = ()


class Become(msgspec.Struct, frozen=True, gc=False):
    """Give the device its MTU and addresses, and set it up; `was` tells what is to go."""

    now: Device
    was: frozenset[Cidr] = frozenset()


class Equip(msgspec.Struct, frozen=True, gc=False):
    """Make a device of ours a tunnel; one of the kernel's is one."""

    programs: Programs
    now: Equipment
    was: Equipment


Operation = Make | Delete | Become | Equip
Actual = Device | None


class IpipTarget:
    """The device of IP in IP.

    Args:
        underlay: of this host.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        mtu: of the device; 0 follows from the interface underneath.
        driver: what makes devices.
    """

    name = "ipip"

    def __init__(
        self, underlay: Underlay, socket: NetlinkSocket, mtu: int = 0, driver: IpipDriver | None = None
    ) -> None:
        self._underlay = underlay
        self._socket = socket
        self._mtu = mtu
        self._driver = driver or IpipDriver(socket)
        self._made_by_kernel = False
        self._is_there = False

    def has_drifted(self, link: Link | None, name: str) -> bool:
        """Whether the device has come or gone without us."""
        return name == IPIP_DEVICE and (link is None) == self._is_there

    def read(self) -> Actual:
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return None
        held = addresses.list_addresses(self._socket, link.index)
        own = frozenset(one.address for one in held if one.address.family == 4)
        if link.kind != PROGRAMMED:
            return Device(link.mtu, link.up, own)
        leaving, arriving = self._driver.programs(link.index)
        nodes = frozenset(self._driver.nodes(link.index))
        return Device(link.mtu, link.up, own, Equipment(leaving, arriving, nodes))

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        if changes is not None and not _concerns(changes):
            return Plan()
        network = desired.network
        if not network.tunnels.ipip:
            return Plan(_bared(actual), settled=[IPIP_DEVICE])
        parent = self._underlay.parent(desired, 4)
        if parent is None:
            return Plan(waiting={IPIP_DEVICE: "no interface has this node's address"})
        # What others send is taken before this node can send.
        inside = frozenset({network.ipip_end}) if network.ipip_end else frozenset()
        wanted = Device(self._mtu or parent.mtu - IPIP_OVERHEAD, addresses=inside)
        operations: list[Operation] = [] if actual else [Make()]
        equipment = actual.equipment if actual else Equipment()
        if equipment is not None:
            operations += _equipped(self._programs(desired, parent), equipment)
        if actual is None or msgspec.structs.replace(actual, equipment=None) != wanted:
            operations.append(Become(wanted, actual.addresses if actual else frozenset()))
        waiting = {} if inside else {IPIP_DEVICE: "this node has no tunnel address yet"}
        return Plan(operations, waiting, [IPIP_DEVICE] if inside else [])

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            match one:
                case Make():
                    self._made_by_kernel = self._driver.make()
                case Delete():
                    self._driver.delete(one.arriving)
                case Equip() if not self._made_by_kernel:
                    self._driver.equip(one.programs, one.was.arriving)
                    self._driver.tell(one.now.nodes, one.was.nodes)
                case Become():
                    self._become(one)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            match one:
                case Delete():
                    actual = None
                case Equip() if not self._made_by_kernel:
                    actual = msgspec.structs.replace(actual or Device(0, up=False), equipment=one.now)
                case Become():
                    actual = msgspec.structs.replace(one.now, equipment=actual.equipment if actual else None)
        self._is_there = actual is not None
        return actual

    def _programs(self, desired: DesiredState, parent: Link) -> Programs:
        members = desired.sets[NODES].members if NODES in desired.sets else None
        nodes = [Cidr.from_bytes(one) for one in unpack(members.hosts4, 4)] if members else []
        external = desired.settings.filter.external_nodes if desired.settings else ()
        own = next(one for one in desired.network.own if one.family == 4)
        sources = tuple(sorted({*nodes, *only(4, external)}))
        name = f"tortie-ipip {short_hash(repr((own, parent.index, sources)).encode())}"
        return Programs(name, own, parent.index, sources, frozenset(nodes))

    def _become(self, change: Become) -> None:
        now = change.now
        self._send([links.change(IPIP_DEVICE, mtu=now.mtu, up=True if now.up else None)])
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return
        new, old = now.addresses - change.was, change.was - now.addresses
        self._send([addresses.add(addresses.Address(link.index, one, BITS[4])) for one in sorted(new)])
        self._send([addresses.delete(addresses.Address(link.index, one, BITS[4])) for one in sorted(old)])

    def _send(self, requests: Sequence[Request]) -> None:
        for error in send_batch(self._socket, requests) if requests else ():
            if error is not None and error.errno not in _HARMLESS:
                raise error


def _concerns(changes: Changes) -> bool:
    of_nodes = NODES in changes.sets or NODES in changes.set_changes
    return changes.network or changes.addresses or changes.settings or of_nodes


def _equipped(programs: Programs, was: Equipment) -> list[Operation]:
    now = Equipment(programs.name, {programs.parent: programs.name}, programs.nodes)
    return [Equip(programs, now, was)] if now != was else []


def _bared(actual: Actual) -> list[Operation]:
    if actual is not None and actual.equipment is not None:
        return [Delete(tuple(actual.equipment.arriving))]
    if actual is None or not actual.addresses:
        return []
    return [Become(msgspec.structs.replace(actual, addresses=frozenset()), actual.addresses)]
