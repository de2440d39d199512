"""Reading all that is stored about addresses, for the audit and for figures."""

from __future__ import annotations

from random import Random

from tortie.api.ipam import IPAMBlock, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.base.clock import Clock
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import BLOCK_PREFIX, HANDLE_PREFIX, parse_key
from tortie.ipam.audit import Snapshot
from tortie.ipam.claims import Claims
from tortie.ipam.store import Store


async def read_snapshot(datastore: Datastore, clock: Clock, random: Random) -> Snapshot:
    """Blocks, claims and handles.

    Three listings, not one instant: while others write, a finding that a second snapshot does not
    repeat means nothing.
    """
    store = Store(datastore, clock, random)
    unreadable: dict[str, str] = {}
    blocks = await store.list_values(BLOCK_PREFIX, IPAMBlock, unreadable.__setitem__)
    handles = await store.list_values(HANDLE_PREFIX, IPAMHandle, unreadable.__setitem__)
    names = {key: name for key in blocks if (name := parse_key(key))}
    return Snapshot(
        blocks={Cidr.parse(name.name): blocks[key].value for key, name in names.items()},
        claims=await Claims(store, clock).everyone(unreadable.__setitem__),
        handles={key.removeprefix(HANDLE_PREFIX): stored.value for key, stored in handles.items()},
        unreadable=unreadable,
    )
