"""Automatic host endpoints: what the settings of the node controller want for a node. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tortie.api.hostendpoint import HostEndpoint, HostEndpointSpec
from tortie.api.kubecontrollers import AutoHostEndpoints, HostEndpointTemplate
from tortie.api.node import Node
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.base.hashes import short_hash
from tortie.convert.nodeaddresses import node_addresses
from tortie.selector.parser import parse

CREATED_BY = ("projectcalico.org/created-by", "calico-kube-controllers")
"""The label that all of them have, and no other; Calico's controllers know theirs by it too."""

SUFFIX = "auto-hep"
"""How their names end."""

PROFILE = "projectcalico-default-allow"
"""Allows what no policy governs."""

ALL_INTERFACES = "*"
LONGEST = 253
"""Characters that the name of a host endpoint may have."""

ENABLED, DISABLED = "Enabled", "Disabled"


class Changes(msgspec.Struct, frozen=True):
    """What must be written and what deleted."""

    write: tuple[HostEndpoint, ...]
    delete: tuple[str, ...]


def host_endpoints(settings: AutoHostEndpoints | None, node: Node) -> tuple[HostEndpoint, ...]:
    """The host endpoints of a node: one of all its interfaces, and those of the templates that select it.

    Of two with one name the first is made.

    Raises:
        ValueError: an address, prefix, selector or regular expression cannot be read.
    """
    if settings is None or settings.auto_create != ENABLED:
        return ()
    found: dict[str, HostEndpoint] = {}
    for endpoint in _wanted(settings, node):
        found.setdefault(endpoint.metadata.name, endpoint)
    return tuple(found.values())


def changes(wanted: Sequence[HostEndpoint], present: Iterable[HostEndpoint]) -> Changes:
    """What makes the present automatic host endpoints the wanted ones. Others are left alone, even by name."""
    there = {endpoint.metadata.name: endpoint for endpoint in present}
    names = {endpoint.metadata.name for endpoint in wanted}
    return Changes(
        write=tuple(one for one in wanted if _must_be_written(one, there.get(one.metadata.name))),
        delete=tuple(sorted(name for name, one in there.items() if is_automatic(one) and name not in names)),
    )


def is_automatic(endpoint: HostEndpoint) -> bool:
    """Whether a host endpoint was made from settings."""
    label, value = CREATED_BY
    return endpoint.metadata.labels.get(label) == value


def _must_be_written(wanted: HostEndpoint, present: HostEndpoint | None) -> bool:
    if present is None:
        return True
    same = all(
        getattr(wanted.metadata, field) == getattr(present.metadata, field) for field in ("labels", "annotations")
    )
    return is_automatic(present) and not (same and wanted.spec == present.spec)


def _wanted(settings: AutoHostEndpoints, node: Node) -> Iterator[HostEndpoint]:
    addresses = node_addresses(node)
    if settings.create_default_host_endpoint != DISABLED and addresses:
        yield _made(node, (), ALL_INTERFACES, addresses)
    for template in settings.templates:
        if parse(template.node_selector or "all()").matches(node.metadata.labels):
            yield from _of_template(template, node, addresses)


def _of_template(template: HostEndpointTemplate, node: Node, addresses: tuple[Cidr, ...]) -> Iterator[HostEndpoint]:
    """One for each interface that the pattern finds anywhere in its name; without a pattern one of the prefixes."""
    prefixes = tuple(Cidr.parse(text) for text in template.interface_cidrs)
    if not template.interface_pattern:
        if chosen := _within(addresses, prefixes):
            yield _made(node, (template.generate_name,), "", chosen, template)
        return
    pattern = re.compile(template.interface_pattern)
    for interface in node.spec.interfaces:
        held = tuple(Cidr.host(text) for text in interface.addresses)
        chosen = _within(held, prefixes) if prefixes else held
        if pattern.search(interface.name) and (chosen or not prefixes):
            yield _made(node, (template.generate_name, interface.name), interface.name, chosen, template)


def _within(addresses: Iterable[Cidr], prefixes: Iterable[Cidr]) -> tuple[Cidr, ...]:
    prefixes = tuple(prefixes)
    return tuple(address for address in addresses if any(prefix.contains(address) for prefix in prefixes))


def _made(
    node: Node,
    parts: tuple[str, ...],
    interface: str,
    addresses: tuple[Cidr, ...],
    template: HostEndpointTemplate | None = None,
) -> HostEndpoint:
    template = template or HostEndpointTemplate()
    labels = node.metadata.labels | template.labels | dict((CREATED_BY,))
    return HostEndpoint(
        metadata=Metadata(name=_name(node.metadata.name, *parts), labels=labels, annotations=template.annotations),
        spec=HostEndpointSpec(
            node=node.metadata.name,
            interface_name=interface,
            expected_ips=tuple(address.text for address in addresses),
            profiles=(PROFILE,),
        ),
    )


def _name(*parts: str) -> str:
    """Node, template, interface and suffix; one that would be too long ends in a hash of the whole."""
    name = "-".join(part for part in (*parts, SUFFIX) if part)
    if len(name) <= LONGEST:
        return name
    ending = f"-{short_hash(name)}-{SUFFIX}"
    return name[: LONGEST - len(ending)].rstrip("-.") + ending
