"""What can go wrong with addresses: each error names the pool, node or address, why, and what would help."""

from __future__ import annotations

from tortie.base.errors import InvalidResource, Problem, TortieError, Unavailable
from tortie.datastore.keys import parse_key


class AddressError(TortieError):
    """Base of every refusal of address management."""


class InvalidRequest(AddressError):
    """The caller asked for something that makes no sense."""


class UnknownNode(AddressError):
    """The node that asks is not in the datastore, so no pool can be chosen for it."""

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node}: does not exist (create the Node resource before asking for addresses)")


class NoPool(AddressError):
    """No pool may serve the request."""


class PoolNotUsable(NoPool):
    """A pool that was asked for by name does not exist, is disabled, or is of the other family."""


class UseNotAllowed(NoPool):
    """The pools that remain do not allow what the address is for."""


class AlreadyAssigned(AddressError):
    """The address asked for is held, or still cooling down after its release."""

    def __init__(self, address: str, holder: str) -> None:
        self.address = address
        super().__init__(f"address {address}: already assigned to {holder} (release it first, or ask for another)")


class StrictAffinity(AddressError):
    """The address lies in the block of another node, and borrowing is off."""


class BlockLimitReached(AddressError):
    """The node may own no further block; its free addresses do not suffice. Nothing is borrowed then."""

    def __init__(self, node: str, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"node {node}: owns {limit} blocks, which is the limit (release addresses, or raise maxBlocksPerHost)"
        )


class NotEnoughAddresses(AddressError):
    """Fewer addresses were free than a caller who wants all or nothing asked for; none is kept."""


class OverlappingBlock(AddressError):
    """The block of an address would overlap blocks of another size, which may hold the address already."""

    def __init__(self, address: str, block: str, others: str) -> None:
        super().__init__(
            f"address {address}: its block {block} would overlap {others}, so it might be given twice "
            "(ask for an address of a block that exists, or release those blocks first)"
        )


class UnreadableRecord(InvalidResource):
    """A stored record of addresses does not parse.

    Args:
        key: where it is stored.
        reason: what is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        named = parse_key(key)
        remedy = UNREADABLE_REMEDIES.get(named.kind if named else "", "restore its value from a backup")
        problem = f"is stored under {key}, but cannot be read: {reason}"
        super().__init__(Problem(str(named or key), "", problem, remedy))


UNREADABLE_REMEDIES = {
    "IPAMBlock": "restore its value from a backup, and do not delete it: which of its addresses are held is unknown",
    "BlockAffinity": "restore its value from a backup, or delete this key alone: the block itself says who owns it",
    "IPAMHandle": "restore its value from a backup, or delete this key alone: the blocks themselves say what is held",
    "IPAMConfig": "write the settings anew with `tortie ipam configure`",
}
"""What to do about a record that cannot be read, by kind; none of it lets an address be given twice."""


class ReleaseConflict(AddressError):
    """The address is not held as the caller believes: by another handle, or assigned anew since."""


class PrefixTooSmall(InvalidRequest):
    """A prefix to claim is smaller than a block."""


class Contention(Unavailable):
    """Other writers were faster every time; the datastore is busier than it should be."""

    def __init__(self, what: str, attempts: int) -> None:
        super().__init__(f"{what}: given up after {attempts} attempts, other writers were faster (try again later)")
