"""Stored forms of address management: blocks, affinities, handles and configuration.

These are not `projectcalico.org/v3` resources in etcd: they have keys of their own under
`/calico/ipam/v2/` and bare values. Field order and presence are the stored ones.
"""

from __future__ import annotations

import msgspec

from tortie.base.addresses import Cidr


class BlockAttribute(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who holds an address: the handle, and facts for people. `released_at` marks a cooling address."""

    handle_id: str | None = None
    secondary: dict[str, str] | None = None
    alternate_owner_attrs: dict[str, str] | None = msgspec.field(default=None, name="alternateOwnerAttrs")
    released_at: str | None = msgspec.field(default=None, name="releasedAt")


class IPAMBlock(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One block of addresses, and who owns each.

    Every ordinal is either in `unallocated` or non-null in `allocations`. `affinity` is
    `host:<node>`, `virtual:<name>` or null. `sequence_number` starts at the wall clock in
    nanoseconds and grows by one per write.
    """

    cidr: str
    affinity: str | None = None
    affinity_claim_time: str | msgspec.UnsetType = msgspec.UNSET
    allocations: tuple[int | None, ...] = ()
    unallocated: tuple[int, ...] = ()
    attributes: tuple[BlockAttribute, ...] | None = None
    sequence_number: int = msgspec.field(default=0, name="sequenceNumber")
    sequence_number_for_allocation: dict[str, int] = msgspec.field(
        default_factory=dict, name="sequenceNumberForAllocation"
    )
    deleted: bool = False
    host_affinity: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="hostAffinity")


def contradiction(block: IPAMBlock) -> str:
    """What makes a block useless to everybody, in words; empty for one that can be worked with."""
    try:
        cidr = Cidr.parse(block.cidr)
    except ValueError:
        return f"cidr {block.cidr!r} is not a prefix"
    size, holders = len(block.allocations), len(block.attributes or ())
    if size > 1 << (cidr.bits - cidr.length):
        return f"{block.cidr} has no {size} addresses"
    if not all(0 <= ordinal < size for ordinal in block.unallocated):
        return "unallocated names an address outside of the block"
    if not all(index is None or 0 <= index < holders for index in block.allocations):
        return "allocations name a holder that attributes do not have"
    return ""


class BlockAffinity(msgspec.Struct, frozen=True, gc=False):
    """Claim of a node on a block: `pending`, `confirmed` or `pendingDeletion` (empty: very old data)."""

    state: str = ""
    deleted: bool = False


class IPAMHandle(msgspec.Struct, frozen=True, gc=False):
    """Reverse index of a handle: how many addresses it holds in each block, by block prefix."""

    block: dict[str, int] = {}
    deleted: bool = False


class IPAMConfig(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Settings of address management; an absent `auto_allocate_blocks` means false."""

    strict_affinity: bool = False
    auto_allocate_blocks: bool = False
    max_blocks_per_host: int = msgspec.field(default=0, name="maxBlocksPerHost")
    kubevirt_vm_address_persistence: str = msgspec.field(default="", name="kubeVirtVMAddressPersistence")
    ip_cooldown_seconds: int = msgspec.field(default=0, name="ipCooldownSeconds")
