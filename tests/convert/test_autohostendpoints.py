"""Automatic host endpoints: one of all interfaces and those of templates, for each node that they select."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.defaults import with_defaults
from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.kubecontrollers import AutoHostEndpoints, HostEndpointTemplate
from tortie.api.node import Node, NodeAddress, NodeBGP, NodeInterface, NodeSpec
from tortie.api.resource import Metadata
from tortie.api.validation import problems
from tortie.convert.autohostendpoints import Changes, changes, host_endpoints, is_automatic
from tortie.selector.check import selector_problem

CREATED_BY = {"projectcalico.org/created-by": "calico-kube-controllers"}
INTERFACES = (
    NodeInterface(name="eth0", addresses=("10.0.0.1", "fd00::1")),
    NodeInterface(name="eth1", addresses=("192.168.1.1",)),
    NodeInterface(name="docker0", addresses=("172.17.0.1",)),
)


def node(name: str = "n1", **spec: Any) -> Node:
    bgp = NodeBGP(ipv4_address="10.0.0.1/24", ipv6_address="fd00::1/64")
    addresses = (NodeAddress(address="10.0.0.1", type="CalicoNodeIP"), NodeAddress(address="192.168.1.1"))
    return Node(
        metadata=Metadata(name=name, labels={"role": "db"}),
        spec=NodeSpec(**{"bgp": bgp, "addresses": addresses, "interfaces": INTERFACES} | spec),
    )


def made(*templates: HostEndpointTemplate, default: str = "Disabled", of: Node | None = None) -> list[HostEndpoint]:
    settings = AutoHostEndpoints(
        auto_create="Enabled", create_default_host_endpoint=default, templates=tuple(templates)
    )
    return list(host_endpoints(settings, of or node()))


@pytest.mark.parametrize("settings", [None, AutoHostEndpoints(), AutoHostEndpoints(auto_create="Disabled")])
def test_nothing_is_made_unless_it_is_asked_for(settings: AutoHostEndpoints | None) -> None:
    assert host_endpoints(settings, node()) == ()


@pytest.mark.parametrize("default", ["", "Enabled"])
def test_the_one_of_all_interfaces_has_all_known_addresses_and_the_nodes_labels(default: str) -> None:
    (found,) = made(default=default, of=node(ipv4_vxlan_tunnel_addr="10.1.0.1"))
    assert found == HostEndpoint(
        metadata=Metadata(name="n1-auto-hep", labels={"role": "db"} | CREATED_BY),
        spec=HostEndpointSpec(
            node="n1",
            interface_name="*",
            expected_ips=("10.0.0.1", "fd00::1", "192.168.1.1", "10.1.0.1"),
            profiles=("projectcalico-default-allow",),
        ),
    )


def test_a_node_without_addresses_has_no_default_one() -> None:
    assert made(default="Enabled", of=node(bgp=None, addresses=())) == []


def test_a_template_with_prefixes_is_of_the_addresses_within() -> None:
    template = HostEndpointTemplate(generate_name="internal", interface_cidrs=("10.0.0.0/8", "fd00::/8"))
    (found,) = made(template)
    assert found.metadata.name == "n1-internal-auto-hep"
    assert (found.spec.interface_name, found.spec.expected_ips) == ("", ("10.0.0.1", "fd00::1"))


@pytest.mark.parametrize("prefixes", [(), ("203.0.113.0/24",)])
def test_a_template_of_no_address_and_no_interface_makes_none(prefixes: tuple[str, ...]) -> None:
    assert made(HostEndpointTemplate(generate_name="x", interface_cidrs=prefixes)) == []


def test_a_template_with_a_pattern_is_of_each_interface_that_it_finds() -> None:
    found = made(HostEndpointTemplate(generate_name="t", interface_pattern="^eth"))
    assert [(one.metadata.name, one.spec.interface_name, one.spec.expected_ips) for one in found] == [
        ("n1-t-eth0-auto-hep", "eth0", ("10.0.0.1", "fd00::1")),
        ("n1-t-eth1-auto-hep", "eth1", ("192.168.1.1",)),
    ]


def test_prefixes_choose_among_the_interfaces_of_a_pattern() -> None:
    (found,) = made(HostEndpointTemplate(generate_name="t", interface_pattern="e", interface_cidrs=("10.0.0.0/8",)))
    assert (found.spec.interface_name, found.spec.expected_ips) == ("eth0", ("10.0.0.1",))


@pytest.mark.parametrize(("selector", "count"), [("role == 'db'", 1), ("role == 'web'", 0), ("", 1), ("all()", 1)])
def test_a_template_is_for_the_nodes_that_it_selects(selector: str, count: int) -> None:
    assert len(made(HostEndpointTemplate(interface_cidrs=("10.0.0.0/8",), node_selector=selector))) == count


def test_labels_are_the_nodes_and_the_templates_and_annotations_the_templates_alone() -> None:
    labels = {"role": "edge", "projectcalico.org/created-by": "me"}
    template = HostEndpointTemplate(interface_cidrs=("10.0.0.0/8",), labels=labels, annotations={"a": "b"})
    (found,) = made(template)
    assert found.metadata.labels == {"role": "edge"} | CREATED_BY
    assert found.metadata.annotations == {"a": "b"}


def test_of_two_with_one_name_the_first_is_made() -> None:
    (found,) = made(HostEndpointTemplate(interface_cidrs=("10.0.0.0/8",)), default="Enabled")
    assert found.spec.interface_name == "*"


def test_names_that_would_be_too_long_differ_still() -> None:
    names = [made(default="Enabled", of=node("n" * 250 + last))[0].metadata.name for last in ("aaa", "bbb")]
    assert len(set(names)) == 2
    assert all(len(name) <= 253 and name.endswith("-auto-hep") for name in names)


@pytest.mark.parametrize("template", [{"interface_cidrs": ("here",)}, {"node_selector": "((("}])
def test_what_cannot_be_read_is_an_error(template: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        made(HostEndpointTemplate(**template))


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?(\.[a-z0-9]{1,60}){0,3}", fullmatch=True)


@given(NAMES, NAMES, st.sampled_from(["", "eth", "0"]), st.sampled_from([(), ("10.0.0.0/8",)]))
def test_all_of_them_can_be_stored(name: str, generated: str, pattern: str, prefixes: tuple[str, ...]) -> None:
    template = HostEndpointTemplate(generate_name=generated, interface_pattern=pattern, interface_cidrs=prefixes)
    for endpoint in made(template, default="Enabled", of=node(name)):
        assert problems(with_defaults(endpoint), selector_problem) == []
        assert is_automatic(endpoint)


def renamed(endpoint: HostEndpoint, name: str, **labels: str) -> HostEndpoint:
    return msgspec.structs.replace(endpoint, metadata=Metadata(name=name, labels=labels))


def test_what_is_right_is_not_written_and_what_is_not_wanted_goes() -> None:
    (wanted,) = made(default="Enabled")
    stored = msgspec.structs.replace(wanted, metadata=msgspec.structs.replace(wanted.metadata, uid="u"))
    assert changes([wanted], [stored]) == Changes((), ())
    assert changes([wanted], []) == Changes((wanted,), ())
    assert changes([], [stored]) == Changes((), ("n1-auto-hep",))
    other = msgspec.structs.replace(stored, spec=HostEndpointSpec(node="n1", interface_name="eth0"))
    assert changes([wanted], [other]) == Changes((wanted,), ())


def test_host_endpoints_that_people_wrote_are_left_alone() -> None:
    (wanted,) = made(default="Enabled")
    assert changes([wanted], [renamed(wanted, "n1-auto-hep"), renamed(wanted, "mine")]) == Changes((), ())
