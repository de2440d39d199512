"""Profile: labels that endpoints inherit, and rules tried after every tier has passed."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource
from tortie.api.rules import Rule


class ProfileSpec(Model, frozen=True, kw_only=True):
    """An endpoint's own label wins over an inherited one."""

    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels_to_apply: dict[str, str] = {}


class Profile(Resource, frozen=True, kw_only=True):
    """A profile of the cluster."""

    kind: ClassVar[str] = "Profile"
    plural: ClassVar[str] = "profiles"

    spec: ProfileSpec = msgspec.field(default_factory=ProfileSpec)
