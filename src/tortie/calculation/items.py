"""What can be a member of an IP set, taken from resources: labels, parents, addresses and named ports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import msgspec

from tortie.api.hostendpoint import HostEndpoint
from tortie.api.hostendpoint import NamedPort as HostPort
from tortie.api.networkset import GlobalNetworkSet, NetworkSet
from tortie.api.node import Node
from tortie.api.resource import Resource
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint
from tortie.base.addresses import Cidr, packed_host
from tortie.calculation.labels import Labels, Parents
from tortie.calculation.protocols import protocol_number
from tortie.convert.nodeaddresses import node_addresses
from tortie.selector.endpointlabels import ORCHESTRATOR, account_labels, chosen_labels, own_labels
from tortie.selector.scoping import NAMESPACE, NODE


class NamedPort(msgspec.Struct, frozen=True, order=True, gc=False):
    """A port that an endpoint names."""

    name: str
    protocol: int
    port: int


class Item(msgspec.Struct, frozen=True, gc=False):
    """One possible member. Addresses are packed, sorted and distinct; `nets` are shorter than an address; labels are
    in no order."""

    labels: Labels
    parents: Parents
    hosts4: bytes = b""
    hosts6: bytes = b""
    nets: tuple[Cidr, ...] = ()
    ports: tuple[NamedPort, ...] = ()


def item_of(resource: Resource) -> Item | None:
    """The item that a resource stands for, or None for a resource of another kind.

    Raises:
        ValueError: an address or protocol cannot be read, or an endpoint has neither interface nor address.
    """
    if isinstance(resource, WorkloadEndpoint):
        return _endpoint(resource)
    if isinstance(resource, HostEndpoint):
        return _host(resource)
    if isinstance(resource, NetworkSet):
        namespace = resource.metadata.namespace
        labels = chosen_labels(resource.metadata.labels) | {NAMESPACE: namespace}
        return _item(labels, (f"kns.{namespace}",), resource.spec.nets, ())
    if isinstance(resource, GlobalNetworkSet):
        return _item(resource.metadata.labels, (), resource.spec.nets, ())
    if isinstance(resource, Node):
        return _item(
            _without_namespace(resource) | {NODE: resource.metadata.name},
            (),
            tuple(map(str, node_addresses(resource))),
            (),
        )
    return None


def _endpoint(endpoint: WorkloadEndpoint) -> Item:
    spec = endpoint.spec
    if not spec.interface_name:
        raise ValueError("endpoint without an interface name")
    labels = own_labels(endpoint.metadata.labels)
    labels[NAMESPACE] = endpoint.metadata.namespace
    if spec.service_account_name:
        labels |= account_labels(spec.service_account_name)
    if spec.orchestrator:
        labels[ORCHESTRATOR] = spec.orchestrator
    return _item(labels, spec.profiles, spec.ip_networks, _ports(spec.ports))


def _host(endpoint: HostEndpoint) -> Item:
    """A host is in no namespace, so no policy of a namespace selects it."""
    spec = endpoint.spec
    if not (spec.interface_name or spec.expected_ips):
        raise ValueError("host endpoint without an interface name or an expected address")
    addresses = tuple(str(Cidr.host(address)) for address in spec.expected_ips)
    return _item(_without_namespace(endpoint), spec.profiles, addresses, _ports(spec.ports))


def _without_namespace(resource: Resource) -> dict[str, str]:
    return {label: value for label, value in resource.metadata.labels.items() if label != NAMESPACE}


def _ports(ports: tuple[EndpointPort, ...] | tuple[HostPort, ...]) -> tuple[NamedPort, ...]:
    if not ports:
        return ()
    return tuple(NamedPort(sys.intern(one.name), protocol_number(one.protocol), one.port) for one in ports if one.name)


def _item(
    labels: Mapping[str, str], parents: tuple[str, ...], nets: tuple[str, ...], ports: tuple[NamedPort, ...]
) -> Item:
    hosts4, hosts6, rest = set(), set(), set()
    for net in nets:
        packed = packed_host(net)
        if packed is None:
            rest.add(Cidr.parse(net))
        elif len(packed) == 4:
            hosts4.add(packed)
        else:
            hosts6.add(packed)
    return Item(
        labels=tuple(labels.items()),
        parents=parents,
        hosts4=b"".join(sorted(hosts4)),
        hosts6=b"".join(sorted(hosts6)),
        nets=tuple(sorted(rest)),
        ports=tuple(sorted(set(ports))) if ports else (),
    )


def check_interface(name: str, is_of_host: Callable[[str], bool]) -> None:
    """Policy of a workload must not govern what the host does by an interface of its own.

    Raises:
        ValueError: it is not the workload's.
    """
    if is_of_host(name):
        raise ValueError(f"interface {name} has addresses of the host, so it is no workload's: use a HostEndpoint")
