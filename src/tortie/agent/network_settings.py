"""Settings of the packet filter that are no policy: tunnels, translated addresses, and services of the host."""

from __future__ import annotations

import re

from tortie.agent.setting import Setting
from tortie.agent.setting_values import flag, one_of, port
from tortie.agent.wireguard_settings import EncryptionSettings
from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.settings import MarkBits

_RANGE = re.compile(r"([0-9]{1,5})[:-]([0-9]{1,5})")
_INTERFACE = re.compile(r"[a-zA-Z0-9:._-]{1,15}|[a-zA-Z0-9:._-]{0,14}\+")


class NetworkSettings(EncryptionSettings, frozen=True, kw_only=True):
    """Effective settings; see NETWORK_TABLE for what each means, and those of routes that move and of encryption."""

    vxlan_port: int
    vxlan_vni: int
    ipip_mtu: int
    vxlan_mtu: int
    vxlan_mtu_v6: int
    route_source: str
    external_nodes_cidr_list: tuple[Cidr, ...]
    allow_vxlan_packets_from_workloads: bool
    allow_ipip_packets_from_workloads: bool
    nat_port_range: tuple[int, int] | None
    nat_outgoing_address: tuple[Cidr, ...]
    nat_outgoing_exclusions: str
    nat_outgoing_interface_filter: str
    service_loop_prevention: str
    floating_ips: str
    workload_source_spoofing: str
    metadata_addr: Cidr | None
    metadata_port: int
    mtu_iface_pattern: re.Pattern[str]
    ip_forwarding: str
    nftables_mark_mask: int


