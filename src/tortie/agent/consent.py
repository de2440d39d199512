"""Whether the datastore lets agents work on it: `datastoreReady` of its ClusterInformation."""

from __future__ import annotations

from tortie.api.clusterinformation import ClusterInformation
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import InvalidResource, Unavailable
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.reading import INFORMATION
from tortie.datastore.values import decode_stored

LOCKED = "the datastore is locked, as for a migration; `tortie datastore migrate unlock` ends that"
UNWRITTEN = f"the datastore holds no {INFORMATION}: nothing was ever written to it, or all was lost; see `tortie apply`"

UNREADABLE = (
    f"{INFORMATION} cannot be read ({{reason}}), so nobody knows whether the datastore is locked: nothing is changed "
    "until it is written anew with `tortie apply`"
)


class Consent:
    """What the datastore last said.

    Args:
        is_needed: whether a datastore that says nothing is not to be worked on. It may be one that is being
            restored, or not the one that was meant; a file that an agent makes itself says nothing either.
    """

    def __init__(self, datastore: Datastore, clock: Clock, *, is_needed: bool) -> None:
        self._datastore = datastore
        self._clock = clock
        self.is_needed = is_needed
        self._information: ClusterInformation | None = None
        self._unreadable = ""

    @property
    def refusal(self) -> str:
        """Why nothing may be done; empty when it may."""
        if self._unreadable:
            return UNREADABLE.format(reason=self._unreadable)
        if self._information is None:
            return UNWRITTEN if self.is_needed else ""
        return LOCKED if self._information.spec.datastore_ready is False else ""

    def take(self, value: object, unreadable: str = "") -> None:
        """This is now under the key; None when nothing is, or nothing that can be read, for the reason given."""
        self._unreadable = unreadable
        self._information = value if isinstance(value, ClusterInformation) else None

    async def ask(self) -> None:
        """Read it at once, however long the datastore takes to answer.

        Kinds are listed one by one: without this, content that was lost or is half restored would be carried
        out before its lock, or its absence, is heard of.
        """
        backoff = Backoff(first=0.1, limit=5)
        while True:
            try:
                stored = await self._datastore.get(resource_key(INFORMATION))
                self.take(decode_stored(INFORMATION, stored.value, stored.revision) if stored else None)
                return
            except InvalidResource as error:
                self.take(None, "; ".join(one.problem for one in error.problems))
                return
            except Unavailable:
                await self._clock.sleep(backoff.next())
