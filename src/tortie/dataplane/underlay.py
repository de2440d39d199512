"""What overlays stand on: which interface of the host has an address, and which devices of tunnels there are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.desired.cluster import Vtep, VtepId
from tortie.desired.state import DesiredState
from tortie.netlink.address_table import AddressTable
from tortie.netlink.links import Link
from tortie.netlink.monitor import LinkTable

VXLAN_DEVICES: Mapping[int, str] = {4: "vxlan.calico", 6: "vxlan-v6.calico"}
"""Names of the devices, by the family that they carry within that same family: as Calico has them."""

IPIP_DEVICE = "tunl0"
"""The kernel's own device of IP in IP, which it calls so."""


class Way(msgspec.Struct, frozen=True, gc=False):
    """A device that packets can leave by now."""

    index: int
    name: str


class Ways(msgspec.Struct, frozen=True, gc=False):
    """Devices of this node, by family; one that is missing or down is not there.

    Args:
        node: its name.
        direct: has the node's own address: others of its subnet are reached by it.
        vxlan: the tunnel's.
        ipip: the other tunnel's, which carries IPv4 alone.
    """

    node: str = ""
    direct: Mapping[int, Way] = {}
    vxlan: Mapping[int, Way] = {}
    ipip: Mapping[int, Way] = {}

    @property
    def tunnels(self) -> frozenset[int]:
        """Indexes of the tunnels' devices."""
        return frozenset(one.index for table in (self.vxlan, self.ipip) for one in table.values())

    @property
    def names(self) -> frozenset[str]:
        """Of all."""
        return frozenset(one.name for table in (self.direct, self.vxlan, self.ipip) for one in table.values())


NO_WAYS = Ways()


class Underlay:
    """Interfaces and addresses of the host, as the events heard so far tell; for the event loop.

    Args:
        node: name of this node.
    """

    def __init__(self, links: LinkTable, addresses: AddressTable, node: str) -> None:
        self._links = links
        self._addresses = addresses
        self._node = node

    def end(self, desired: DesiredState, family: int) -> Vtep | None:
        """This node's own end of the VXLAN of a family."""
        return desired.vteps.get(VtepId(self._node, family))

    def parent(self, desired: DesiredState, family: int) -> Link | None:
        """The interface that has the address of this node that others reach it by."""
        end = self.end(desired, family)
        own = [end.parent] if end else [one for one in desired.network.own if one.family == family]
        return self.holder(own[0]) if own else None

    def holder(self, address: Cidr) -> Link | None:
        """The interface that has an address."""
        return next((link for link in self._links if address in self._addresses.of(link.index)), None)

    def ways(self, desired: DesiredState) -> Ways:
        """As they are now."""
        direct: dict[int, Way] = {}
        vxlan: dict[int, Way] = {}
        ipip: dict[int, Way] = {}
        for family in BITS:
            _note(direct, family, self.parent(desired, family))
            has_end = self.end(desired, family) is not None
            _note(vxlan, family, self._links.get(VXLAN_DEVICES[family]) if has_end else None)
        _note(ipip, 4, self._links.get(IPIP_DEVICE) if desired.network.ipip_end else None)
        return Ways(self._node, direct, vxlan, ipip)


def _note(table: dict[int, Way], family: int, link: Link | None) -> None:
    if link is not None and link.up:
        table[family] = Way(link.index, link.name)
