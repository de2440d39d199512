"""Peers and subjects of cluster-wide Kubernetes policies, as sides of our rules."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

import msgspec

from tortie.api.rules import EntityRule
from tortie.base.addresses import Cidr
from tortie.convert.converted import NotSupported, Unconvertible, both, each
from tortie.convert.labelselector import PODS, namespace_selector, node_selector, pod_selector
from tortie.convert.objects import LabelSelector, Part
from tortie.convert.prefixes import prefix

T = TypeVar("T")

WITHOUT_PORT_NAMES = ("nodes", "networks", "domain_names")
"""Peers whose ports have no names."""

LONGEST_SELECTOR = 1024
"""Characters that a selector of ours may have."""

MOST_NETWORKS = 256
"""Prefixes that one side of a rule of ours may have."""


class NamespacedPods(Part, frozen=True, kw_only=True):
    """Pods by their labels, in namespaces by theirs; every namespace when no selector is given."""

    pod_selector: LabelSelector
    namespace_selector: LabelSelector = LabelSelector()


class Subject(Part, frozen=True, kw_only=True):
    """What a policy applies to; exactly one field is set."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPods | None = None


def the_only(part: msgspec.Struct, path: str) -> str:
    """The one field of a part that is set. Raises Unconvertible."""
    fields = {field.name: field.encode_name for field in msgspec.structs.fields(part)}
    given = [name for name in fields if getattr(part, name) is not None]
    if len(given) != 1:
        problem = f"has {' and '.join(fields[name] for name in given)}" if given else "says nothing"
        raise Unconvertible(path, problem, f"give exactly one of {', '.join(fields.values())}")
    return given[0]


def pods_of(subject: Subject) -> EntityRule:
    """The pods that a policy applies to. Raises Unconvertible."""
    the_only(subject, "spec.subject")
    if subject.pods is not None:
        return namespaced_pods(subject.pods, "spec.subject.pods")
    return pods(subject.namespaces or LabelSelector(), "spec.subject.namespaces")


def pods(namespaces: LabelSelector, path: str, selector: LabelSelector | None = None, its_path: str = "") -> EntityRule:
    """The pods of some namespaces: all, or those that a selector selects. Nothing else that has the labels is meant.

    Raises:
        Unconvertible: a selector cannot be read.
    """
    its_own, of_its_namespace = both(
        lambda: _short(pod_selector(selector, its_path), its_path) if selector else PODS,
        lambda: _short(namespace_selector(namespaces, path), path),
    )
    return EntityRule(selector=its_own, namespace_selector=of_its_namespace)


def namespaced_pods(selected: NamespacedPods, path: str) -> EntityRule:
    """The pods that a pair of selectors selects. Raises Unconvertible."""
    return pods(selected.namespace_selector, f"{path}.namespaceSelector", selected.pod_selector, f"{path}.podSelector")


def _short(selector: str, path: str) -> str:
    if len(selector) > LONGEST_SELECTOR:
        problem = f"becomes a selector of {len(selector)} characters, of at most {LONGEST_SELECTOR}"
        raise Unconvertible(path, problem, "select by fewer labels or values")
    return selector


def networks(texts: Iterable[str], path: str) -> list[EntityRule]:
    """Prefixes, each family for itself, and as many side by side as need be. Raises Unconvertible."""
    found: dict[int, dict[str, None]] = {}
    for cidr in each(partial(_network, text, f"{path}[{index}]") for index, text in enumerate(texts)):
        found.setdefault(cidr.family, {})[str(cidr)] = None
    if not found:
        raise Unconvertible(path, "is empty", "give a prefix such as 10.0.0.0/8")
    return [EntityRule(nets=nets) for family in found.values() for nets in in_parts(tuple(family), MOST_NETWORKS)]


def _network(text: str, path: str) -> Cidr:
    cidr = prefix(text, path)
    if ":" in text and "." in text:
        raise Unconvertible(path, f"{text!r} is IPv4 within IPv6", "write it as IPv4, or in hex")
    return cidr


def in_parts(items: tuple[T, ...], most: int) -> list[tuple[T, ...]]:
    """The items in as many tuples as are needed when each may have so many; none at all is one empty tuple."""
    return [items[start : start + most] for start in range(0, len(items), most)] or [()]


def outside(peer: Any, path: str) -> list[EntityRule]:
    """What no pods are: nodes and networks; of domain names nothing is known here.

    Args:
        peer: has `nodes`, `networks` or `domain_names`.

    Raises:
        NotSupported: it is domain names.
        Unconvertible: a selector or prefix cannot be read.
    """
    if peer.nodes is not None:
        return [EntityRule(selector=_short(node_selector(peer.nodes, f"{path}.nodes"), f"{path}.nodes"))]
    if peer.networks is not None:
        return networks(peer.networks, f"{path}.networks")
    problem = "domain names as peers cannot be carried out"
    raise NotSupported(f"{path}.domainNames", problem, "give their addresses as networks")


def refuse_port_names(peers: Iterable[Any], path: str) -> None:
    """Names of ports are those of pods. Raises Unconvertible."""
    if any(getattr(peer, field, None) is not None for peer in peers for field in WITHOUT_PORT_NAMES):
        problem = "names a port, which nodes, networks and domain names do not have"
        raise Unconvertible(path, problem, "give numbers, or a rule of its own")
