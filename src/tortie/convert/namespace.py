"""Kubernetes Namespace to the profile that its pods have: allows everything, passes its labels on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata
from tortie.api.rules import Rule
from tortie.convert.converted import Converted
from tortie.convert.findings import is_unknown, read
from tortie.convert.objects import Namespace
from tortie.selector.scoping import NAMESPACE_PREFIX

PROFILE_PREFIX = "kns."
"""Before the name of the namespace in the name of its profile."""

NAME_LABEL = "projectcalico.org/name"
"""Label with the name of the namespace."""

SERVED_LABEL = "kubernetes.io/metadata.name"
"""The same, as the Kubernetes API server puts it on every namespace; many policies select by it."""


def served(document: Mapping[str, Any]) -> Converted:
    """The profile of a namespace as the API server would give the namespace out: with the label that it adds.

    Raises:
        InvalidResource: the object has no name or the wrong shape.
    """
    given = read(document, Namespace)
    found, name = _profile(given.value), given.value.metadata.name
    labels = {**found.spec.labels_to_apply, NAMESPACE_PREFIX + SERVED_LABEL: name}
    spec = msgspec.structs.replace(found.spec, labels_to_apply=labels)
    return given.found.conclude(msgspec.structs.replace(found, spec=spec), is_unknown)


def profile(document: Mapping[str, Any]) -> Profile:
    """The profile of a namespace.

    Raises:
        InvalidResource: the object has no name or the wrong shape.
    """
    given = read(document, Namespace)
    given.found.refuse(is_unknown)
    return _profile(given.value)


def _profile(namespace: Namespace) -> Profile:
    metadata = namespace.metadata
    labels = {**metadata.labels, NAME_LABEL: metadata.name}
    everything = (Rule(action="Allow"),)
    return Profile(
        metadata=Metadata(name=f"{PROFILE_PREFIX}{metadata.name}"),
        spec=ProfileSpec(
            ingress=everything,
            egress=everything,
            labels_to_apply={NAMESPACE_PREFIX + label: value for label, value in sorted(labels.items())},
        ),
    )
