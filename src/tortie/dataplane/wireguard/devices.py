"""Target: the WireGuard devices of this node, one of each family: keys, ports, addresses, and the other nodes as peers.

Devices are the kernel's, or where it has none those of the program wireguard-go. The private key is in a file of this
host alone, so that a device that is lost comes back as the same; when the file is gone, a new pair is made.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.mtu import WIREGUARD_OVERHEAD
from tortie.dataplane.nftables.settings import MarkBits
from tortie.dataplane.target import Plan
from tortie.dataplane.underlay import Underlay
from tortie.dataplane.wireguard.driver import Driver
from tortie.dataplane.wireguard.keys import KeyFiles, public_key
from tortie.desired.settings import WireguardSettings
from tortie.desired.state import Changes, DesiredState
from tortie.desired.wireguard import WireguardPeer
from tortie.netlink import addresses, links
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.links import Link
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wireguard import Change, Endpoint, Peer, Wireguard

_ABSENT = frozenset({errno.ENODEV, errno.EADDRNOTAVAIL})
_LINK_LOCAL = Cidr.parse("fe80::/10")


class Known(msgspec.Struct, frozen=True, gc=False):
    """A device as it is, or shall be.

    Args:
        mtu: 0 is any.
        peers: by public key.
    """

    key: bytes
    port: int
    mark: int
    mtu: int
    up: bool = True
    addresses: frozenset[Cidr] = frozenset()
    peers: Mapping[bytes, Peer] = {}


class Actual(msgspec.Struct):
    """What there is, by family: public keys of the private ones in files, and devices."""

    keys: dict[int, bytes]
    devices: dict[int, Known]


class MakeKey(msgspec.Struct, frozen=True, gc=False):
    """Make a new key pair."""

    family: int


class Make(msgspec.Struct, frozen=True, gc=False):
    """Make a device; it is down, and has no key."""

    family: int


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove a device, and its peers with it."""

    family: int


class Configure(msgspec.Struct, frozen=True, gc=False):
    """Give a device key, port and mark, and these peers in the place of those of the same keys; others stay."""

    family: int
    port: int
    mark: int
    peers: tuple[Peer, ...] = ()
    removed: tuple[bytes, ...] = ()


class Adjust(msgspec.Struct, frozen=True, gc=False):
    """Give a device its MTU and addresses, and set it up."""

    family: int
    mtu: int
    new: frozenset[Cidr] = frozenset()
    lost: frozenset[Cidr] = frozenset()


Operation = MakeKey | Make | Delete | Configure | Adjust


