"""The settings in force: who wins, what cannot be used, and what waits for another start."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tortie.agent.configuration import Configuration, effective
from tortie.agent.settings import read_values
from tortie.api.felixconfiguration import FelixConfiguration, FelixConfigurationSpec, ProtoPort
from tortie.api.resource import Metadata
from tortie.desired.failsafes import DEFAULT_FAILSAFES, Failsafe
from tortie.desired.settings import EndpointToHost, NodeSettings


def felix(name: str = "default", **spec: object) -> FelixConfiguration:
    return FelixConfiguration(metadata=Metadata(name=name), spec=FelixConfigurationSpec(**spec))


SOURCES = ("FelixConfiguration default", "FelixConfiguration node.n1", "configuration file", "environment")


@pytest.mark.parametrize("count", range(5))
def test_the_strongest_that_says_something_wins(count: int) -> None:
    texts = ("9001", "9002", "9003", "9004")[:count]
    names = ("default", "node.n1")[:count]
    layers = [felix(name, vxlan_port=int(text)) for name, text in zip(names, texts, strict=False)]
    file = f"vxlan_port = {texts[2]}" if count > 2 else ""
    environment = {"FELIX_VXLANPORT": texts[3]} if count > 3 else {}
    found = effective(read_values(environment, file), layers).values
    assert found.settings.vxlan_port == int(("4789", *texts)[count])
    assert found.origins["vxlan_port"].source.startswith(("default", *SOURCES)[count])


def test_each_setting_is_decided_by_itself() -> None:
    layers = [felix(vxlan_port=9001, log_prefix="all"), felix("node.n1", log_prefix="here")]
    found = effective(read_values({}), layers).values.settings
    assert (found.vxlan_port, found.log_prefix) == (9001, "here")


def test_a_value_that_cannot_be_used_is_told_and_the_weaker_one_holds() -> None:
    layers = [felix(vxlan_port=9001), felix("node.n1", vxlan_port=0, interface_prefix="cali,tap", log_prefix="x")]
    found = effective(read_values({}), layers)
    settings = found.values.settings
    assert (settings.vxlan_port, settings.interface_prefix, settings.log_prefix) == (9001, "cali", "x")
    (problem,) = found.problems.values()
    assert "spec.vxlanPort: '0' cannot be used: use a port from 1" in problem
    assert "spec.interfacePrefix: 'cali,tap' cannot be used: " in problem
    assert [key.name for key in found.problems] == ["node.n1"]


def test_a_value_that_cannot_be_used_is_told_though_the_host_says_otherwise() -> None:
    found = effective(read_values({"TORTIE_VXLAN_PORT": "9000"}), [felix(vxlan_port=0)])
    assert found.problems
    assert found.values.settings.vxlan_port == 9000


@pytest.mark.parametrize(
    ("environment", "spec", "ttl"),
    [
        ({}, {"reporting_interval": "2m0s"}, 90),
        ({}, {"reporting_interval": "2m0s", "reporting_ttl": "1m0s"}, 90),
        ({}, {"reporting_ttl": "10s", "endpoint_reporting_enabled": True}, 90),
        ({"TORTIE_REPORTING_TTL_SECONDS": "60"}, {"reporting_interval": "2m0s"}, 60),
    ],
)
def test_values_that_contradict_each_other_are_told_and_the_defaults_hold(
    environment: dict[str, str], spec: dict[str, object], ttl: int
) -> None:
    found = effective(read_values(environment), [felix(**spec)])
    assert (found.values.settings.reporting_interval, found.values.settings.reporting_ttl_seconds) == (0, ttl)
    assert "reporting_ttl_seconds" in "".join(found.problems.values())


def test_what_may_change_changes_and_goes_back() -> None:
    configuration = Configuration(read_values({}))
    heard = []
    configuration.listen(lambda settings: heard.append(settings.health_port))
    changed = configuration(
        [
            felix(
                failsafe_inbound_host_ports=(ProtoPort(port=22),),
                default_endpoint_to_host_action="Return",
                floating_ips="Enabled",
                ip_forwarding="Disabled",
                health_port=9100,
            )
        ]
    )
    assert changed.settings.filter.failsafes.inbound == (Failsafe(6, 22),)
    assert changed.settings.filter.failsafes.outbound == DEFAULT_FAILSAFES.outbound
    assert changed.settings.filter.endpoint_to_host is EndpointToHost.RETURN
    assert changed.permissions.floating_ips
    assert not changed.settings.forwards
    assert configuration.origins["health_port"].source == "FelixConfiguration default"
    back = configuration([])
    assert back.settings == NodeSettings()
    assert not back.permissions.floating_ips
    assert heard == [9100, 9099]
    assert not configuration.pending


def test_what_may_not_change_waits_and_says_so() -> None:
    configuration = Configuration(read_values({}))
    configuration.begin([felix(interface_prefix="tap")])
    assert configuration.settings.interface_prefix == "tap"
    configuration([felix(interface_prefix="tap")])
    assert not configuration.pending
    configured = configuration([felix(interface_prefix="eni", openstack_region="east")])
    assert configuration.settings.interface_prefix == "tap"
    assert configured.settings.filter.interface_prefixes == ("tap",)
    assert configuration.pending == (
        "interface_prefix is 'eni' by FelixConfiguration default, which takes effect when the agent starts again; "
        "'tap' is in force",
        "openstack_region is 'east' by FelixConfiguration default, which takes effect when the agent starts again; "
        "'' is in force",
    )
    configuration([felix(interface_prefix="tap")])
    assert not configuration.pending


def test_what_was_in_force_does_not_matter(many: Iterable[tuple[FelixConfiguration, ...]]) -> None:
    history = Configuration(read_values({}))
    for layers in many:
        fresh = Configuration(read_values({}))
        assert history(layers) == fresh(layers)


@pytest.fixture
def many() -> Iterable[tuple[FelixConfiguration, ...]]:
    bad, good = felix(vxlan_port=0, log_prefix="a"), felix("node.n1", vxlan_port=9001)
    return [(bad,), (good,), (bad, good), (), (good,), (bad,)]
