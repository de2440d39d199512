"""Kubernetes ServiceAccount to the profile that its pods have: passes its labels on, and has no rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata
from tortie.convert.converted import Converted
from tortie.convert.findings import is_unknown, read
from tortie.convert.objects import ServiceAccount
from tortie.selector.scoping import SERVICE_ACCOUNT_PREFIX

PROFILE_PREFIX = "ksa."
"""Before namespace and name of the account in the name of its profile."""

NAME_LABEL = "projectcalico.org/name"
"""Label with the name of the account."""


def profile(document: Mapping[str, Any], namespace: str = "default") -> Converted:
    """The profile of a service account.

    Args:
        namespace: of the account when it names none.

    Raises:
        InvalidResource: the object has no name or the wrong shape.
    """
    given = read(document, ServiceAccount)
    return given.found.conclude(_profile(given.value, namespace), is_unknown)


def _profile(account: ServiceAccount, namespace: str) -> Profile:
    metadata = account.metadata
    labels = {**metadata.labels, NAME_LABEL: metadata.name}
    return Profile(
        metadata=Metadata(name=f"{PROFILE_PREFIX}{metadata.namespace or namespace}.{metadata.name}"),
        spec=ProfileSpec(
            labels_to_apply={SERVICE_ACCOUNT_PREFIX + label: value for label, value in sorted(labels.items())}
        ),
    )
