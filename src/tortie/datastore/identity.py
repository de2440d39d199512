"""What a cluster is called by: its ClusterInformation, made once and only added to. Pure."""

from __future__ import annotations

import msgspec

from tortie.api.clusterinformation import ClusterInformation, ClusterInformationSpec
from tortie.api.resource import Metadata


def with_identity(old: ClusterInformation | None, cluster_type: str, uuid: str) -> ClusterInformation:
    """The information as it should be; equal to the old one when there is nothing to add.

    Args:
        cluster_type: words joined by commas.
        uuid: becomes the cluster's identity, without its dashes, if it has none.
    """
    if old is None:
        spec = ClusterInformationSpec(
            cluster_guid=_guid(uuid), cluster_type=_merged("", cluster_type), datastore_ready=True
        )
        return ClusterInformation(metadata=Metadata(name="default"), spec=spec)
    spec = msgspec.structs.replace(
        old.spec,
        cluster_guid=old.spec.cluster_guid or _guid(uuid),
        cluster_type=_merged(old.spec.cluster_type, cluster_type),
    )
    return msgspec.structs.replace(old, spec=spec)


def _guid(uuid: str) -> str:
    return uuid.replace("-", "")


def _merged(old: str, more: str) -> str:
    """What was there stays as it was written; what is new comes behind."""
    known = old.split(",") if old else []
    added = [word for word in dict.fromkeys(more.split(",")) if word and word not in known]
    return ",".join([*known, *added])
