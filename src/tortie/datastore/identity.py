"""What a cluster is called by: its ClusterInformation, made once and only added to. Pure."""

from __future__ import annotations

import re

import msgspec

from tortie.api.clusterinformation import ClusterInformation, ClusterInformationSpec
from tortie.api.resource import Metadata

_GUID = re.compile(rb'"clusterGUID"\s*:\s*"([0-9a-f]{32})"')


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


def legible_guid(data: bytes) -> str:
    """The identity that stands in bytes which are no ClusterInformation as a whole; empty when none can be made out."""
    found = _GUID.search(data)
    return found[1].decode() if found else ""


def with_guid(information: ClusterInformation, guid: str) -> ClusterInformation:
    """The information with an identity, unless it has its own."""
    spec = msgspec.structs.replace(information.spec, cluster_guid=information.spec.cluster_guid or guid)
    return msgspec.structs.replace(information, spec=spec)


def _guid(uuid: str) -> str:
    return uuid.replace("-", "")


def _merged(old: str, more: str) -> str:
    """What was there stays as it was written; what is new comes behind."""
    known = old.split(",") if old else []
    added = [word for word in dict.fromkeys(more.split(",")) if word and word not in known]
    return ",".join([*known, *added])
