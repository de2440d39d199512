"""Every field of FelixConfiguration is a setting, or is known not to be carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.agent.felix_fields import ROWS
from tortie.agent.felix_unused import UNUSED
from tortie.agent.settings import TABLE
from tortie.api.felixconfiguration import FelixConfigurationSpec, ProtoPort, stored_name

PAGE = Path(__file__).parents[2] / "docs" / "felixconfiguration.md"


def test_every_field_is_carried_out_or_known_not_to_be() -> None:
    used = [row.field for row in ROWS]
    assert len(set(used)) == len(used)
    assert not UNUSED.keys() & set(used)
    assert {*used, *UNUSED, "node_selector"} == set(FelixConfigurationSpec.__struct_fields__)


def test_every_row_names_a_setting_that_exists_and_no_two_the_same() -> None:
    named = [row.setting for row in ROWS]
    assert len(set(named)) == len(named)
    assert set(named) <= {setting.name for setting in TABLE}


def test_the_page_tells_of_every_field() -> None:
    page = PAGE.read_text()
    for row in ROWS:
        when = "at once" if row.live else "when the agent starts again"
        assert f"| `{stored_name(row.field)}` | `{row.setting}` | {when} |" in page
    for field, reason in UNUSED.items():
        assert any(f"`{stored_name(field)}`" in line for line in page.splitlines() if line.startswith(f"| {reason} |"))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("failsafe_inbound_host_ports", (), "none"),
        (
            "failsafe_inbound_host_ports",
            (
                ProtoPort(port=22),
                ProtoPort(protocol="UDP", port=68, net="10.0.0.0/8"),
                ProtoPort(protocol="SCTP", port=1, net="fd00::/8"),
            ),
            "tcp:22, UDP:10.0.0.0/8:68, SCTP:[fd00::/8]:1",
        ),
        ("failsafe_outbound_host_ports", None, None),
        ("external_nodes_list", ("10.0.0.0/8", "fd00::/64"), "10.0.0.0/8, fd00::/64"),
        ("external_nodes_list", (), ""),
        ("nat_port_range", 80, "80:80"),
        ("nat_port_range", "80", "80:80"),
        ("nat_port_range", "80:90", "80:90"),
        ("allow_vxlan_packets_from_workloads", False, "false"),
        ("endpoint_reporting_delay", "1500ms", "1.5"),
        ("reporting_interval", "0s", "0.0"),
        ("reporting_interval", "soon", "soon"),
        ("reporting_ttl", "1m0.5s", "61"),
        ("log_prefix", "", None),
        ("health_port", 0, "0"),
        ("nftables_mark_mask", 0xF0000, "983040"),
    ],
)
def test_a_value_is_spelt_as_file_and_environment_would(field: str, value: object, text: str | None) -> None:
    (row,) = (row for row in ROWS if row.field == field)
    spelt = row.given(FelixConfigurationSpec(**{field: value}))
    assert spelt == text
    parse = next(setting.parse for setting in TABLE if setting.name == row.setting)
    if spelt is not None and spelt != "soon":
        parse(spelt)
