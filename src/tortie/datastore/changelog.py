"""What is kept of every change to what people write: its form, where it stands, and how it is read. Pure.

The records stand under `/tortie/history/v1/CHANGE/NUMBER`, beside Calico's keys. A change is what one command did.
"""

from __future__ import annotations

import hashlib
import zlib

import msgspec

from tortie.api.resource import ResourceKey
from tortie.datastore.contract import KeyValue
from tortie.datastore.keys import resource_key

HISTORY_ROOT = "/tortie/history/v1/"

RECORDED = frozenset(
    {
        "BGPConfiguration",
        "BGPFilter",
        "BGPPeer",
        "FelixConfiguration",
        "GlobalNetworkPolicy",
        "GlobalNetworkSet",
        "HostEndpoint",
        "IPPool",
        "NetworkPolicy",
        "NetworkSet",
        "Profile",
        "StagedGlobalNetworkPolicy",
        "StagedKubernetesNetworkPolicy",
        "StagedNetworkPolicy",
        "Tier",
    }
)
"""Kinds whose changes are recorded: what people write, and what decides on packets."""


class Content(msgspec.Struct, frozen=True, gc=False):
    """Bytes that were stored.

    Args:
        sha256: of them, in hexadecimal.
        packed: they, compressed; None when they were too large to be kept.
    """

    sha256: str
    packed: bytes | None = None

    @property
    def data(self) -> bytes | None:
        """The bytes, if they were kept."""
        return None if self.packed is None else zlib.decompress(self.packed)


class Origin(msgspec.Struct, frozen=True):
    """Who changes something, as they say themselves.

    Args:
        who: such as `alice@bastion`; empty is unknown.
        program: such as `tortie apply`.
        why: in their own words.
        change: what all that one command does has in common; empty gives every write one of its own.
    """

    who: str = ""
    program: str = ""
    why: str = ""
    change: str = ""


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One resource that was changed.

    Args:
        at: when, RFC 3339, by the writer's clock.
        before, after: what was and what is stored; None is nothing.
    """

    change: str
    at: str
    who: str
    program: str
    why: str
    kind: str
    namespace: str
    name: str
    before: Content | None
    after: Content | None

    @property
    def key(self) -> ResourceKey:
        """What was changed."""
        return ResourceKey(self.kind, self.namespace, self.name)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record and where it stands; the revision is that of the change itself, or the next one."""

    record: Record
    path: str
    revision: int


def content(data: bytes | None, *, kept: bool = True) -> Content | None:
    """What is recorded of stored bytes."""
    if data is None:
        return None
    return Content(hashlib.sha256(data).hexdigest(), zlib.compress(data) if kept else None)


def is_same(recorded: Content | None, data: bytes | None) -> bool:
    """Whether these are the bytes that were recorded."""
    if recorded is None or data is None:
        return recorded is None and data is None
    return recorded.sha256 == hashlib.sha256(data).hexdigest()


def stored_at(record: Record) -> str:
    """Key of the resource that a record tells of."""
    return resource_key(record.key)


def entry(item: KeyValue) -> Entry | None:
    """The record that is stored under a key; None when it is none that can be read."""
    try:
        return Entry(msgspec.json.decode(item.value, type=Record), item.key, item.revision)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
