"""ClusterInformation: what a cluster says of itself."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource


class ClusterInformationSpec(Model, frozen=True, kw_only=True):
    """`cluster_type` is a list joined by commas; with `datastore_ready` false the datastore is locked."""

    cluster_guid: str = msgspec.field(default="", name="clusterGUID")
    cluster_type: str = ""
    calico_version: str = ""
    datastore_ready: bool | None = None
    variant: str = ""


class ClusterInformation(Resource, frozen=True, kw_only=True):
    """The one named `default`."""

    kind: ClassVar[str] = "ClusterInformation"
    plural: ClassVar[str] = "clusterinformations"
    aliases: ClassVar[tuple[str, ...]] = ("clusterinfo", "clusterinfos")

    spec: ClusterInformationSpec = msgspec.field(default_factory=ClusterInformationSpec)
