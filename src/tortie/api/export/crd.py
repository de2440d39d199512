"""CustomResourceDefinitions (`apiextensions.k8s.io/v1`), for clusters whose API server keeps the resources."""

from __future__ import annotations

import msgspec

from tortie.api import formats
from tortie.api.export.schema import STRUCTURAL, Schema, field_schema, object_schema, text_schema
from tortie.api.ippool import IPPool
from tortie.api.kinds import KINDS
from tortie.api.livemigration import LiveMigration
from tortie.api.node import Node
from tortie.api.profile import Profile
from tortie.api.reference.describe import Scalar, describe, field_at
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.resource import API_VERSION, Resource
from tortie.api.validation import NAMES
from tortie.api.workloadendpoint import WorkloadEndpoint

GROUP, _, VERSION = API_VERSION.partition("/")

DERIVED = (LiveMigration, Node, Profile, WorkloadEndpoint)
"""Kinds that are made from Kubernetes' own objects, where its API server is the datastore."""

UNCHANGING: dict[type[Resource], tuple[str, ...]] = {IPPool: ("cidr", "blockSize")}
"""Fields of a specification that keep their first value."""

TRANSITIONS: dict[type[Resource], dict[str, tuple[str, str]]] = {
    IPPool: {
        "allowedUses": (
            "!('LoadBalancer' in oldSelf) || 'LoadBalancer' in self",
            "allowedUses cannot lose LoadBalancer",
        )
    }
}
"""Rules between the old and the new value of a field of a specification, and what to say of who breaks them."""

COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "BGPPeer": (("Peer", "peerIP"), ("ASN", "asNumber")),
    "BlockAffinity": (("Node", "node"), ("CIDR", "cidr"), ("State", "state")),
    "ClusterInformation": (("Version", "calicoVersion"), ("Ready", "datastoreReady")),
    "GlobalNetworkPolicy": (("Tier", "tier"), ("Order", "order")),
    "HostEndpoint": (("Node", "node"), ("Interface", "interfaceName")),
    "IPPool": (("CIDR", "cidr"), ("Block size", "blockSize"), ("Disabled", "disabled")),
    "NetworkPolicy": (("Tier", "tier"), ("Order", "order")),
    "StagedGlobalNetworkPolicy": (("Action", "stagedAction"), ("Tier", "tier"), ("Order", "order")),
    "StagedKubernetesNetworkPolicy": (("Action", "stagedAction"),),
    "StagedNetworkPolicy": (("Action", "stagedAction"), ("Tier", "tier"), ("Order", "order")),
    "Tier": (("Order", "order"), ("Default action", "defaultAction")),
}
"""Columns of `kubectl get` beside name and age: heading, and a field of the specification."""

WITH_STATUS = frozenset({"IPPool", "KubeControllersConfiguration", "Tier", "CalicoNodeStatus"})
"""Kinds whose status is written apart from their specification."""


def custom_kinds() -> list[type[Resource]]:
    """The kinds that an API server of Kubernetes is taught."""
    return [kind for kind in KINDS.values() if kind.api_version == API_VERSION and kind not in DERIVED]


def definition(kind: type[Resource]) -> Schema:
    """The definition of one kind."""
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _document(kind)},
        "additionalPrinterColumns": [_column(kind, *column) for column in COLUMNS.get(kind.kind, ())] + [_AGE],
    }
    if kind.kind in WITH_STATUS:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": _names(kind),
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _names(kind: type[Resource]) -> Schema:
    names: Schema = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    return names | ({"shortNames": list(kind.aliases)} if kind.aliases else {})


def _document(kind: type[Resource]) -> Schema:
    schema = object_schema(kind, STRUCTURAL)
    schema["description"] = ABOUT[kind.kind]
    properties = schema["properties"]
    for field in describe(kind):
        if field.name == "status":
            properties["status"] = field_schema(field, msgspec.structs.replace(STRUCTURAL, defaults=False))
    properties["metadata"] = {
        "type": "object",
        "properties": {"name": text_schema(NAMES.get(kind.kind, formats.NAME))},
    }
    unchanging = {name: ("self == oldSelf", f"{name} cannot be changed") for name in UNCHANGING.get(kind, ())}
    for name, (rule, message) in {**unchanging, **TRANSITIONS.get(kind, {})}.items():
        validations = [{"rule": rule, "message": message}]
        properties["spec"]["properties"][name]["x-kubernetes-validations"] = validations
    schema["properties"] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}} | properties
    return schema


def _column(kind: type[Resource], heading: str, name: str) -> Schema:
    value = field_at(kind, ("spec", name)).value
    assert isinstance(value, Scalar)
    type = value.types[0] if len(value.types) == 1 else "string"
    return {"name": heading, "type": type, "jsonPath": f".spec.{name}"}


_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
