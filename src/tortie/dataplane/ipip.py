"""Target: the device of IP in IP (RFC 2003), which every kernel that has such tunnels makes by itself: `tunl0`.

It leads to no host in particular: routes name the nodes. A kernel without such tunnels refuses to make it, and the
refusal is the target's reason in the status. Nobody can delete it, so one that is not needed only loses its address.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.mtu import IPIP_OVERHEAD
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import IPIP_DEVICE, Underlay
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import addresses, links
from tortie.netlink.batch import send_batch
from tortie.netlink.socket import NetlinkSocket

_KIND = "ipip"
_HARMLESS = frozenset({errno.EEXIST, errno.EADDRNOTAVAIL})
"""It is there already, or what was to go is gone."""


class Device(msgspec.Struct, frozen=True, gc=False):
    """The device as it is, or shall be."""

    mtu: int
    up: bool = True
    addresses: frozenset[Cidr] = frozenset()


class Make(msgspec.Struct, frozen=True, gc=False):
    """Have the kernel make the device."""


class Become(msgspec.Struct, frozen=True, gc=False):
    """Give the device its MTU and addresses, and set it up; `was` tells what is to go."""

    now: Device
    was: frozenset[Cidr] = frozenset()


Operation = Make | Become
Actual = Device | None


class IpipTarget:
    """The device of IP in IP.

    Args:
        underlay: of this host.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        mtu: of the device; 0 follows from the interface underneath.
    """

    name = "ipip"

    def __init__(self, underlay: Underlay, socket: NetlinkSocket, mtu: int = 0) -> None:
        self._underlay = underlay
        self._socket = socket
        self._mtu = mtu

    def read(self) -> Actual:
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return None
        held = addresses.list_addresses(self._socket, link.index)
        return Device(link.mtu, link.up, frozenset(one.address for one in held if one.address.family == 4))

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        if changes is not None and not (changes.network or changes.addresses):
            return Plan()
        network = desired.network
        if not network.tunnels.ipip:
            return Plan(_bared(actual), settled=[IPIP_DEVICE])
        parent = self._underlay.parent(desired, 4)
        if parent is None or network.ipip_end is None:
            reason = "no interface has this node's address" if parent is None else "this node has no tunnel address yet"
            return Plan(waiting={IPIP_DEVICE: reason})
        wanted = Device(self._mtu or parent.mtu - IPIP_OVERHEAD, addresses=frozenset({network.ipip_end}))
        made: list[Operation] = [] if actual else [Make()]
        if actual != wanted:
            made.append(Become(wanted, actual.addresses if actual else frozenset()))
        return Plan(made, settled=[IPIP_DEVICE])

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            if isinstance(one, Make):
                request = links.create(links.NewLink(IPIP_DEVICE), _KIND)
            else:
                request = links.change(IPIP_DEVICE, mtu=one.now.mtu, up=True if one.now.up else None)
            for error in send_batch(self._socket, [request]):
                if error is not None and error.errno not in _HARMLESS:
                    raise error
            if isinstance(one, Become):
                self._give_addresses(one)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            if isinstance(one, Become):
                actual = one.now
        return actual

    def _give_addresses(self, change: Become) -> None:
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return
        new, old = change.now.addresses - change.was, change.was - change.now.addresses
        requests = [addresses.add(addresses.Address(link.index, one, BITS[4])) for one in sorted(new)]
        requests += [addresses.delete(addresses.Address(link.index, one, BITS[4])) for one in sorted(old)]
        for error in send_batch(self._socket, requests) if requests else ():
            if error is not None and error.errno not in _HARMLESS:
                raise error


def _bared(actual: Actual) -> list[Operation]:
    if actual is None or not actual.addresses:
        return []
    return [Become(msgspec.structs.replace(actual, addresses=frozenset()), actual.addresses)]
