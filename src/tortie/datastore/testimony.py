"""What each node says of the addresses that its kernel still has, under a key that vanishes with the node's agent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tortie.base.logs import Logger
from tortie.datastore.contract import Datastore

TESTIMONY_ROOT = "/tortie/testimony/v1/"

INTERVAL = 60.0
"""Seconds between two statements of a node."""

LIFETIME = 300
"""Seconds for which a statement stands."""

_log = Logger(__name__)


class KernelAddresses(msgspec.Struct, frozen=True, gc=False):
    """One node's statement.

    Args:
        addresses: those that its kernel has: its own, and those that it has a route for to a workload.
    """

    addresses: frozenset[str]


class Statement(msgspec.Struct, frozen=True, gc=False):
    """A statement, and the revision at which it was made: by that, and no clock, it is older or newer than others."""

    addresses: frozenset[str]
    revision: int


def key_of_node(node: str) -> str:
    """Where a node's statement stands."""
    return TESTIMONY_ROOT + node


async def write_testimony(datastore: Datastore, node: str, addresses: frozenset[str]) -> None:
    """Write a node's statement."""
    data = msgspec.json.encode({"addresses": sorted(addresses)})
    await datastore.put(key_of_node(node), data, LIFETIME)


async def read_testimonies(datastore: Datastore) -> Mapping[str, Statement]:
    """Every node's statement that stands and can be read."""
    found = {}
    for item in (await datastore.list(TESTIMONY_ROOT)).items:
        try:
            value = msgspec.json.decode(item.value, type=KernelAddresses)
        except msgspec.DecodeError as error:
            _log.warning("testimony_unreadable", key=item.key, problem=str(error))
            continue
        found[item.key.removeprefix(TESTIMONY_ROOT)] = Statement(value.addresses, item.revision)
    return found
