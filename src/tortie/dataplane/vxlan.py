"""Target: the VXLAN devices of this node, and in each of them where the other nodes are.

Ours are the devices named in VXLAN_DEVICES and everything in them. Nothing is learned: each other node is one
forwarding entry, from the hardware address of its end to its own address, and one neighbour, from its address inside
to that hardware address. While it is not known what this node's end is, its device stays as it is.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.mtu import VXLAN_OVERHEAD
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import VXLAN_DEVICES, Underlay
from tortie.desired.cluster import Vtep
from tortie.desired.network import VXLAN_PORT
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links, neighbours, vxlan
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.vxlan import Vxlan

_ABSENT = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
_LINK_LOCAL = Cidr.parse("fe80::/10")


class VxlanSettings(msgspec.Struct, frozen=True):
    """What nodes agree on, and the MTU of each family; 0 follows from the interface underneath."""

    vni: int = 4096
    port: int = VXLAN_PORT
    mtu: Mapping[int, int] = {}


class Device(msgspec.Struct, frozen=True, gc=False):
    """A device as it is, or shall be; its addresses are without those that the kernel gives."""

    vxlan: Vxlan
    mac: str
    mtu: int
    up: bool = True
    addresses: frozenset[Cidr] = frozenset()


class Known(msgspec.Struct, frozen=True, gc=False):
    """A device, and what is in it: hosts by hardware address, hardware addresses by address inside."""

    device: Device
    hosts: Mapping[str, Cidr] = {}
    neighbours: Mapping[Cidr, str] = {}


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove a device, and all that is in it."""

    name: str


class Make(msgspec.Struct, frozen=True, gc=False):
    """Make a device."""

    name: str
    device: Device


class Adjust(msgspec.Struct, frozen=True, gc=False):
    """Give a device its MTU, set it up and, where it has another, give it its hardware address.

    The kernel forgets all neighbours when it is given one, even the same.
    """

    name: str
    device: Device
    readdress: bool = False


class Fill(msgspec.Struct, frozen=True, gc=False):
    """Take out what does not belong in a device, and put in what does; `now` is all that is in it afterwards."""

    name: str
    now: Known
    lost_addresses: frozenset[Cidr] = frozenset()
    new_addresses: frozenset[Cidr] = frozenset()
    lost_hosts: Mapping[str, Cidr] = {}
    new_hosts: Mapping[str, Cidr] = {}
    lost_neighbours: Mapping[Cidr, str] = {}
    new_neighbours: Mapping[Cidr, str] = {}

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self)[2:])


Operation = Delete | Make | Adjust | Fill
Actual = dict[str, Known]


class VxlanTarget:
    """VXLAN devices.

    Args:
        underlay: of this host.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
    """

    name = "vxlan"

    def __init__(self, underlay: Underlay, socket: NetlinkSocket, settings: VxlanSettings | None = None) -> None:
        self._underlay = underlay
        self._socket = socket
        self._settings = settings or VxlanSettings()
        self._believed: Actual = {}

    def has_drifted(self, link: links.Link | None, name: str, held: frozenset[Cidr]) -> bool:
        """Whether a device is otherwise than it was left; of others than ours nothing is believed."""
        known = self._believed.get(name)
        if known is None or link is None:
            return name in VXLAN_DEVICES.values() and (known is None) != (link is None)
        device = known.device
        return (link.mac, link.mtu, link.up, _own(held)) != (device.mac, device.mtu, device.up, device.addresses)

    def read(self) -> Actual:
        found: Actual = {}
        for link, what in vxlan.list_vxlans(self._socket):
            if link.name in VXLAN_DEVICES.values():
                held = _own(frozenset(one.address for one in addresses.list_addresses(self._socket, link.index)))
                found[link.name] = Known(
                    Device(what, link.mac, link.mtu, link.up, held),
                    {one.mac: one.address for one in vxlan.list_forwarding(self._socket, link.index)},
                    {
                        one.address: one.mac
                        for one in neighbours.list_neighbours(self._socket)
                        if one.index == link.index and one.permanent
                    },
                )
        return found

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        if changes is not None and not (changes.vteps or changes.network or changes.addresses):
            return Plan()
        operations: list[Operation] = []
        waiting: dict[str, str] = {}
        for family, name in VXLAN_DEVICES.items():
            known = actual.get(name)
            if family not in desired.network.tunnels.vxlan:
                operations += [Delete(name)] if known else []
                continue
            device = self._device(desired, family)
            if isinstance(device, str):
                waiting[name] = device
                continue
            operations += _towards(name, known, _filled(device, desired, family))
        return Plan(operations, waiting, [name for name in VXLAN_DEVICES.values() if name not in waiting])

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            match one:
                case Delete(name):
                    self._send([links.delete(name)], harmless=True)
                case Make(name, device):
                    link = links.NewLink(name, mac=device.mac, mtu=device.mtu)
                    self._send([vxlan.create(link, device.vxlan)])
                case Adjust(name, device, readdress):
                    mac = device.mac if readdress else ""
                    self._send([links.change(name, mac=mac, mtu=device.mtu, up=True)])
                case Fill():
                    self._fill(one)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            match one:
                case Delete(name):
                    actual.pop(name, None)
                case Make(name, device):
                    actual[name] = Known(msgspec.structs.replace(device, up=False, addresses=frozenset()))
                case Adjust():
                    actual[one.name] = _adjusted(actual[one.name], one)
                case Fill(name, now):
                    actual[name] = now
        self._believed = dict(actual)
        return actual

    def _device(self, desired: DesiredState, family: int) -> Device | str:
        """What is wanted, or why it cannot be had."""
        end = self._underlay.end(desired, family)
        if end is None:
            return f"this node has no IPv{family} address, or no tunnel address for it yet"
        parent = self._underlay.holder(end.parent)
        if parent is None:
            return f"no interface has this node's address {end.parent.text}"
        settings = self._settings
        return Device(
            Vxlan(settings.vni, parent.index, end.parent, settings.port),
            end.mac,
            settings.mtu.get(family) or parent.mtu - VXLAN_OVERHEAD[family],
            addresses=frozenset({end.address}),
        )

    def _fill(self, fill: Fill) -> None:
        link = links.get_link(self._socket, fill.name)
        if link is None:
            # An event tells of it, and then it is made again.
            return
        # A device that loses its last address loses its neighbours and routes too.
        self._send([addresses.add(_address(link.index, one)) for one in sorted(fill.new_addresses)])
        self._send(_leaving(fill, link.index), harmless=True)
        self._send(_entering(fill, link.index))

    def _send(self, requests: Sequence[Request], *, harmless: bool = False) -> None:
        """Try every request, then raise the first refusal that matters."""
        for error in send_batch(self._socket, requests) if requests else ():
            if error is not None and not (harmless and error.errno in _ABSENT):
                raise error


