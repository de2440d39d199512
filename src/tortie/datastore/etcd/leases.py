"""Leases of keys that vanish: a new one for every write, and the one before it given back."""

from __future__ import annotations

import contextlib

import msgspec

from tortie.base.errors import Unavailable
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.cluster import Cluster


class Lease(msgspec.Struct, frozen=True, order=True, gc=False):
    """The lease of one write, in the order of the writes."""

    revision: int
    number: int


class Leases:
    """What this process has leased. Leases of writes whose end is unknown are left to run out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held: dict[str, Lease] = {}

    async def grant(self, seconds: int) -> int:
        """The number of a new lease, which the server may make somewhat longer. Raises Unavailable."""
        request = messages.lease_grant_request(seconds)
        return messages.granted_lease(await self._cluster.call(messages.LEASE_GRANT, request, repeatable=True))

    async def replace(self, key: str, lease: Lease) -> None:
        """The key hangs on the younger of two leases now; the other goes back, so that leases do not pile up."""
        older, younger = sorted((self._held.get(key, lease), lease))
        self._held[key] = younger
        if older == younger:
            return
        # One that cannot be given back, because it has run out or the server is away, ends by itself.
        with contextlib.suppress(Unavailable):
            request = messages.lease_revoke_request(older.number)
            await self._cluster.call(messages.LEASE_REVOKE, request, repeatable=True)
