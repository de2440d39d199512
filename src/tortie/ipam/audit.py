"""Does the bookkeeping of addresses agree with itself, and with who is alive? Pure, over one snapshot."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

import msgspec

from tortie.api.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from tortie.base.addresses import Cidr
from tortie.datastore.keys import affinity_key, handle_key, parse_key
from tortie.ipam.block import WINDOWS_HANDLE, address_at, block_size, handle_of, held
from tortie.ipam.errors import UNREADABLE_REMEDIES


class Check(msgspec.Struct, frozen=True, gc=False):
    """What a finding means: `harmful` ones may cut or mix up traffic, others only waste space."""

    harmful: bool
    meaning: str
    remedy: str


CHECKS = {
    "unreadable-block": Check(
        True,
        "which addresses of a block are held is unknown; none is given, and none can be released",
        UNREADABLE_REMEDIES["IPAMBlock"],
    ),
    "unreadable-record": Check(
        True,
        "a claim or handle whose value does not parse",
        "restore its value from a backup, or delete this key alone: the blocks say who owns and holds what",
    ),
    "overlapping-blocks": Check(True, "two blocks hold the same addresses", "release the affinity of one of them"),
    "overlapping-pools": Check(
        True, "two pools hold the same addresses, maybe in blocks of other sizes", "delete or shrink one of them"
    ),
    "block-without-owner": Check(
        False, "no node owns a block: its free addresses are only borrowed", "it goes with its last address"
    ),
    "misplaced-block": Check(True, "a block is stored under the key of another prefix", "delete it"),
    "broken-ordinals": Check(True, "an address is both free and held, neither, or free twice", "release it"),
    "broken-attributes": Check(True, "an address points at a holder that does not exist", "release it"),
    "handle-counts-too-few": Check(True, "addresses that a release by handle would miss", "release them by address"),
    "handle-counts-too-many": Check(False, "a writer died between handle and block", "release the handle"),
    "block-without-claim": Check(False, "a block names an owner that has no claim on it", "claim it for the owner"),
    "claim-without-block": Check(False, "a claim on a block that is absent or another's", "release the affinity"),
    "unfinished-claim": Check(False, "a claim left half way by a writer that died", "the owner completes it"),
    "unrecorded-address": Check(
        True, "used, in a pool, and free in the records: somebody else may get it", "assign it"
    ),
    "shared-address": Check(True, "used by more than one", "delete all but one"),
    "leaked-address": Check(False, "held for a handle that nobody uses any more", "release it by handle"),
}
"""Every kind of finding."""


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """All that is stored: blocks and handles by name, claims by owner (as blocks spell it) and block.

    Args:
        unreadable: what is stored and cannot be read: by key, why.
    """

    blocks: Mapping[Cidr, IPAMBlock]
    claims: Mapping[tuple[str, Cidr], BlockAffinity]
    handles: Mapping[str, IPAMHandle]
    unreadable: Mapping[str, str] = {}

    @property
    def unreadable_blocks(self) -> dict[Cidr, str]:
        """Blocks whose addresses are unknown, and under which key each is stored."""
        names = ((key, parse_key(key)) for key in self.unreadable)
        return {Cidr.parse(name.name): key for key, name in names if name and name.kind == "IPAMBlock"}

    def unreadable_block_of(self, address: Cidr) -> str:
        """The key of the unreadable block that an address lies in; empty when it lies in none."""
        return next((key for block, key in self.unreadable_blocks.items() if block.contains(address)), "")


class Finding(msgspec.Struct, frozen=True, order=True, gc=False):
    """One disagreement: a kind of `CHECKS`, the object it is about, and the facts."""

    kind: str
    object: str
    detail: str

    @property
    def harmful(self) -> bool:
        """Whether it may cut or mix up traffic."""
        return CHECKS[self.kind].harmful


def audit(snapshot: Snapshot, live: Collection[str] | None = None) -> tuple[Finding, ...]:
    """Everything that does not agree. With `live` handles, also addresses held for any other handle."""
    findings = [*_unreadable(snapshot), *_overlaps(snapshot), *_claims(snapshot), *_handles(snapshot)]
    for cidr, block in snapshot.blocks.items():
        findings += _ordinals(cidr, block)
    if live is not None:
        findings += _leaks(snapshot, live)
    return tuple(sorted(findings))


def _unreadable(snapshot: Snapshot) -> Iterator[Finding]:
    for key, reason in snapshot.unreadable.items():
        name = parse_key(key)
        kind = "unreadable-block" if name and name.kind == "IPAMBlock" else "unreadable-record"
        yield Finding(kind, str(name or key), f"key {key}: {reason}")


def _overlaps(snapshot: Snapshot) -> Iterator[Finding]:
    widest: Cidr | None = None
    for cidr in sorted(snapshot.blocks.keys() | snapshot.unreadable_blocks.keys()):
        if widest and widest.overlaps(cidr):
            yield Finding("overlapping-blocks", str(cidr), f"overlaps {widest}")
        if widest is None or not widest.contains(cidr):
            widest = cidr
        if cidr in snapshot.blocks and snapshot.blocks[cidr].cidr != str(cidr):
            yield Finding("misplaced-block", str(cidr), f"says that it is {snapshot.blocks[cidr].cidr}")


def _ordinals(cidr: Cidr, block: IPAMBlock) -> Iterator[Finding]:
    free = Counter(block.unallocated)
    attributes = len(block.attributes or ())
    for ordinal in range(max(block_size(cidr), len(block.allocations), *(queued + 1 for queued in free))):
        index = block.allocations[ordinal] if ordinal < len(block.allocations) else None
        if free[ordinal] + (index is not None) != (ordinal < block_size(cidr)):
            state = "free" if index is None else "held"
            yield Finding("broken-ordinals", str(cidr), f"ordinal {ordinal}: {state}, and {free[ordinal]} times queued")
        if index is not None and not 0 <= index < attributes:
            yield Finding("broken-attributes", str(cidr), f"ordinal {ordinal}: holder {index} of {attributes}")


def _claims(snapshot: Snapshot) -> Iterator[Finding]:
    for cidr, block in snapshot.blocks.items():
        if (
            block.affinity
            and (block.affinity, cidr) not in snapshot.claims
            and (affinity_key(block.affinity.removeprefix("host:"), str(cidr)) not in snapshot.unreadable)
        ):
            yield Finding("block-without-claim", str(cidr), f"owner {block.affinity}")
    unknown = snapshot.unreadable_blocks
    for (owner, cidr), claim in snapshot.claims.items():
        if cidr in unknown:
            continue
        found = snapshot.blocks.get(cidr)
        if found is None or found.affinity != owner:
            actual = f"owned by {found.affinity or 'nobody'}" if found else "absent"
            yield Finding("claim-without-block", f"{owner} {cidr}", f"claim {claim.state or 'without state'}, {actual}")
        elif claim.state not in ("confirmed", ""):
            yield Finding("unfinished-claim", f"{owner} {cidr}", f"claim {claim.state}")


def _handles(snapshot: Snapshot) -> Iterator[Finding]:
    actual = _counts(snapshot)
    unknown = {str(block) for block in snapshot.unreadable_blocks}
    for handle in sorted(actual.keys() | snapshot.handles.keys()):
        if handle_key(handle) in snapshot.unreadable:
            continue
        counted = snapshot.handles[handle].block if handle in snapshot.handles else {}
        for block in sorted((counted.keys() | actual[handle].keys()) - unknown):
            difference = counted.get(block, 0) - actual[handle][block]
            if difference:
                kind = "handle-counts-too-many" if difference > 0 else "handle-counts-too-few"
                detail = f"{counted.get(block, 0)} counted in {block}, {actual[handle][block]} held"
                yield Finding(kind, handle, detail)


def _counts(snapshot: Snapshot) -> defaultdict[str, Counter[str]]:
    """How many addresses every handle holds in each block, as the blocks say."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for cidr, block in _sound_blocks(snapshot):
        for _, attribute in held(block):
            if handle_of(attribute) not in ("", WINDOWS_HANDLE):
                counts[handle_of(attribute)][str(cidr)] += 1
    return counts


def _leaks(snapshot: Snapshot, live: Collection[str]) -> Iterator[Finding]:
    """Addresses without a handle are taken for valid: nobody can say whose they are."""
    for _, block in _sound_blocks(snapshot):
        for ordinal, attribute in held(block):
            handle = handle_of(attribute)
            if handle and handle != WINDOWS_HANDLE and handle not in live:
                yield Finding("leaked-address", address_at(block, ordinal).text, f"handle {handle}")


def _sound_blocks(snapshot: Snapshot) -> Iterator[tuple[Cidr, IPAMBlock]]:
    """Blocks whose allocations can be followed; others have a finding already."""
    for cidr, block in snapshot.blocks.items():
        if not any(finding.kind == "broken-attributes" for finding in _ordinals(cidr, block)):
            yield cidr, block


def holders(snapshot: Snapshot) -> dict[str, str]:
    """Every held address and its handle."""
    return {
        address_at(block, ordinal).text: handle_of(attribute)
        for _, block in _sound_blocks(snapshot)
        for ordinal, attribute in held(block)
    }