def _own(held: frozenset[Cidr]) -> frozenset[Cidr]:
    """Without those that the kernel gives every device."""
    return frozenset(one for one in held if not _LINK_LOCAL.contains(one))


def _filled(device: Device, desired: DesiredState, family: int) -> Known:
    others = [one for one in desired.vteps.values() if one.id.family == family and not one.local]
    distinct: dict[str, Vtep] = {}
    for one in sorted(others, key=lambda one: one.id):
        distinct.setdefault(one.mac, one)
    return Known(
        device,
        {mac: one.parent for mac, one in distinct.items()},
        {one.address: one.mac for one in reversed(list(distinct.values()))},
    )


def _towards(name: str, known: Known | None, wanted: Known) -> list[Operation]:
    """What makes one device as it shall be; what cannot be changed of it is made anew."""
    operations: list[Operation] = []
    device = wanted.device
    if known is not None and known.device.vxlan != device.vxlan:
        operations.append(Delete(name))
        known = None
    if known is None:
        operations.append(Make(name, device))
        known = Known(msgspec.structs.replace(device, up=False, addresses=frozenset()))
    if (known.device.mac, known.device.mtu, known.device.up) != (device.mac, device.mtu, True):
        adjust = Adjust(name, device, readdress=known.device.mac != device.mac)
        operations.append(adjust)
        known = _adjusted(known, adjust)
    fill = Fill(
        name,
        wanted,
        lost_addresses=known.device.addresses - device.addresses,
        new_addresses=device.addresses - known.device.addresses,
        lost_hosts={mac: one for mac, one in known.hosts.items() if mac not in wanted.hosts},
        new_hosts={mac: one for mac, one in wanted.hosts.items() if known.hosts.get(mac) != one},
        lost_neighbours={one: mac for one, mac in known.neighbours.items() if one not in wanted.neighbours},
        new_neighbours={one: mac for one, mac in wanted.neighbours.items() if known.neighbours.get(one) != mac},
    )
    return [*operations, fill] if fill else operations


def _adjusted(known: Known, adjust: Adjust) -> Known:
    device = msgspec.structs.replace(adjust.device, addresses=known.device.addresses)
    return Known(device, known.hosts, {} if adjust.readdress else known.neighbours)


def _leaving(fill: Fill, index: int) -> list[Request]:
    return [
        *(addresses.delete(_address(index, one)) for one in sorted(fill.lost_addresses)),
        *(neighbours.delete(neighbours.Neighbour(index, one, mac)) for one, mac in fill.lost_neighbours.items()),
        *(vxlan.forget(vxlan.Forwarding(index, mac, one)) for mac, one in fill.lost_hosts.items()),
    ]


def _entering(fill: Fill, index: int) -> list[Request]:
    return [
        *(vxlan.forward(vxlan.Forwarding(index, mac, one)) for mac, one in fill.new_hosts.items()),
        *(neighbours.replace(neighbours.Neighbour(index, one, mac)) for one, mac in fill.new_neighbours.items()),
    ]


def _address(index: int, one: Cidr) -> addresses.Address:
    return addresses.Address(index, one, BITS[one.family])
