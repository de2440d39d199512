"""FelixConfigurations: which of them concern a node, in which order, and what a change of what they mean leads to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tortie.api.felixconfiguration import FelixConfiguration, FelixConfigurationSpec
from tortie.api.node import Node
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import IPNAT
from tortie.base.addresses import Cidr
from tortie.calculation.configurations import Configured
from tortie.calculation.graph import Calculation
from tortie.calculation.permissions import Permissions
from tortie.desired.settings import FilterSettings, NodeSettings


def felix(name: str, selector: str | None = None, made: str | None = None, **spec: object) -> FelixConfiguration:
    metadata = Metadata(name=name, creation_timestamp=made)
    return FelixConfiguration(metadata=metadata, spec=FelixConfigurationSpec(node_selector=selector, **spec))


def node(name: str = "here", **labels: str) -> Node:
    return Node(metadata=Metadata(name=name, labels=labels))


def configure(layers: Sequence[FelixConfiguration]) -> Configured:
    """The names of layers as the prefix of logs; one that forbids VXLAN has a problem."""
    return Configured(
        NodeSettings(FilterSettings(log_prefix=" ".join(one.metadata.name for one in layers))),
        Permissions(*[any(one.spec.floating_ips == "Enabled" for one in layers)] * 2),
        {one.key: "no such port" for one in layers if one.spec.vxlan_port == 0},
    )


class Run:
    """A calculation of the node `here`."""

    def __init__(self) -> None:
        self.calculation = Calculation("here", configure=configure)
        self.calculation.set_in_sync()

    def put(self, *resources: Any) -> None:
        for one in resources:
            self.calculation.update(one.key, one)

    def remove(self, *resources: Any) -> None:
        for one in resources:
            self.calculation.update(one.key, None)

    def told(self) -> str | None:
        """The prefix; None when nothing was told."""
        settings = self.calculation.flush().settings
        return None if isinstance(settings, msgspec.UnsetType) else settings.filter.log_prefix

    @property
    def problems(self) -> dict[ResourceKey, str]:
        return self.calculation.problems.current


@pytest.fixture
def run() -> Run:
    return Run()


OBJECTS = (
    felix("default"),
    felix("node.here"),
    felix("node.there"),
    felix("unselective"),
    felix("racks", "rack == '1'", "2026-01-02T00:00:00Z"),
    felix("older", "has(rack)", "2026-01-01T00:00:00Z"),
    felix("other", "rack == '2'", "2025-01-01T00:00:00Z"),
    node(rack="1"),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(OBJECTS))))[::4000])
def test_the_weakest_comes_first_in_whatever_order_they_are_told(run: Run, order: tuple[int, ...]) -> None:
    run.put(*(OBJECTS[index] for index in order))
    assert run.told() == "default older node.here"


def test_labels_of_the_node_decide_at_once(run: Run) -> None:
    run.put(*OBJECTS)
    assert run.told() == "default older node.here"
    run.put(node(rack="2"))
    assert run.told() == "default other node.here"
    run.put(node("there", rack="1"))
    assert run.told() is None
    run.remove(node())
    assert run.told() == "default node.here"


def test_settings_are_told_first_of_all_and_then_only_when_they_change(run: Run) -> None:
    assert run.told() == ""
    assert run.told() is None
    run.put(felix("node.there"), felix("unselective"))
    assert run.told() is None
    run.put(felix("default"))
    assert run.told() == "default"
    run.put(felix("default", vxlan_port=1))
    assert run.told() is None
    run.remove(felix("default"))
    assert run.told() == ""


def test_nothing_is_told_before_everything_is_known() -> None:
    calculation = Calculation("here", configure=configure)
    one = felix("default")
    calculation.update(one.key, one)
    assert calculation.flush().settings is msgspec.UNSET
    calculation.set_in_sync()
    assert isinstance(calculation.flush().settings, NodeSettings)


def test_problems_stay_as_long_as_their_cause(run: Run) -> None:
    bad, wrong = felix("default", vxlan_port=0), felix("wrong", "((")
    run.put(bad, wrong)
    run.told()
    assert run.problems.keys() == {bad.key, wrong.key}
    run.put(bad, node(rack="1"))
    run.told()
    assert run.problems.keys() == {bad.key, wrong.key}
    run.put(felix("default"))
    run.remove(wrong)
    run.told()
    assert not run.problems


def test_endpoints_get_and_lose_what_is_permitted(run: Run, make: Any) -> None:
    nat = IPNAT(internal_ip="10.0.0.1", external_ip="192.0.2.1")
    run.put(make.endpoint("a", "10.0.0.1", ip_nats=(nat,), allow_spoofed_source_prefixes=("192.0.2.0/24",)))
    run.put(make.endpoint("b", "10.0.0.2"))
    first = run.calculation.flush()
    assert {one.allowed_sources for one in first.endpoints} == {()}
    run.put(felix("default", floating_ips="Enabled"))
    allowed = run.calculation.flush()
    assert [one.allowed_sources for one in allowed.endpoints] == [(Cidr.parse("192.0.2.0/24"),)]
    assert [str(one.destination) for one in allowed.routes] == ["192.0.2.1/32"]
    run.remove(felix("default"))
    forbidden = run.calculation.flush()
    assert [one.allowed_sources for one in forbidden.endpoints] == [()]
    assert [str(one) for one in forbidden.removed_routes] == ["192.0.2.1/32"]


def test_an_endpoint_that_cannot_be_read_is_absent_whatever_is_permitted(run: Run, make: Any) -> None:
    run.put(make.endpoint("a", "10.0.0.1", allow_spoofed_source_prefixes=("nonsense",)))
    assert not run.calculation.flush().endpoints
    run.put(felix("default", floating_ips="Enabled"))
    assert not run.calculation.flush().endpoints
    assert len(run.problems) == 1


def test_nothing_is_held_when_everything_is_gone(run: Run) -> None:
    run.put(*OBJECTS)
    run.told()
    run.remove(*OBJECTS)
    run.told()
    assert run.calculation.is_empty()
