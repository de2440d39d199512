"""Translation of addresses: of what leaves the pools or enters tunnels, of floating addresses, to metadata services.

All of it is here, and in chains of type nat, which see the first packet of a connection only. They come after
those of service proxies, whose marks must be used up before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from tortie.base.addresses import BITS, Cidr
from tortie.dataplane.nftables.address_maps import FLOATING_MAPS, HAIRPIN_MAPS
from tortie.dataplane.nftables.matches import Condition, in_nets, in_ports, in_set, of_family, of_protocol
from tortie.dataplane.nftables.rules import GUIDE, ChainWriter, Rendered
from tortie.dataplane.nftables.sets import set_name
from tortie.dataplane.nftables.settings import MetadataService, Settings
from tortie.dataplane.underlay import IPIP_DEVICE, VXLAN_DEVICES
from tortie.desired.failsafes import TCP, UDP
from tortie.desired.network import NODES, Network
from tortie.desired.network import of_family as only
from tortie.desired.policy import Direction, PolicyId, PortRange
from tortie.netlink.nftables import Hook
from tortie.netlink.nftables_expressions import (
    NETWORK,
    REGISTER,
    Meta,
    Operator,
    compare,
    counter,
    destination_translation,
    fib,
    host32,
    immediate,
    map_lookup,
    masquerade,
    meta,
    payload,
    source_translation,
)

_IN, _LOCAL, _OUT = "nat-in", "nat-local", "nat-out"
NAT_HOOKS: Mapping[str, Hook] = MappingProxyType(
    {
        _IN: Hook(0, -100, type="nat"),
        _LOCAL: Hook(3, -100, type="nat"),
        _OUT: Hook(4, 110, type="nat"),
    }
)
"""The base chains."""

METADATA = Cidr.parse("169.254.169.254")
"""Where virtual machines look for metadata."""

_ADDRESS_TYPE, _OF_SOURCE, _AT_OUTPUT, _LOCAL_ADDRESS = 3, 1, 1 << 4, 2
"""NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR and NFTA_FIB_F_OIF of nf_tables.h, RTN_LOCAL of rtnetlink.h."""

_LOWEST_PORT, _HIGHEST_PORT = 1024, 65535
_ADDRESSES = {4: (12, 16), 6: (8, 24)}
_RESULT = REGISTER + 8


class _Way(msgspec.Struct, frozen=True, gc=False):
    """How the source is translated: a protocol, if only it, and the ports for it."""

    conditions: tuple[Condition, ...] = ()
    ports: tuple[int, int] | None = None


def nat_rules(settings: Settings, network: Network) -> Iterator[Rendered]:
    """The rules of each base chain, none where it is not needed."""
    for name in NAT_HOOKS:
        direction = Direction.EGRESS if name == _OUT else Direction.INGRESS
        origin = PolicyId("Layout", "", name)
        writer = ChainWriter(name, origin, direction)
        if name == _OUT:
            _write_hairpin(writer, network)
            for family in (4, 6):
                _write_outgoing(writer, settings, network, family)
            for family in network.tunnels.vxlan:
                _write_tunnelled(writer, family, VXLAN_DEVICES[family], settings.vxlan_port)
            if network.tunnels.ipip:
                _write_tunnelled(writer, 4, IPIP_DEVICE)
            for family, one in sorted(settings.wireguard.items()):
                if not one.hosts:
                    _write_tunnelled(writer, family, one.interface, one.port)
        else:
            _write_floating(writer, network)
            if name == _IN and settings.metadata:
                _write_metadata(writer, settings, settings.metadata)
        yield origin, direction, writer.rules()


def _write_floating(writer: ChainWriter, network: Network) -> None:
    for family in _floating_families(network):
        external = payload(NETWORK, _ADDRESSES[family][1], BITS[family] // 8)
        found = external + map_lookup(FLOATING_MAPS[family], _RESULT)
        writer.match("dnat", [of_family(family)], found + counter() + destination_translation(family, _RESULT))


def _write_hairpin(writer: ChainWriter, network: Network) -> None:
    """Who calls itself by its floating address gets its answers only if they come from there."""
    for family in _floating_families(network):
        width, (source, destination) = BITS[family] // 8, _ADDRESSES[family]
        ends = payload(NETWORK, source, width)
        ends += payload(NETWORK, destination, width, REGISTER + width // 4)
        found = ends + map_lookup(HAIRPIN_MAPS[family], _RESULT)
        writer.match("snat", [of_family(family)], found + counter() + source_translation(family, _RESULT))


def _floating_families(network: Network) -> list[int]:
    return sorted({one.external.family for one in network.floating})


def _write_metadata(writer: ChainWriter, settings: Settings, service: MetadataService) -> None:
    asked = in_nets([METADATA], 1)
    for prefix in settings.interface_prefixes:
        conditions = [Condition(meta(Meta.IIFNAME) + compare(prefix.encode())), of_family(4)]
        conditions += [asked] if asked else []
        conditions += [of_protocol(TCP), in_ports([PortRange(80, 80)], 1)]
        then = immediate(service.address.packed, _RESULT) + destination_translation(4, _RESULT, service.port)
        writer.match("dnat", conditions, counter() + then)


def _write_outgoing(writer: ChainWriter, settings: Settings, network: Network, family: int) -> None:
    conditions = _leaving(settings, network, family)
    if conditions is None:
        return
    nat = settings.nat
    address = next((one for one in nat.addresses if one.family == family), None)
    for way in _ways(nat.ports):
        if address is None:
            then = masquerade(way.ports)
        else:
            then = immediate(address.packed, _RESULT) + source_translation(family, _RESULT, way.ports)
        writer.match("snat", [*conditions, *way.conditions], counter() + then, GUIDE)


def _write_tunnelled(writer: ChainWriter, family: int, device: str, port: int = 0) -> None:
    """What the host itself sends into a tunnel from an address that is not the tunnel's: answers would go elsewhere.

    So it is when a service proxy has translated the destination to one behind the tunnel.
    """
    foreign = fib(_ADDRESS_TYPE, _OF_SOURCE) + compare(host32(_LOCAL_ADDRESS))
    foreign += fib(_ADDRESS_TYPE, _OF_SOURCE | _AT_OUTPUT) + compare(host32(_LOCAL_ADDRESS), Operator.NOT_EQUAL)
    conditions = [of_family(family), _interface(device), Condition(foreign)]
    clear = [_Way((of_protocol(UDP),), _clear_of(port))] if port else []
    for way in (*clear, _Way()):
        writer.match("snat", [*conditions, *way.conditions], counter() + masquerade(way.ports))


def _clear_of(port: int) -> tuple[int, int]:
    """Most source ports without this one: what is answered to the tunnels' own port would be taken for a tunnel."""
    below, above = (_LOWEST_PORT, port - 1), (port + 1, _HIGHEST_PORT)
    return below if below[1] - below[0] > above[1] - above[0] else above


