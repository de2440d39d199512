"""What stands around policies: settings of hosts, pools, and what workloads ask for besides being let through."""

from __future__ import annotations

from typing import Any

import msgspec
from model.contents import CAST, NETS4, NETS6, PORTS, Contents, guarded
from model.dice import Dice

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, CidrEntry
from tortie.api.felixconfiguration import FelixConfiguration, FelixConfigurationSpec, ProtoPort
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node, NodeBGP, NodeSpec, NodeStatus
from tortie.api.resource import Metadata, Resource
from tortie.api.workloadendpoint import IPNAT, QoSControls, WorkloadEndpoint
from tortie.desired.failsafes import PROTOCOLS
from tortie.desired.network import VXLAN_PORT

GUARDED_PORTS = (*PORTS, 22, VXLAN_PORT)
"""Ports that failsafes may spare."""


def with_settings(dice: Dice, contents: Contents) -> Contents:
    """The same, and what an operator may have said of hosts that makes a difference to packets."""
    return _with(contents, dice.several(_settings, 2))


def furnished(dice: Dice) -> Contents:
    """Everything that the packet filter carries out. What becomes of packets then, nobody foretells here."""
    found = {key: _asking(dice, one) for key, one in guarded(dice).items()}
    more = (*dice.several(_more_settings, 2), *dice.several(_pool, 3), *dice.several(_loops, 1), *_nodes(dice))
    return _with(Contents(found), more)


def _with(contents: Contents, more: tuple[Resource, ...]) -> Contents:
    return Contents({**contents, **{one.key: one for one in more}})


def _felix(dice: Dice, **more: Any) -> FelixConfiguration:
    spared = {
        f"failsafe_{way}_host_ports": dice.several(_failsafe, 12)
        for way in ("inbound", "outbound")
        if dice.happens(0.7)
    }
    reaching = dice.choice(("", "Accept", "Return", "Drop"))
    spec = FelixConfigurationSpec(default_endpoint_to_host_action=reaching, **spared, **more)
    return FelixConfiguration(metadata=Metadata(name=dice.choice(("default", "node.h1"))), spec=spec)


def _settings(dice: Dice) -> FelixConfiguration:
    return _felix(dice)


def _failsafe(dice: Dice) -> ProtoPort:
    protocol = dice.choice(("", *(name.lower() for name in PROTOCOLS.values())))
    return ProtoPort(protocol=protocol, port=dice.choice(GUARDED_PORTS), net=dice.choice(("", "", *NETS4, *NETS6)))


def _more_settings(dice: Dice) -> FelixConfiguration:
    return _felix(
        dice,
        floating_ips=dice.choice(("Enabled", "Enabled", "Disabled", None)),
        workload_source_spoofing=dice.choice(("Any", "Any", "Disabled")),
        service_loop_prevention=dice.choice(("", "Drop", "Reject", "Disabled")),
        nat_port_range=dice.choice((None, "32768:65535")),
        nat_outgoing_address=dice.choice(("", "172.31.0.9")),
        nat_outgoing_exclusions=dice.choice((None, "IPPoolsAndHostIPs")),
        external_nodes_list=dice.choice((None, ("172.31.0.254/32", "fd00:31::/64"))),
        allow_vxlan_packets_from_workloads=dice.choice((None, True)),
        allow_ipip_packets_from_workloads=dice.choice((None, True)),
        metadata_addr=dice.choice(("", "172.31.0.254")),
        log_prefix=dice.choice(("", "%t %n")),
        log_action_rate_limit=dice.choice((None, "10/minute")),
    )


def _pool(dice: Dice) -> IPPool:
    spec = IPPoolSpec(
        cidr=dice.choice(("10.65.0.0/16", "10.65.0.0/24", "fd00:65::/64", "192.0.2.0/24")),
        vxlan_mode=dice.choice(("", "Always", "CrossSubnet")),
        ipip_mode=dice.choice(("", "", "Always")),
        nat_outgoing=dice.happens(0.5),
        allowed_uses=dice.choice(((), ("Workload", "Tunnel"), ("LoadBalancer",))),
    )
    return IPPool(metadata=Metadata(name=dice.choice("ab")), spec=spec)


def _loops(dice: Dice) -> BGPConfiguration:
    entries = tuple(CidrEntry(cidr=one) for one in dice.some(("10.96.0.0/16", "fd00:96::/112", "192.0.2.0/24"), 2))
    return BGPConfiguration(metadata=Metadata(name="default"), spec=BGPConfigurationSpec(service_cluster_ips=entries))


def _nodes(dice: Dice) -> tuple[Node, ...]:
    return tuple(_node(dice, number) for number in (1, 2) if dice.happens(0.8))


def _node(dice: Dice, number: int) -> Node:
    spec = NodeSpec(
        bgp=NodeBGP(ipv4_address=f"172.31.0.{number}/24", ipv6_address=f"fd00:31::{number}/64"),
        ipv4_vxlan_tunnel_addr=dice.choice(("", f"10.65.9.{number}")),
        ipv6_vxlan_tunnel_addr=dice.choice(("", f"fd00:65::9:{number}")),
    )
    return Node(metadata=Metadata(name=f"h{number}"), spec=spec, status=NodeStatus())


def _asking(dice: Dice, one: Resource) -> Resource:
    """A workload with wishes, if it is one."""
    if not isinstance(one, WorkloadEndpoint):
        return one
    spec = msgspec.structs.replace(
        one.spec,
        qos_controls=dice.choice((None, _limits(dice))),
        ip_nats=dice.several(_floating, 2),
        allow_spoofed_source_prefixes=dice.choice(((), ("192.0.2.0/24",), ("10.65.0.0/30", "2001:db8::/32"))),
    )
    return msgspec.structs.replace(one, spec=spec)


def _limits(dice: Dice) -> QoSControls:
    fields = ("packet_rate", "packet_burst", "max_connections")
    asked = {
        f"{way}_{field}": dice.choice((1, 2, 1000, 65535))
        for way in ("ingress", "egress")
        for field in fields
        if dice.happens(0.5)
    }
    return QoSControls(**asked, dscp=dice.choice((None, 46, "AF11", 0)))


def _floating(dice: Dice) -> IPNAT:
    internal = dice.choice([address for member in CAST for address in member.addresses])
    outside = ("fd00:f::1", "fd00:f::2") if ":" in internal else ("192.0.2.1", "192.0.2.2")
    return IPNAT(internal_ip=internal, external_ip=dice.choice(outside))
