"""Which leaked addresses may be freed, and why or why not. Pure.

Two proofs that do not depend on each other, and time: the records name no user of any address of its handle, for a
grace period; and the kernel of its node, seen after that began, does not have the address, or the node is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from tortie.datastore.testimony import Statement
from tortie.ipam.inspection import Leak

GRACE = 900.0
"""Seconds for which an address must have been without a user."""


class Suspect(msgspec.Struct, frozen=True, gc=False):
    """A leaked address since it was first seen to be: at a time of the monotonic clock, and at a revision.

    Args:
        in_kernel: whether a kernel had it then; suspicion begins when none has it any more.
    """

    leak: Leak
    since: float
    revision: int
    in_kernel: bool = False


class Sight(msgspec.Struct, frozen=True):
    """What is seen at one time.

    Args:
        leaks: addresses held for handles of which no address has a user.
        facts: what is recorded of each.
        nodes: those that exist.
        testimonies: what nodes say that their kernels have.
        revision: which all of this is at least as new as.
        now: on the monotonic clock.
    """

    leaks: tuple[Leak, ...]
    facts: Mapping[str, Mapping[str, str]]
    nodes: Set[str]
    testimonies: Mapping[str, Statement]
    revision: int
    now: float


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether a leaked address may be freed, and why or why not."""

    leak: Leak
    free: bool
    reason: str


def remember(suspects: Mapping[str, Suspect], sight: Sight) -> dict[str, Suspect]:
    """Who is suspected after a sight, by address; a suspicion ends when the record changes or somebody uses it."""
    found = {}
    for leak in sight.leaks:
        old = suspects.get(leak.address)
        in_kernel = bool(_seen_by(leak.address, sight))
        goes_on = old is not None and old.leak == leak and not (old.in_kernel or in_kernel)
        found[leak.address] = old if old and goes_on else Suspect(leak, sight.now, sight.revision, in_kernel)
    return found


def judge(suspects: Mapping[str, Suspect], sight: Sight, grace: float = GRACE) -> tuple[Verdict, ...]:
    """What becomes of each suspect, in the order of addresses."""
    return tuple(_judge(suspect, sight, grace) for _, suspect in sorted(suspects.items()))


def _judge(suspect: Suspect, sight: Sight, grace: float) -> Verdict:
    leak, facts = suspect.leak, sight.facts.get(suspect.leak.address, {})
    node = facts.get("node", "")
    reason = _reason_to_keep(suspect, sight, facts) or _reason_to_wait(suspect, sight, node, grace)
    if reason:
        return Verdict(leak, False, reason)
    held = f"no endpoint uses any address of handle {leak.handle} for {sight.now - suspect.since:.0f} s"
    proof = f"the kernel of node {node} does not have it" if node in sight.nodes else f"node {node} does not exist"
    return Verdict(leak, True, f"{held}, and {proof}")


def _reason_to_keep(suspect: Suspect, sight: Sight, facts: Mapping[str, str]) -> str:
    node = facts.get("node", "")
    if not node:
        return "its record names no node, so nobody can be asked"
    if witness := _seen_by(suspect.leak.address, sight):
        return f"the kernel of node {witness} still has it"
    if facts.get("vmi-name") or ".vmi." in suspect.leak.handle:
        return "it is of a virtual machine, which may be stopped"
    if facts.get("type") and node in sight.nodes:
        return f"it is of the tunnels of node {node}, which exists"
    return ""


def _reason_to_wait(suspect: Suspect, sight: Sight, node: str, grace: float) -> str:
    waited = sight.now - suspect.since
    if waited < grace:
        return f"suspected for {waited:.0f} of {grace:.0f} s"
    if node not in sight.nodes:
        return ""
    statement = sight.testimonies.get(node)
    if statement is None:
        return f"node {node} does not say what its kernel has: its agent is away, too old, or not of this program"
    if statement.revision <= suspect.revision:
        return f"node {node} has not said anew what its kernel has"
    return ""


def _seen_by(address: str, sight: Sight) -> str:
    return next((node for node, one in sorted(sight.testimonies.items()) if address in one.addresses), "")
