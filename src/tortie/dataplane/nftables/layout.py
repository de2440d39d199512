"""What the table always has: base chains, the sets and maps of workload interfaces, and the rules that use them.

What is for interfaces of the host itself is in `host_layout`.

Base chains are made once and never again. Every packet from a workload interface is dropped before
conntrack unless the interface is known and the source is its own. What is forwarded is judged twice, by
the policies of the sender in one base chain and by those of the receiver in the next, because `accept`
ends only its own base chain. Packets from the host to its own workloads are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tortie.base.addresses import BITS, Cidr
from tortie.base.hashes import hash64
from tortie.dataplane.nftables.guest_services import dhcp, host_services
from tortie.dataplane.nftables.host_layout import HOST_HOOKS, HOST_SETS
from tortie.dataplane.nftables.matches import ICMP, Condition, in_nets, of_family, of_icmp_types, of_protocol
from tortie.dataplane.nftables.model import Source, Workload
from tortie.dataplane.nftables.network_layout import NETWORK_HOOKS
from tortie.dataplane.nftables.rules import DISCOVERY, END, ESTABLISHED, UNKNOWN, ChainWriter, Rendered
from tortie.dataplane.nftables.sets import IPV4, IPV6, merged
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.desired.endpoints import Endpoint
from tortie.desired.failsafes import WORKLOAD_DISCOVERY
from tortie.desired.policy import Direction, PolicyId
from tortie.netlink.nftables import INTERFACE_NAME, Hook, SetDeclaration
from tortie.netlink.nftables_expressions import (
    NETWORK,
    REGISTER,
    Conntrack,
    Meta,
    Operator,
    Verdict,
    bitwise,
    compare,
    conntrack,
    counter,
    host32,
    lookup,
    map_lookup,
    meta,
    payload,
    verdict,
)

ANTISPOOFING = "antispoofing"
SENDER = "sender-policy"
RECEIVER = "receiver-policy"
TO_HOST = "workload-to-host"
HOOKS: Mapping[str, Hook] = MappingProxyType(
    {
        ANTISPOOFING: Hook(0, -300),
        SENDER: Hook(2, 0),
        RECEIVER: Hook(2, 1),
        TO_HOST: Hook(1, 0),
        **HOST_HOOKS,
        **NETWORK_HOOKS,
    }
)
"""The base chains."""

WORKLOADS = "workloads"
SENDERS = "senders"
RECEIVERS = "receivers"
SOURCES = {4: "sources4", 6: "sources6"}
SOURCE_NETS = {4: "source-nets4", 6: "source-nets6"}
FIXED_SETS: Mapping[str, SetDeclaration] = MappingProxyType(
    {
        WORKLOADS: SetDeclaration(INTERFACE_NAME, 16),
        SENDERS: SetDeclaration(INTERFACE_NAME, 16, verdicts=True),
        RECEIVERS: SetDeclaration(INTERFACE_NAME, 16, verdicts=True),
        SOURCES[4]: SetDeclaration(INTERFACE_NAME << 6 | IPV4, 20),
        SOURCES[6]: SetDeclaration(INTERFACE_NAME << 6 | IPV6, 32),
        SOURCE_NETS[4]: SetDeclaration(INTERFACE_NAME << 6 | IPV4, 20, interval=True, fields=(16, 4)),
        SOURCE_NETS[6]: SetDeclaration(INTERFACE_NAME << 6 | IPV6, 32, interval=True, fields=(16, 16)),
        **HOST_SETS,
    }
)
"""The sets and maps that are not IP sets."""

_REPORT_V2 = 143
_UNCONFIGURED = (Cidr(6, 0, 128), Cidr.parse("fe80::/10"))
_ESTABLISHED_OR_RELATED = host32(2 | 4)
_INVALID = host32(1)
_SOURCE_OFFSET = {4: 12, 6: 8}
_ACCEPT = verdict(Verdict.ACCEPT)
_DROP = counter() + verdict(Verdict.DROP)


def base_rules(settings: Settings) -> Iterator[Rendered]:
    """The rules of each base chain for workloads; the chain is the name in the identity."""
    writers = {
        ANTISPOOFING: (_antispoofing, Direction.EGRESS),
        SENDER: (_sender, Direction.EGRESS),
        RECEIVER: (_receiver, Direction.INGRESS),
        TO_HOST: (_to_host, Direction.EGRESS),
    }
    for chain, (write, direction) in writers.items():
        origin = PolicyId("Layout", "", chain)
        writer = ChainWriter(chain, origin, direction)
        write(writer, settings)
        yield origin, direction, writer.rules()


def workload(endpoint: Endpoint, egress: str, ingress: str) -> Workload:
    """What the kernel is told of an endpoint's interface; `egress` and `ingress` are chains."""
    own = (Cidr(one.family, one.address, BITS[one.family]) for one in endpoint.addresses)
    hosts = {*own, *(one for one in endpoint.allowed_sources if one.is_host)}
    nets = [one for one in endpoint.allowed_sources if not one.is_host]
    name = interface_key(endpoint.interface)
    sources = [Source(SOURCES[one.family], name + one.packed) for one in hosts]
    for family in (4, 6):
        sources += _ranges(name, SOURCE_NETS[family], merged(net for net in nets if net.family == family), family)
    return Workload(hash64(str(endpoint.id)), egress, ingress, tuple(sorted(sources)))


