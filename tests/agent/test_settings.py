"""Settings: every source, which of them wins, and what is said of values that cannot be used."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.main import show
from tortie.agent.settings import TABLE, Settings, read_settings
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource
from tortie.desired.failsafes import Failsafe


def test_every_field_has_one_row_in_the_table_and_every_default_is_usable() -> None:
    settings, origins = read_settings({})
    assert [row.name for row in TABLE] == list(origins)
    about_etcd = {row.name for row in TABLE} - set(Settings.__struct_fields__)
    assert about_etcd == {row.name for row in TABLE if row.name.startswith(("datastore_", "etcd_"))}
    assert settings.interface_prefix == "cali"
    assert settings.health_port == 9099
    assert settings.netns is None
    assert settings.datastore == Path("/var/lib/tortie/datastore.db")
    assert {origin.source for name, origin in origins.items() if name != "node"} == {"default"}


def test_the_node_is_named_after_the_host_unless_said_otherwise() -> None:
    settings, origins = read_settings({})
    assert settings.node == socket.gethostname().lower()
    assert origins["node"].source == "host name"
    assert read_settings({"TORTIE_NODE": "n1"})[0].node == "n1"


def test_later_sources_win_and_the_origin_says_which_did() -> None:
    file = "log_level = warning\nhealth_port = 1\nrefresh_seconds = 5\n"
    environment = {"TORTIE_HEALTH_PORT": "2", "TORTIE_REFRESH_SECONDS": "6"}
    settings, origins = read_settings(environment, file, {"refresh_seconds": "7"})
    assert (settings.log_level, settings.health_port, settings.refresh_seconds) == ("warning", 2, 7.0)
    assert origins["log_level"].source == "configuration file"
    assert origins["health_port"].source == "environment TORTIE_HEALTH_PORT"
    assert origins["refresh_seconds"].source == "command line"
    assert origins["refresh_seconds"].value == "7"


def test_an_empty_variable_counts_as_unset() -> None:
    settings, origins = read_settings({"TORTIE_LOG_LEVEL": ""}, "log_level = error\n")
    assert settings.log_level == "error"
    assert origins["log_level"].source == "configuration file"


@pytest.mark.parametrize(
    ("variable", "value", "field", "meaning"),
    [
        ("FELIX_FELIXHOSTNAME", "n1", "node", "n1"),
        ("NODENAME", "n1", "node", "n1"),
        ("FELIX_INTERFACEPREFIX", "tap", "interface_prefix", "tap"),
        ("FELIX_DEFAULTENDPOINTTOHOSTACTION", "RETURN", "default_endpoint_to_host_action", "Return"),
        ("FELIX_FAILSAFEINBOUNDHOSTPORTS", "udp:68", "failsafe_inbound_host_ports", (Failsafe(17, 68),)),
        ("FELIX_FAILSAFEOUTBOUNDHOSTPORTS", "none", "failsafe_outbound_host_ports", ()),
        ("FELIX_ENDPOINTREPORTINGENABLED", "True", "endpoint_reporting_enabled", True),
        ("FELIX_ENDPOINTREPORTINGDELAYSECS", "0.5", "endpoint_reporting_delay_seconds", 0.5),
        ("FELIX_REPORTINGINTERVALSECS", "0", "reporting_interval_seconds", 0),
        ("FELIX_REPORTINGTTLSECS", "120", "reporting_ttl_seconds", 120),
        ("FELIX_ENDPOINTSTATUSPATHPREFIX", "/run/calico", "endpoint_status_path_prefix", Path("/run/calico")),
        ("FELIX_OPENSTACKREGION", "east-2", "openstack_region", "east-2"),
        ("FELIX_VXLANPORT", "8472", "vxlan_port", 8472),
        ("FELIX_EXTERNALNODESCIDRLIST", "10.0.0.0/8", "external_nodes_cidr_list", (Cidr.parse("10.0.0.0/8"),)),
        ("FELIX_ALLOWIPIPPACKETSFROMWORKLOADS", "true", "allow_ipip_packets_from_workloads", True),
        ("FELIX_NATPORTRANGE", "32768:65535", "nat_port_range", (32768, 65535)),
        ("FELIX_NATOUTGOINGADDRESS", "192.0.2.1", "nat_outgoing_address", (Cidr.parse("192.0.2.1"),)),
        ("FELIX_NATOUTGOINGEXCLUSIONS", "ippoolsandhostips", "nat_outgoing_exclusions", "IPPoolsAndHostIPs"),
        ("FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER", "eth+", "nat_outgoing_interface_filter", "eth+"),
        ("FELIX_SERVICELOOPPREVENTION", "reject", "service_loop_prevention", "Reject"),
        ("FELIX_FLOATINGIPS", "Enabled", "floating_ips", "Enabled"),
        ("FELIX_WORKLOADSOURCESPOOFING", "any", "workload_source_spoofing", "Any"),
        ("FELIX_METADATAADDR", "None", "metadata_addr", None),
        ("FELIX_METADATAPORT", "80", "metadata_port", 80),
        ("FELIX_HEALTHHOST", "0.0.0.0", "health_host", "0.0.0.0"),
        ("FELIX_HEALTHPORT", "9199", "health_port", 9199),
        ("FELIX_LOGSEVERITYSCREEN", "Warning", "log_level", "warning"),
        ("FELIX_LOGSEVERITYSCREEN", "Fatal", "log_level", "error"),
        ("FELIX_LOGSEVERITYSCREEN", "Trace", "log_level", "debug"),
    ],
)
def test_felixs_variables_are_understood_and_ours_win(variable: str, value: str, field: str, meaning: object) -> None:
    settings, origins = read_settings({variable: value})
    assert getattr(settings, field) == meaning
    assert origins[field].source == f"environment {variable}"
    both = read_settings({variable: value, f"TORTIE_{field.upper()}": value})[1]
    assert both[field].source == f"environment TORTIE_{field.upper()}"


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("health_port", "65536", "0 for none"),
        ("health_port", "-1", "0 for none"),
        ("health_port", "²", "0 for none"),
        ("refresh_seconds", "0", "above 0"),
        ("refresh_seconds", "nan", "above 0"),
        ("refresh_seconds", "inf", "above 0"),
        ("refresh_seconds", "soon", "above 0"),
        ("interface_prefix", "cali,tap", "one prefix only"),
        ("interface_prefix", "cäli", "one prefix only"),
        ("interface_prefix", "elevenchars", "up to 10"),
        ("default_endpoint_to_host_action", "Allow", "Drop, Accept, Return"),
        ("log_level", "loud", "debug, info, warning, error"),
        ("failsafe_inbound_host_ports", "tcp:all", "separated by commas"),
        ("node", "a/b", "Node resource"),
        ("vxlan_port", "0", "from 1"),
        ("external_nodes_cidr_list", "10.0.0.0/33", "separated by commas"),
        ("nat_port_range", "2:1", "32768:65535"),
        ("nat_port_range", "0:1", "32768:65535"),
        ("nat_port_range", "1:65536", "32768:65535"),
        ("nat_outgoing_address", "10.0.0.1,10.0.0.2", "one IPv4 address"),
        ("nat_outgoing_address", "10.0.0.0/8", "one IPv4 address"),
        ("nat_outgoing_interface_filter", "e th0", "eth+"),
        ("metadata_addr", "fd00::1", "an IPv4 address"),
        ("metadata_addr", "here", "an IPv4 address"),
        ("mtu_iface_pattern", "eth(", "regular expression"),
        ("endpoint_reporting_enabled", "maybe", "true or false"),
        ("endpoint_reporting_delay_seconds", "-1", "from 0"),
        ("endpoint_reporting_delay_seconds", "nan", "from 0"),
        ("reporting_interval_seconds", "often", "from 0"),
        ("reporting_ttl_seconds", "0", "from 1"),
        ("reporting_ttl_seconds", "1.5", "whole number"),
        ("reporting_ttl_seconds", "²", "whole number"),
        ("openstack_region", "east/2", "neutron.conf"),
        ("openstack_region", "a" * 47, "neutron.conf"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_source_and_what_would_be_right(
    field: str, value: str, remedy: str
) -> None:
    with pytest.raises(InvalidResource) as caught:
        read_settings({f"TORTIE_{field.upper()}": value})
    (problem,) = caught.value.problems
    assert (problem.object, problem.path) == (f"environment TORTIE_{field.upper()}", field)
    assert repr(value) in problem.problem
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("enabled", "interval", "every"),
    [("false", "", 0), ("true", "", 30), ("true", "0", 0), ("false", "10", 10), ("true", "10", 10)],
)
def test_signs_of_life_are_given_when_they_or_endpoints_are_asked_for(
    enabled: str, interval: str, every: float
) -> None:
    asked = {"TORTIE_ENDPOINT_REPORTING_ENABLED": enabled, "TORTIE_REPORTING_INTERVAL_SECONDS": interval}
    assert read_settings(asked)[0].reporting_interval == every


def test_a_sign_of_life_lasts_until_the_next() -> None:
    given = {"FELIX_REPORTINGTTLSECS": "30", "FELIX_ENDPOINTREPORTINGENABLED": "1"}
    with pytest.raises(InvalidResource, match="more than the 30 seconds"):
        read_settings(given)
    assert read_settings({**given, "FELIX_REPORTINGINTERVALSECS": "29.5"})[0].reporting_ttl_seconds == 30
    assert read_settings({"FELIX_REPORTINGTTLSECS": "30"})[0].reporting_interval == 0
    with pytest.raises(InvalidResource) as caught:
        read_settings({**given, "FELIX_REPORTINGINTERVALSECS": "x"})
    assert "reporting_interval_seconds" in [problem.path for problem in caught.value.problems]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidResource) as caught:
        read_settings({"TORTIE_HEALTH_PORT": "x", "TORTIE_LOG_LEVEL": "y"})
    assert [problem.path for problem in caught.value.problems] == ["health_port", "log_level"]
    with pytest.raises(InvalidResource) as caught:
        read_settings({}, "helth_port = 1\n# fine\nnode\n")
    assert [problem.path for problem in caught.value.problems] == ["line 1", "line 3"]
    assert "health_port" in caught.value.problems[0].remedy


def test_a_file_may_have_comments_sections_and_keys_in_capitals() -> None:
    settings, _ = read_settings({}, "[global]\n; one\n# two\n\n  Health_Port = 12 \nbird_directory=/run/a=b\n")
    assert settings.health_port == 12
    assert settings.bird_directory == Path("/run/a=b")


@given(st.text())
def test_no_file_does_worse_than_being_refused(text: str) -> None:
    try:
        read_settings({}, text)
    except InvalidResource as error:
        assert error.problems


def test_effective_settings_are_shown_with_their_origins(capsys: pytest.CaptureFixture[str]) -> None:
    show(read_settings({"FELIX_HEALTHPORT": "1"})[1])
    assert "health_port = 1    # environment FELIX_HEALTHPORT" in capsys.readouterr().out.splitlines()


def test_the_manuals_table_is_the_programs() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "agent.md").read_text()
    for row in TABLE:
        shown = row.default.replace("|", r"\|")
        default = f"`{shown}`" if shown else "empty"
        also = ", ".join(f"`{name}`" for name in row.also)
        assert f"| `{row.name}` | {default} | {row.meaning} | {also} |" in manual
