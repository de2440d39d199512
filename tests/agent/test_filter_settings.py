"""What the settings of an agent mean for its packet filter and its calculation."""

from __future__ import annotations

from tortie.agent.filter_settings import filter_settings, permissions
from tortie.agent.settings import read_settings
from tortie.base.addresses import Cidr
from tortie.calculation.permissions import NO_PERMISSIONS, Permissions
from tortie.dataplane.nftables.settings import MetadataService, Outgoing, ServiceLoops
from tortie.dataplane.nftables.settings import Settings as FilterSettings


def test_defaults_are_those_of_the_packet_filter_and_permit_nothing() -> None:
    settings, _ = read_settings({})
    assert filter_settings(settings) == FilterSettings()
    assert permissions(settings) == NO_PERMISSIONS


def test_what_is_set_arrives() -> None:
    asked = {
        "TORTIE_VXLAN_PORT": "8472",
        "TORTIE_EXTERNAL_NODES_CIDR_LIST": "192.0.2.0/24, fd00::1",
        "TORTIE_ALLOW_VXLAN_PACKETS_FROM_WORKLOADS": "true",
        "TORTIE_NAT_PORT_RANGE": "1000-2000",
        "TORTIE_NAT_OUTGOING_ADDRESS": "192.0.2.1,fd00::1",
        "TORTIE_NAT_OUTGOING_EXCLUSIONS": "IPPoolsAndHostIPs",
        "TORTIE_NAT_OUTGOING_INTERFACE_FILTER": "eth0",
        "TORTIE_SERVICE_LOOP_PREVENTION": "Disabled",
        "TORTIE_FLOATING_IPS": "Enabled",
        "TORTIE_WORKLOAD_SOURCE_SPOOFING": "Any",
    }
    settings, _ = read_settings(asked)
    assert filter_settings(settings) == FilterSettings(
        vxlan_port=8472,
        external_nodes=(Cidr.parse("192.0.2.0/24"), Cidr.parse("fd00::1")),
        vxlan_from_workloads=True,
        nat=Outgoing((Cidr.parse("192.0.2.1"), Cidr.parse("fd00::1")), (1000, 2000), True, "eth0"),
        service_loops=ServiceLoops.DISABLED,
    )
    assert permissions(settings) == Permissions(floating_ips=True, source_spoofing=True)


def test_virtual_machines_of_openstack_have_their_services() -> None:
    settings, _ = read_settings({"FELIX_INTERFACEPREFIX": "tap", "FELIX_METADATAADDR": "192.0.2.7"})
    found = filter_settings(settings)
    assert found.openstack
    assert found.metadata == MetadataService(Cidr.parse("192.0.2.7"), 8775)
    assert permissions(settings).floating_ips
    without, _ = read_settings({"FELIX_INTERFACEPREFIX": "tap", "FELIX_METADATAADDR": "none"})
    assert filter_settings(without).metadata is None
