"""IP sets: packed members, no object per member.

`hosts4` and `hosts6` are sorted, distinct addresses of 4 and 16 bytes, joined; `nets4` and `nets6`
are true prefixes (never of full length), sorted, possibly overlapping; `ports4` and `ports6` are
sorted entries of address, protocol (1 byte) and port (2 bytes, network order): 7 and 19 bytes each.
A set has addresses (hosts and nets) or ports, never both.
"""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.policy import SetId


class Members(msgspec.Struct, frozen=True, gc=False):
    """Members of one set, or of one change to it."""

    hosts4: bytes = b""
    hosts6: bytes = b""
    nets4: tuple[Cidr, ...] = ()
    nets6: tuple[Cidr, ...] = ()
    ports4: bytes = b""
    ports6: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.hosts4 or self.hosts6 or self.nets4 or self.nets6 or self.ports4 or self.ports6)


class IPSet(msgspec.Struct, frozen=True, gc=False):
    """A whole set. `ports` says that it holds address, protocol and port."""

    id: SetId
    members: Members
    ports: bool = False


class SetChange(msgspec.Struct, frozen=True, gc=False):
    """Difference to one set: `added` were absent, `removed` were present."""

    id: SetId
    added: Members
    removed: Members