def _nets(text: str) -> tuple[Cidr, ...]:
    try:
        return tuple(Cidr.parse(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("use addresses and prefixes such as 10.0.0.1, 192.0.2.0/24, separated by commas") from None


def _addresses(text: str) -> tuple[Cidr, ...]:
    """At most one of each family."""
    found = _nets(text)
    if not all(one.is_host for one in found) or len({one.family for one in found}) != len(found):
        raise ValueError("use one IPv4 address, one IPv6 address, or both with a comma between them")
    return found


def _port_range(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _RANGE.fullmatch(text)
    if not found or not 0 < int(found[1]) <= int(found[2]) < 1 << 16:
        raise ValueError("use a first and a last port such as 32768:65535, or nothing")
    return int(found[1]), int(found[2])


def _used_port(text: str) -> int:
    number = port(text)
    if not number:
        raise ValueError("use a port from 1 to 65535")
    return number


def _mtu(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not (text.strip("0") == "" or 1280 <= int(text) <= 65535):
        raise ValueError("use a number of bytes from 1280 to 65535, or 0 for what fits")
    return int(text)


def _network_identifier(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 24:
        raise ValueError("use a number from 1 to 16777215")
    return int(text)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"use a regular expression ({error})") from None


def _interface(text: str) -> str:
    if text and not _INTERFACE.fullmatch(text):
        raise ValueError("use a name such as eth0, the beginning of names such as eth+, or nothing")
    return text


def _mask(text: str) -> int:
    try:
        mask = int(text, 0)
        MarkBits.of(mask)
    except ValueError:
        mask = -1
    if not 0 < mask < 1 << 32:
        raise ValueError("use a number below 2^32 with at least four bits, such as 0xffff0000")
    return mask


def _metadata_address(text: str) -> Cidr | None:
    if text.lower() in ("", "none"):
        return None
    try:
        found = Cidr.parse(text)
    except ValueError:
        found = None
    if found is None or found.family != 4 or not found.is_host:
        raise ValueError("use an IPv4 address, or none")
    return found


NETWORK_TABLE: tuple[Setting, ...] = (
    Setting("vxlan_port", _used_port, "4789", "UDP port of VXLAN.", ("FELIX_VXLANPORT",)),
    Setting("vxlan_vni", _network_identifier, "4096", "Identifier of the cluster's VXLAN.", ("FELIX_VXLANVNI",)),
    Setting(
        "ipip_mtu",
        _mtu,
        "0",
        "MTU of the IP-in-IP device; 0 is that of the interface underneath less 20.",
        ("FELIX_IPINIPMTU",),
    ),
    Setting(
        "vxlan_mtu",
        _mtu,
        "0",
        "MTU of the IPv4 VXLAN device; 0 is that of the interface underneath less 50.",
        ("FELIX_VXLANMTU",),
    ),
    Setting(
        "vxlan_mtu_v6",
        _mtu,
        "0",
        "MTU of the IPv6 VXLAN device; 0 is that of the interface underneath less 70.",
        ("FELIX_VXLANMTUV6",),
    ),
    Setting(
        "route_source",
        one_of("CalicoIPAM", "WorkloadIPs"),
        "CalicoIPAM",
        "What routes through overlays follow: blocks of addresses, or each workload's own where those know nothing.",
        ("FELIX_ROUTESOURCE",),
    ),
    Setting(
        "external_nodes_cidr_list",
        _nets,
        "",
        "Who may send this host VXLAN and IP in IP besides the nodes of the cluster: prefixes, joined by commas.",
        ("FELIX_EXTERNALNODESCIDRLIST",),
    ),
    Setting(
        "allow_vxlan_packets_from_workloads",
        flag,
        "false",
        "Whether workloads whose policy allows it may send VXLAN.",
        ("FELIX_ALLOWVXLANPACKETSFROMWORKLOADS",),
    ),
    Setting(
        "allow_ipip_packets_from_workloads",
        flag,
        "false",
        "Whether workloads whose policy allows it may send IP in IP.",
        ("FELIX_ALLOWIPIPPACKETSFROMWORKLOADS",),
    ),
    Setting(
        "nat_port_range",
        _port_range,
        "",
        "Source ports of TCP and UDP that leaves the pools, such as 32768:65535; any when empty.",
        ("FELIX_NATPORTRANGE",),
    ),
    Setting(
        "nat_outgoing_address",
        _addresses,
        "",
        "Source address of what leaves the pools, one of each family at most; that of the interface when empty.",
        ("FELIX_NATOUTGOINGADDRESS",),
    ),
    Setting(
        "nat_outgoing_exclusions",
        one_of("IPPoolsOnly", "IPPoolsAndHostIPs"),
        "IPPoolsOnly",
        "Destinations that are reached without translation.",
        ("FELIX_NATOUTGOINGEXCLUSIONS",),
    ),
    Setting(
        "nat_outgoing_interface_filter",
        _interface,
        "",
        "Only what leaves by this interface is translated; eth+ is every name that begins so, and empty is any.",
        ("FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER",),
    ),
    Setting(
        "service_loop_prevention",
        one_of("Drop", "Reject", "Disabled"),
        "Drop",
        "What happens to packets to announced service addresses that no service has.",
        ("FELIX_SERVICELOOPPREVENTION",),
    ),
    Setting(
        "floating_ips",
        one_of("Enabled", "Disabled"),
        "Disabled",
        "Whether endpoints may have floating addresses (`ipNATs`); those of OpenStack always may.",
        ("FELIX_FLOATINGIPS",),
    ),
    Setting(
        "workload_source_spoofing",
        one_of("Disabled", "Any"),
        "Disabled",
        "Any: endpoints may also send from their `allowSpoofedSourcePrefixes`.",
        ("FELIX_WORKLOADSOURCESPOOFING",),
    ),
    Setting(
        "metadata_addr",
        _metadata_address,
        "127.0.0.1",
        "Where virtual machines of OpenStack get their metadata from; none serves none.",
        ("FELIX_METADATAADDR",),
    ),
    Setting(
        "mtu_iface_pattern",
        _pattern,
        r"^((en|wl|ww|sl|ib)[Popsx].*|(eth|wlan|wwan|bond).*)",
        "Interfaces of the host whose MTU, less what tunnels need, is that of workloads; a regular expression.",
        ("FELIX_MTUIFACEPATTERN",),
    ),
    Setting("metadata_port", _used_port, "8775", "The TCP port there.", ("FELIX_METADATAPORT",)),
    Setting(
        "ip_forwarding",
        one_of("Enabled", "Disabled"),
        "Enabled",
        "Whether the agent switches forwarding on; Disabled is for hosts without workloads.",
        ("FELIX_IPFORWARDING",),
    ),
    Setting(
        "nftables_mark_mask",
        _mask,
        "0xffff0000",
        "Bits of packet marks that the packet filter may use, the lowest four of these; others are left alone.",
        ("FELIX_NFTABLESMARKMASK",),
    ),
)