def _leaving(settings: Settings, network: Network, family: int) -> list[Condition] | None:
    """What goes from pools whose addresses are not known outside to addresses of no pool; None if there is no such."""
    masqueraded = only(family, network.masqueraded)
    pools = {*masqueraded, *only(family, network.pools)}
    if not masqueraded:
        return None
    source, outside = in_nets(masqueraded, 0), in_nets(sorted(pools), 1, inverted=True)
    if outside is None:
        return None
    conditions = [of_family(family), *([source] if source else []), outside]
    if settings.nat.interface:
        conditions.append(_interface(settings.nat.interface))
    if settings.nat.spares_hosts:
        conditions.append(in_set(set_name(f"hosts{family}", NODES), family, 1, inverted=True))
        external = only(family, settings.external_nodes)
        if external:
            elsewhere = in_nets(external, 1, inverted=True)
            return None if elsewhere is None else [*conditions, elsewhere]
    return conditions


def _ways(ports: tuple[int, int] | None) -> list[_Way]:
    """Ports can be asked for only where there are any."""
    if ports is None:
        return [_Way()]
    return [*(_Way((of_protocol(number),), ports) for number in (TCP, UDP)), _Way()]


def _interface(name: str) -> Condition:
    """A name, or the beginning of one before a plus sign."""
    whole = name.encode()[:15].ljust(16, b"\0")
    return Condition(meta(Meta.OIFNAME) + compare(name[:-1].encode() if name.endswith("+") else whole))