class WireguardTarget:
    """Devices of WireGuard.

    Args:
        underlay: of this host.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        driver: makes and configures devices.
        names: of the devices, by family; whatever is called so is ours.
        files: the private keys.
    """

    name = "wireguard"

    def __init__(
        self, underlay: Underlay, socket: NetlinkSocket, driver: Driver, names: Mapping[int, str], files: KeyFiles
    ) -> None:
        self._underlay = underlay
        self._socket = socket
        self._driver = driver
        self._names = names
        self._files = files
        self._made: dict[int, bytes] = {}
        self._present: frozenset[str] = frozenset()
        self.keys: Mapping[int, bytes] = {}
        """Public keys of the devices that work, by family."""

    def has_drifted(self, link: Link | None, name: str) -> bool:
        """Whether a device has come or gone without us."""
        return name in self._names.values() and (link is None) == (name in self._present)

    def read(self) -> Actual:
        found = Actual({}, {})
        for family, name in self._names.items():
            link = links.get_link(self._socket, name)
            if link is None and not self._files.path(family).exists():
                continue
            private = self._files.read(family)
            public = found.keys[family] = public_key(private) if private else b""
            device = self._driver.read(link, private, public) if link else None
            if link is not None and device is not None:
                held = frozenset(one.address for one in addresses.list_addresses(self._socket, link.index))
                found.devices[family] = _known(device, link, held)
        return found

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        if changes is not None and not (
            changes.wireguard_peers or changes.network or changes.addresses or changes.settings
        ):
            return Plan()
        operations: list[Operation] = []
        filters = desired.settings.filter if desired.settings else None
        for family in self._names:
            known = actual.devices.get(family)
            settings = filters.wireguard.get(family) if filters else None
            if filters is None or settings is None:
                operations += [Delete(family)] if known and filters else []
                continue
            mark = MarkBits.of(filters.mark_mask).encrypted
            wanted = self._wanted(desired, family, settings, mark)
            operations += _towards(family, actual.keys.get(family, b""), known, wanted)
        return Plan(operations)

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            name = self._names[one.family]
            match one:
                case MakeKey():
                    self._made[one.family] = public_key(self._files.make(one.family))
                case Make():
                    self._driver.make(name)
                case Delete():
                    self._send([links.delete(name)])
                case Configure():
                    private = self._files.read(one.family)
                    self._driver.change(name, Change(private, one.port, one.mark, one.peers, one.removed))
                case Adjust():
                    self._adjust(name, one)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            if isinstance(one, MakeKey):
                actual.keys[one.family] = self._made[one.family]
            elif isinstance(one, Delete):
                actual.devices.pop(one.family, None)
            elif isinstance(one, Make):
                actual.devices[one.family] = Known(b"", 0, 0, 0, up=False)
            else:
                actual.devices[one.family] = _after(actual, one)
        self._present = frozenset(self._names[family] for family in actual.devices)
        self.keys = {family: one.key for family, one in actual.devices.items() if one.key and one.up}
        return actual

    def _wanted(self, desired: DesiredState, family: int, settings: WireguardSettings, mark: int) -> Known:
        """All but the key."""
        parent = self._underlay.parent(desired, family)
        ends = frozenset(one for one in desired.network.wireguard_ends if one.family == family)
        peers = (one for one in desired.wireguard_peers.values() if one.id.family == family)
        return Known(
            b"",
            settings.port,
            mark,
            settings.mtu or (parent.mtu - WIREGUARD_OVERHEAD[family] if parent else 0),
            addresses=ends,
            peers={one.key: _peer(one, settings) for one in peers},
        )

    def _adjust(self, name: str, one: Adjust) -> None:
        self._send([links.change(name, mtu=one.mtu, up=True)])
        link = links.get_link(self._socket, name)
        if link is None:
            raise KernelError(f"find link {name}", errno.ENODEV)
        self._send([addresses.add(_address(link.index, address)) for address in sorted(one.new)])
        self._send([addresses.delete(_address(link.index, address)) for address in sorted(one.lost)])

    def _send(self, requests: Sequence[Request]) -> None:
        for error in send_batch(self._socket, requests) if requests else ():
            if error is not None and error.errno not in _ABSENT:
                raise error


def _known(device: Wireguard, link: Link, held: frozenset[Cidr]) -> Known:
    own = frozenset(one for one in held if not _LINK_LOCAL.contains(one))
    peers = {one.key: one for one in device.peers}
    return Known(device.key, device.port, device.mark, link.mtu, link.up, own, peers)


def _peer(one: WireguardPeer, settings: WireguardSettings) -> Peer:
    allowed = frozenset((*one.workloads, *(one.hosts if settings.hosts else ())))
    return Peer(one.key, Endpoint(one.endpoint, settings.port), settings.keepalive, allowed)


def _towards(family: int, own: bytes, known: Known | None, wanted: Known) -> list[Operation]:
    operations: list[Operation] = [] if own else [MakeKey(family)]
    if known is None:
        operations.append(Make(family))
    now = known or Known(b"", 0, 0, 0, up=False)
    peers = tuple(one for key, one in wanted.peers.items() if not _is_as(now.peers.get(key), one))
    removed = tuple(key for key in now.peers if key not in wanted.peers)
    is_other = not own or (now.key, now.port, now.mark) != (own, wanted.port, wanted.mark)
    if is_other or peers or removed:
        operations.append(Configure(family, wanted.port, wanted.mark, peers, removed))
    # A device that loses its last address loses its routes too.
    lost = now.addresses - wanted.addresses if wanted.addresses else frozenset()
    new = wanted.addresses - now.addresses
    if not now.up or new or lost or wanted.mtu not in (0, now.mtu):
        operations.append(Adjust(family, wanted.mtu, new, lost))
    return operations


def _is_as(now: Peer | None, wanted: Peer) -> bool:
    if now is None:
        return False
    return (now.endpoint, now.allowed, now.keepalive) == (wanted.endpoint, wanted.allowed, wanted.keepalive)


def _after(actual: Actual, one: Configure | Adjust) -> Known:
    now = actual.devices[one.family]
    if isinstance(one, Adjust):
        held = (now.addresses | one.new) - one.lost
        return msgspec.structs.replace(now, mtu=one.mtu or now.mtu, up=True, addresses=held)
    peers = {**now.peers, **{peer.key: peer for peer in one.peers}}
    for key in one.removed:
        peers.pop(key, None)
    key = actual.keys.get(one.family, b"")
    return msgspec.structs.replace(now, key=key, port=one.port, mark=one.mark, peers=peers)


def _address(index: int, one: Cidr) -> addresses.Address:
    return addresses.Address(index, one, BITS[one.family])
