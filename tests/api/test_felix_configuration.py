"""Settings of agents: names, what is stored, what is filled in, and limits that the public cases leave out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tortie.api import codec
from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.felix_fields import DURATION, FELIX_FIELDS
from tortie.api.felixconfiguration import FelixConfigurationSpec, stored_name
from tortie.api.resource import Resource
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource


def read(spec: dict[str, Any], name: str = "some") -> Resource:
    return codec.decode("FelixConfiguration", msgspec.json.encode({"metadata": {"name": name}, "spec": spec}))


def paths(spec: dict[str, Any], name: str = "some") -> list[str]:
    found = problems(with_defaults(read(spec, name)), lambda text: "it is bad" if "bad" in text else None)
    return [problem.path.removeprefix("spec.") for problem in found]


def filled(name: str) -> dict[str, Any]:
    return dict(codec.to_mapping(with_defaults(read({"floatingIPs": "Enabled"}, name)))["spec"])


@pytest.mark.parametrize(
    "name",
    [
        "allowIPIPPacketsFromWorkloads",
        "allowVXLANPacketsFromWorkloads",
        "awsSrcDstCheck",
        "bpfCTLBLogFilter",
        "bpfDSROptoutCIDRs",
        "bpfDisableGROForIfaces",
        "bpfEnforceRPF",
        "bpfExcludeCIDRsFromNAT",
        "bpfExportBufferSizeMB",
        "bpfHostNetworkedNATWithoutCTLB",
        "bpfIPFragTimeout",
        "bpfJITHardening",
        "bpfL3IfacePattern",
        "bpfMapSizeIPSets",
        "bpfMapSizeNATBackend",
        "bpfMapSizePerCpuConntrack",
        "bpfOverlayHostSourceIP",
        "bpfPSNATPorts",
        "cgroupV2Path",
        "deviceRouteSourceAddressIPv6",
        "floatingIPs",
        "genericXDPEnabled",
        "goGCThreshold",
        "goMemoryLimitMB",
        "ipForwarding",
        "ipipMTU",
        "iptablesNATOutgoingInterfaceFilter",
        "ipv6ElevatedRoutePriority",
        "ipv6Support",
        "istioDSCPMark",
        "localSubnetL2ReachabilityRefreshInterval",
        "maxIpsetSize",
        "mtuIfacePattern",
        "natOutgoingAddress",
        "nftablesFlowTableDataIfacePattern",
        "prometheusMetricsCAFile",
        "prometheusWireGuardMetricsEnabled",
        "reportingTTL",
        "requireMTUFile",
        "vxlanMTUV6",
        "vxlanVNI",
        "wireguardKeepAlive",
        "xdpEnabled",
    ],
)
def test_fields_have_the_names_that_people_know(name: str) -> None:
    assert name in {field.encode_name for field in msgspec.structs.fields(FelixConfigurationSpec)}


def test_acronyms_are_upper_case_except_in_front() -> None:
    assert stored_name("bpf_map_size_ip_sets") == "bpfMapSizeIPSets"
    assert stored_name("ip_forwarding") == "ipForwarding"


def test_every_duration_is_judged_as_one() -> None:
    annotated = {name for name, type in FelixConfigurationSpec.__annotations__.items() if type == "Duration | None"}
    table = FELIX_FIELDS[FelixConfigurationSpec]
    assert annotated == {name for name, field in table.items() if field is DURATION}
    assert len(annotated) > 20


def test_the_log_level_of_programs_is_always_stored() -> None:
    assert codec.encode(read({})).endswith(b'"spec":{"bpfLogLevel":""}}')


def test_an_explicit_zero_or_empty_list_is_not_absence() -> None:
    spec = {"failsafeInboundHostPorts": [], "ipipMTU": 0, "bpfLogLevel": "", "bpfEnabled": False}
    stored = codec.encode(read({**spec, "externalNodesList": []}))
    expected = {"ipipMTU": 0, "failsafeInboundHostPorts": [], "externalNodesList": [], "bpfEnabled": False}
    assert msgspec.json.decode(stored)["spec"] == {**expected, "bpfLogLevel": ""}


def test_only_the_object_for_all_nodes_is_filled_in() -> None:
    assert filled("default") == {
        "nftablesMode": "Auto",
        "nftablesFlowTableOffload": "Disabled",
        "bpfLogLevel": "",
        "bpfConnectTimeLoadBalancing": "TCP",
        "bpfHostNetworkedNATWithoutCTLB": "Enabled",
        "floatingIPs": "Enabled",
    }
    assert filled("node.n1") == {"bpfLogLevel": "", "floatingIPs": "Enabled"}


@pytest.mark.parametrize(("name", "refused"), [("default", True), ("node.n1", True), ("edge", False)])
def test_a_node_selector_needs_a_name_of_its_own(name: str, refused: bool) -> None:
    assert paths({"nodeSelector": "edge"}, name) == (["nodeSelector"] if refused else [])


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"nodeSelector": "bad"}, "nodeSelector"),
        ({"routeRefreshInterval": "90"}, "routeRefreshInterval"),
        ({"reportingTTL": "-1s"}, "reportingTTL"),
        ({"debugPort": 65536}, "debugPort"),
        ({"debugPort": -1}, "debugPort"),
        ({"bpfExtToServiceConnmark": 2**32}, "bpfExtToServiceConnmark"),
        ({"wireguardListeningPort": 0}, "wireguardListeningPort"),
        ({"wireguardRoutingRulePriority": 32766}, "wireguardRoutingRulePriority"),
        ({"bpfMaglevMaxServices": 3001}, "bpfMaglevMaxServices"),
        ({"logActionRateLimit": "10/week"}, "logActionRateLimit"),
        ({"logActionRateLimitBurst": 10_000}, "logActionRateLimitBurst"),
        ({"logPrefix": "a\n"}, "logPrefix"),
        ({"featureDetectOverride": "A=maybe"}, "featureDetectOverride"),
        ({"featureGates": "A"}, "featureGates"),
        ({"bpfL3IfacePattern": "("}, "bpfL3IfacePattern"),
        ({"bpfConntrackTimeouts": {"tcpSynSent": "auto"}}, "bpfConntrackTimeouts.tcpSynSent"),
        ({"bpfLogFilters": {"eth 0": "tcp"}}, "bpfLogFilters[eth 0]"),
        ({"natPortRange": "http"}, "natPortRange"),
        ({"istioDSCPMark": 64}, "istioDSCPMark"),
        ({"failsafeInboundHostPorts": [{"protocol": "ICMP", "port": 1}]}, "failsafeInboundHostPorts[0].protocol"),
        ({"failsafeOutboundHostPorts": [{"port": 1, "net": "x"}]}, "failsafeOutboundHostPorts[0].net"),
        ({"healthTimeoutOverrides": [{"name": "a"}]}, "healthTimeoutOverrides[0].timeout"),
        ({"routeTableRanges": [{"min": 1, "max": 60_000}, {"min": 60_001, "max": 70_000}]}, "routeTableRanges"),
    ],
)
def test_values_have_limits(spec: dict[str, Any], path: str) -> None:
    assert paths(spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        {"chainInsertMode": "append", "logSeverityScreen": "INFO", "defaultEndpointToHostAction": "RETURN"},
        {"failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22, "net": "10.0.0.0/8"}]},
        {"bpfConntrackTimeouts": {"tcpFinsSeen": "Auto", "udpTimeout": "60s"}},
        {"featureDetectOverride": "A=true,B=,C=false", "featureGates": "A=enabled,B=5"},
        {"kubeNodePortRanges": ["30000:32767"], "natPortRange": 1024, "bpfPSNATPorts": "20000:29999"},
        {"istioDSCPMark": "EF", "goGCThreshold": -1, "bpfLogFilters": {"all": "tcp"}},
    ],
)
def test_what_people_write_is_taken(spec: dict[str, Any]) -> None:
    assert paths(spec) == []


def test_an_unknown_setting_is_refused_with_a_hint() -> None:
    text = (
        "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\nspec: {bpfEnable: true}"
    )
    (document,) = read_documents(text)
    with pytest.raises(InvalidResource, match="is not a field") as caught:
        load_resource(document)
    assert caught.value.problems[0].remedy == "did you mean bpfEnabled?"
