"""Which documents are Kubernetes objects, and what each becomes in a datastore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import msgspec

from tortie.api.kinds import KINDS
from tortie.api.policy import NetworkPolicy
from tortie.api.resource import API_VERSION
from tortie.base.errors import InvalidResource, Problem
from tortie.convert import adminnetworkpolicy, clusternetworkpolicy
from tortie.convert import namespace as namespaces
from tortie.convert import node as nodes
from tortie.convert import serviceaccount as accounts
from tortie.convert.adminpolicy import Form, global_network_policy
from tortie.convert.adminpolicy import stored as stored_globally
from tortie.convert.converted import Converted
from tortie.convert.networkpolicy import network_policy, stored

__all__ = ["Converted", "can_convert", "convert", "is_kubernetes"]


def is_kubernetes(document: Mapping[str, Any]) -> bool:
    """Whether a document is of one of Kubernetes' own API groups (`v1`, `apps/v1`, `networking.k8s.io/v1`)."""
    version = document.get("apiVersion")
    if not isinstance(version, str):
        return False
    group = version.rpartition("/")[0]
    return version == "v1" or group.endswith(".k8s.io") or ("/" in version and "." not in group)


def can_convert(document: Mapping[str, Any]) -> bool:
    """Whether `convert` knows the kind of a document."""
    return _identity(document) in _CONVERSIONS


def convert(document: Mapping[str, Any], namespace: str = "default") -> Converted:
    """The resource that a Namespace, ServiceAccount, Node or policy becomes, under its name in a datastore.

    A NetworkPolicy that names no namespace is left without one, for the caller to fill in.

    Args:
        namespace: of a ServiceAccount that names none.

    Raises:
        InvalidResource: not one of these kinds, or an object whose author must correct it.
    """
    identity = _identity(document)
    if identity not in _CONVERSIONS:
        version, kind = identity
        if identity not in _KEPT and (right := [known for known, of in (*_CONVERSIONS, *_KEPT) if of == kind]):
            raise InvalidResource(Problem(kind, "apiVersion", f"is {version!r}", f"use {right[0]}"))
        known = ", ".join(f"{kind} of {version}" for version, kind in (*_CONVERSIONS, *_KEPT))
        problem = Problem(" ".join(identity), "kind", "is not a Kubernetes kind that can be used here", f"use {known}")
        raise InvalidResource(problem)
    return _CONVERSIONS[identity](document, namespace)


def _identity(document: Mapping[str, Any]) -> tuple[str, str]:
    return str(document.get("apiVersion")), str(document.get("kind"))


def _policy(document: Mapping[str, Any], namespace: str) -> Converted:
    converted = network_policy(document)
    return msgspec.structs.replace(converted, resource=stored(cast(NetworkPolicy, converted.resource)))


def _namespace(document: Mapping[str, Any], namespace: str) -> Converted:
    return namespaces.served(document)


def _node(document: Mapping[str, Any], namespace: str) -> Converted:
    return nodes.node(document)


def _cluster_wide(form: Form, document: Mapping[str, Any], namespace: str) -> Converted:
    return stored_globally(form, global_network_policy(form, document))


def _account(document: Mapping[str, Any], namespace: str) -> Converted:
    return accounts.profile(document, namespace)


_KEPT = tuple((kind.api_version, kind.kind) for kind in KINDS.values() if kind.api_version != API_VERSION)
"""What a datastore holds as it is."""

_CLUSTER_WIDE = (clusternetworkpolicy.FORM, adminnetworkpolicy.FORM, adminnetworkpolicy.BASELINE_FORM)

_CONVERSIONS: dict[tuple[str, str], Callable[[Mapping[str, Any], str], Converted]] = {
    ("v1", "Namespace"): _namespace,
    ("v1", "ServiceAccount"): _account,
    ("v1", "Node"): _node,
    ("networking.k8s.io/v1", "NetworkPolicy"): _policy,
    **{(form.version, form.kind): partial(_cluster_wide, form) for form in _CLUSTER_WIDE},
}
