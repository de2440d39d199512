"""What can go wrong with addresses: each error names the pool, node or address, why, and what would help."""

from __future__ import annotations

from tortie.base.errors import TortieError, Unavailable


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


class ReleaseConflict(AddressError):
    """The address is not held as the caller believes: by another handle, or assigned anew since."""


class PrefixTooSmall(InvalidRequest):
    """A prefix to claim is smaller than a block."""


class Contention(Unavailable):
    """Other writers were faster every time; the datastore is busier than it should be."""

    def __init__(self, what: str, attempts: int) -> None:
        super().__init__(f"{what}: given up after {attempts} attempts, other writers were faster (try again later)")
