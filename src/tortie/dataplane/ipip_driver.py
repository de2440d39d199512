"""What makes devices of IP in IP: the kernel by itself, or else programs of ours on a device that does nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unsupported
from tortie.dataplane.bpf.objects import load_classifier, prefix_map
from tortie.dataplane.ipip_programs import DEVICE_MAC, arriving, leaving, mac_of
from tortie.dataplane.underlay import IPIP_DEVICE
from tortie.netlink import classifiers, links, neighbours
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.classifiers import ARRIVING, LEAVING
from tortie.netlink.links import NewLink
from tortie.netlink.neighbours import Neighbour
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.traffic import list_queues

KIND = "ifb"
"""Of the device that programs are put on: it needs no other end, and asks for nobody's hardware address."""

_NATIVE = "ipip"
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)
_HARMLESS = frozenset({errno.EEXIST})
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV, errno.ESRCH})
_REMEDY = "load the kernel's ipip, or ifb where BPF is allowed; or let pools use vxlanMode"


class Programs(msgspec.Struct, frozen=True, gc=False):
    """What the programs of a device do.

    Args:
        name: tells them from others that do something else.
        own: this node's address, on the device of index `parent`.
        sources: who may send.
        nodes: who may be sent to.
    """

    name: str
    own: Cidr
    parent: int
    sources: tuple[Cidr, ...]
    nodes: frozenset[Cidr]


class IpipDriver:
    """The device `tunl0`, of either make.

    Args:
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
    """

    def __init__(self, socket: NetlinkSocket) -> None:
        self._socket = socket

    def make(self) -> bool:
        """Make the device, or leave it as it is; whether it is the kernel's own. Raises KernelError, Unsupported."""
        refusal = self._make(NewLink(IPIP_DEVICE), _NATIVE)
        if refusal is None:
            link = links.get_link(self._socket, IPIP_DEVICE)
            return link is None or link.kind != KIND
        refusal = self._make(NewLink(IPIP_DEVICE, mac=DEVICE_MAC.hex(":")), KIND)
        if refusal is not None:
            raise Unsupported(f"this kernel cannot do IP in IP ({refusal}): {_REMEDY}")
        return False

    def delete(self, others: Collection[int]) -> None:
        """Remove a device of ours, and its programs from others. Raises KernelError."""
        self._send([links.delete(IPIP_DEVICE)], _ABSENT)
        self._send([classifiers.detach(index, ARRIVING) for index in others], _ABSENT)

    def programs(self, index: int) -> tuple[str, dict[int, str]]:
        """Names of those on what leaves by the device, and on what arrives by others for it. Raises KernelError."""
        others = {one.index for one in list_queues(self._socket) if one.kind == "clsact"}
        found = {other: classifiers.attached(self._socket, other, ARRIVING) for other in others}
        named = {other: _name_for(name, index) for other, name in found.items() if name}
        return classifiers.attached(self._socket, index, LEAVING), named

    def equip(self, programs: Programs, others: Collection[int]) -> None:
        """Put programs on the device and on that underneath, in the place of those before.

        Raises:
            KernelError: a request was refused.
            Unsupported: the kernel takes no programs.
        """
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return
        try:
            self._equip(programs, link.index)
        except KernelError as error:
            if error.errno not in _CANNOT:
                raise
            raise Unsupported(f"this kernel cannot do IP in IP ({error}): {_REMEDY}") from error
        gone = [classifiers.detach(index, ARRIVING) for index in others if index != programs.parent]
        self._send(gone, _ABSENT)

    def nodes(self, index: int) -> Iterator[Cidr]:
        """Whom packets can go to. Raises KernelError."""
        for one in neighbours.list_neighbours(self._socket):
            if one.index == index and one.permanent and one.address.family == 4 and one.mac == mac_of(one.address):
                yield one.address

    def tell(self, now: Collection[Cidr], was: Collection[Cidr]) -> None:
        """Have packets go to these nodes, and no longer to others. Raises KernelError."""
        link = links.get_link(self._socket, IPIP_DEVICE)
        if link is None:
            return
        new, old = sorted(set(now) - set(was)), sorted(set(was) - set(now))
        self._send([neighbours.replace(Neighbour(link.index, one, mac_of(one))) for one in new], frozenset())
        self._send([neighbours.delete(Neighbour(link.index, one)) for one in old], _ABSENT)

    def _make(self, link: NewLink, kind: str) -> KernelError | None:
        """Why the kernel has no devices of a kind. Raises KernelError for anything else."""
        (error,) = send_batch(self._socket, [links.create(link, kind)])
        if error is None or error.errno in _HARMLESS:
            return None
        if error.errno in _CANNOT:
            return error
        raise error

    def _equip(self, programs: Programs, device: int) -> None:
        descriptors: list[int] = []
        try:
            descriptors.append(prefix_map(programs.sources, "tortie-nodes"))
            incoming = arriving(programs.own, device, descriptors[0])
            descriptors.append(load_classifier(incoming, "tortie-ipip-in"))
            descriptors.append(load_classifier(leaving(programs.own, programs.parent), "tortie-ipip-out"))
            self._send([classifiers.prepare(one) for one in (programs.parent, device)], _HARMLESS)
            within = classifiers.attach(programs.parent, ARRIVING, descriptors[1], f"{programs.name} {device}")
            self._send([within, classifiers.attach(device, LEAVING, descriptors[2], programs.name)], frozenset())
        finally:
            for one in descriptors:
                os.close(one)

    def _send(self, requests: Collection[Request], harmless: frozenset[int]) -> None:
        for error in send_batch(self._socket, list(requests)) if requests else ():
            if error is not None and error.errno not in harmless:
                raise error


def _name_for(name: str, device: int) -> str:
    """The name of a program that leads to a device; what leads to another is no name."""
    own, _, leads_to = name.rpartition(" ")
    return own if leads_to == str(device) else f"{name}?"
