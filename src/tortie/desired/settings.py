"""What an operator may choose about how a node is programmed, besides policy."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.failsafes import DEFAULT_FAILSAFES, Failsafes
from tortie.desired.network import VXLAN_PORT

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,3})/(second|minute|hour|day)")


class EndpointToHost(enum.Enum):
    """What happens to packets from a workload to its own host, besides replies and IPv6 neighbour discovery."""

    DROP = "Drop"
    ACCEPT = "Accept"
    RETURN = "Return"


class ServiceLoops(enum.Enum):
    """What happens to packets to services that nobody translated."""

    DROP = "Drop"
    REJECT = "Reject"
    DISABLED = "Disabled"


class LogRate(msgspec.Struct, frozen=True, gc=False):
    """So many messages of a rule in so many seconds, and `burst` at once beyond that."""

    messages: int
    seconds: int
    burst: int = 5

    @classmethod
    def parse(cls, text: str, burst: int = 5) -> LogRate:
        """From such as `10/second` or `100/hour`. Raises ValueError."""
        found = _RATE.fullmatch(text)
        if not found:
            raise ValueError("use a rate such as 10/second, 60/minute, 100/hour or 5/day")
        return cls(int(found[1]), _SECONDS[found[2]], burst)


class Outgoing(msgspec.Struct, frozen=True):
    """How the source of what leaves the pools is translated.

    Args:
        addresses: to what, at most one of each family; otherwise to that of the interface that it leaves by.
        ports: first and last that may be taken; None is any.
        spares_hosts: what goes to nodes of the cluster keeps its source.
        interface: only what leaves by this one; a plus sign at the end stands for anything.
    """

    addresses: tuple[Cidr, ...] = ()
    ports: tuple[int, int] | None = None
    spares_hosts: bool = False
    interface: str = ""


class MetadataService(msgspec.Struct, frozen=True):
    """Where the metadata service of a cloud is, for IPv4."""

    address: Cidr
    port: int


class WireguardSettings(msgspec.Struct, frozen=True):
    """How one family is encrypted between nodes.

    Args:
        interface: name of the device.
        port: UDP port of every node.
        mtu: of the device; 0 follows from the interface underneath.
        keepalive: seconds between packets that keep a path open; 0 sends none.
        priority: of the routing rule; the smaller number is asked first.
        hosts: what nodes send each other for themselves is encrypted too.
        required: what is for workloads of nodes without a key is refused rather than sent in the clear.
    """

    interface: str
    port: int
    mtu: int = 0
    keepalive: int = 0
    priority: int = 99
    hosts: bool = False
    required: bool = False


class FilterSettings(msgspec.Struct, frozen=True):
    """Choices about the packet filter; none needs the table to be made anew.

    Args:
        table: name of our table, of family inet.
        interface_prefixes: what names of workload interfaces begin with, 1 to 15 characters each.
        mark_mask: bits of the packet mark that are ours.
        log_prefix: how messages of Log rules begin, see `log_expressions`.
        log_rate: most messages of each Log rule; None is no limit.
        log_group: nflog group of Log rules; None is the kernel's log.
        failsafes: what host endpoints always let pass.
        vxlan_port: UDP port of this encapsulation.
        wireguard: of each family that is encrypted.
        external_nodes: who may send us encapsulated packets besides the nodes of the cluster.
        nat: how sources are translated.
        metadata: where workloads get their metadata from; None serves none.
        service_loops: what happens to packets that would go round.
        openstack: workloads get their addresses and names from their host, by DHCP and DNS.
        vxlan_from_workloads, ipip_from_workloads: whether workloads may send such packets.
    """

    table: str = "tortie"
    interface_prefixes: tuple[str, ...] = ("cali",)
    mark_mask: int = 0xFFFF0000
    endpoint_to_host: EndpointToHost = EndpointToHost.DROP
    log_prefix: str = "calico-packet"
    log_rate: LogRate | None = None
    log_group: int | None = None
    failsafes: Failsafes = DEFAULT_FAILSAFES
    vxlan_port: int = VXLAN_PORT
    wireguard: Mapping[int, WireguardSettings] = {}
    external_nodes: tuple[Cidr, ...] = ()
    nat: Outgoing = Outgoing()
    metadata: MetadataService | None = None
    service_loops: ServiceLoops = ServiceLoops.DROP
    openstack: bool = False
    vxlan_from_workloads: bool = False
    ipip_from_workloads: bool = False


class NodeSettings(msgspec.Struct, frozen=True):
    """All of it.

    Args:
        forwards: whether the node's own forwarding is switched on; without it, only the host itself is protected.
    """

    filter: FilterSettings = FilterSettings()
    forwards: bool = True
