"""The parts of Kubernetes objects that conversion reads. Null is the same as absent.

An unknown field of an object is ignored, as it may be newer than this reader. In a rule of a policy
it is not: a field that narrows the rule would be overlooked, and the rule would allow too much.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tortie.base.errors import InvalidResource, Problem
from tortie.convert.converted import Unconvertible

T = TypeVar("T")

_UNKNOWN = "Object contains unknown field"


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """Ignores unknown fields."""


class _RulePart(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Refuses unknown fields."""


class ObjectMeta(_Part, frozen=True, kw_only=True):
    """Name, namespace, labels and annotations."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Named(_Part, frozen=True, kw_only=True):
    """A Namespace, a ServiceAccount, or any other object of which only the metadata counts."""

    metadata: ObjectMeta | None = None


class Expression(_RulePart, frozen=True, kw_only=True):
    """A requirement: `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(_RulePart, frozen=True, kw_only=True):
    """All labels and all expressions must match; with none of both it selects everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Expression, ...] | None = None


class IPBlock(_RulePart, frozen=True, kw_only=True):
    """A prefix without some parts of it."""

    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class Peer(_RulePart, frozen=True, kw_only=True):
    """Pods of this or of the selected namespaces, or a block of addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class Port(_RulePart, frozen=True, kw_only=True):
    """A port by number, range or name; TCP unless said otherwise, all ports of it when none is given."""

    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class Ingress(_RulePart, frozen=True, kw_only=True):
    """Allows these sources to these ports; no source is any, no port is all."""

    from_: tuple[Peer, ...] | None = msgspec.field(default=None, name="from")
    ports: tuple[Port, ...] | None = None


class Egress(_RulePart, frozen=True, kw_only=True):
    """Allows these destinations on these ports; no destination is any, no port is all."""

    to: tuple[Peer, ...] | None = None
    ports: tuple[Port, ...] | None = None


class NetworkPolicySpec(_Part, frozen=True, kw_only=True):
    """Rules are read one by one, so that one which cannot be read leaves the others standing."""

    pod_selector: LabelSelector | None = None
    policy_types: tuple[str, ...] | None = None
    ingress: tuple[Any, ...] | None = None
    egress: tuple[Any, ...] | None = None


class NetworkPolicy(_Part, frozen=True, kw_only=True):
    """A NetworkPolicy of `networking.k8s.io/v1`."""

    metadata: ObjectMeta | None = None
    spec: NetworkPolicySpec | None = None


class NodeAddress(_Part, frozen=True, kw_only=True):
    """An address or a name of a node; `type` says which."""

    type: str = ""
    address: str = ""


class NodeSpec(_Part, frozen=True, kw_only=True):
    """Prefixes that Kubernetes gave the pods of a node."""

    pod_cidrs: tuple[str, ...] | None = msgspec.field(default=None, name="podCIDRs")


class NodeStatus(_Part, frozen=True, kw_only=True):
    """Where a node can be reached."""

    addresses: tuple[NodeAddress, ...] | None = None


class KubernetesNode(_Part, frozen=True, kw_only=True):
    """A Node of `v1`."""

    spec: NodeSpec | None = None
    status: NodeStatus | None = None


def read(type: type[T], value: object, object: str, path: str = "") -> T:
    """A part of an object from decoded JSON or YAML.

    Args:
        object: what to call the object in problems.
        path: where in the object the part stands.

    Raises:
        InvalidResource: a field is missing or of the wrong type.
        Unconvertible: a rule has a field that is not known.
    """
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        field = _path(path, place)
        if problem.startswith(_UNKNOWN):
            message = f"has an unknown field{problem.removeprefix(_UNKNOWN)}"
            raise Unconvertible(field, message, "correct its spelling or leave it out") from error
        message = problem[:1].lower() + problem[1:]
        raise InvalidResource(Problem(object, field, message, "see the Kubernetes API reference")) from error


def named(document: Mapping[str, Any], kind: str) -> tuple[ObjectMeta, str]:
    """The metadata of an object, and what to call it in problems.

    Raises:
        InvalidResource: it has no name, or its metadata cannot be read.
    """
    metadata = read(Named, document, kind).metadata or ObjectMeta()
    if not metadata.name:
        raise InvalidResource(Problem(kind, "metadata.name", "is missing", "give the object a name"))
    place = f"{metadata.namespace}/" if metadata.namespace else ""
    return metadata, f"{kind} {place}{metadata.name}"


def _path(path: str, place: str) -> str:
    """`$.ports[0]`, or `key` in `$.labels`, below a path."""
    match = re.search(r"`\$\.?([^`]*)`", place)
    inner = match[1] if match else ""
    return f"{path}.{inner}" if path and inner else path or inner