def interface_key(interface: str) -> bytes:
    """An interface name as a key: 16 bytes."""
    return interface.encode(errors="surrogateescape")[:15].ljust(16, b"\0")


def established() -> bytes:
    """Matches packets of connections that were allowed before, and what belongs to them."""
    return _conntrack_state(_ESTABLISHED_OR_RELATED)


def invalid() -> bytes:
    """Matches packets that conntrack cannot make sense of."""
    return _conntrack_state(_INVALID)


def _conntrack_state(bits: bytes) -> bytes:
    return conntrack(Conntrack.STATE) + bitwise(bits, bytes(4)) + compare(bytes(4), Operator.NOT_EQUAL)


def _antispoofing(writer: ChainWriter, settings: Settings) -> None:
    writer.add("accept", _no_workload(settings) + _ACCEPT)
    # Whose source is known is known itself: nearly all packets need one look-up.
    for family in (4, 6):
        writer.match("accept", [of_family(family), _source_of_interface(family, SOURCES[family])], _ACCEPT)
    writer.add("drop", meta(Meta.IIFNAME) + lookup(WORKLOADS, inverted=True) + _DROP, UNKNOWN)
    for family in (4, 6):
        writer.match("accept", [of_family(family), _source_of_interface(family, SOURCE_NETS[family])], _ACCEPT)
    unconfigured = in_nets(_UNCONFIGURED, 0)
    if unconfigured is not None:
        writer.match("accept", [*_discovery((*WORKLOAD_DISCOVERY, _REPORT_V2)), unconfigured], _ACCEPT)
    if settings.openstack and (unaddressed := in_nets([Cidr(4, 0, 32)], 0)):
        writer.match("accept", [*dhcp(4), unaddressed], _ACCEPT)
    writer.add("drop", _DROP, END)


def _sender(writer: ChainWriter, settings: Settings) -> None:
    writer.add("dispatch", meta(Meta.IIFNAME) + map_lookup(SENDERS))
    _drop_workloads(writer, Meta.IIFNAME, settings)


def _receiver(writer: ChainWriter, settings: Settings) -> None:
    writer.add("dispatch", meta(Meta.OIFNAME) + map_lookup(RECEIVERS))
    _drop_workloads(writer, Meta.OIFNAME, settings)


def _to_host(writer: ChainWriter, settings: Settings) -> None:
    writer.add("accept", _no_workload(settings) + _ACCEPT)
    writer.match("accept", _discovery(WORKLOAD_DISCOVERY), counter() + _ACCEPT, DISCOVERY)
    for service in host_services(settings):
        writer.match("accept", service, counter() + _ACCEPT)
    if settings.endpoint_to_host is EndpointToHost.DROP:
        writer.add("accept", established() + counter() + _ACCEPT, ESTABLISHED)
    else:
        writer.add("dispatch", meta(Meta.IIFNAME) + map_lookup(SENDERS))
    writer.add("drop", _DROP, END)


def _drop_workloads(writer: ChainWriter, name: Meta, settings: Settings) -> None:
    for prefix in settings.interface_prefixes:
        writer.add("drop", meta(name) + compare(prefix.encode()) + _DROP, UNKNOWN)


def _no_workload(settings: Settings) -> bytes:
    tests = (compare(prefix.encode(), Operator.NOT_EQUAL) for prefix in settings.interface_prefixes)
    return meta(Meta.IIFNAME) + b"".join(tests)


def _discovery(types: tuple[int, ...]) -> list[Condition]:
    return [of_family(6), of_protocol(ICMP[6]), of_icmp_types(types)]


def _source_of_interface(family: int, name: str) -> Condition:
    address = payload(NETWORK, _SOURCE_OFFSET[family], BITS[family] // 8, REGISTER + 4)
    return Condition(meta(Meta.IIFNAME) + address + lookup(name))


def _ranges(name: bytes, set_name: str, intervals: bytes, family: int) -> Iterable[Source]:
    """Intervals of one interface, the last address included."""
    size = BITS[family] // 8
    top = 1 << BITS[family]
    for start in range(0, len(intervals), 2 * size):
        behind = int.from_bytes(intervals[start + size : start + 2 * size], "big") or top
        last = (behind - 1).to_bytes(size, "big")
        yield Source(set_name, name + intervals[start : start + size], name + last)
