"""The chains between the base chains and the policies: one for each list of policies, one for each tier in it.

They are shared: a chain's name is a hash of what it is for, so endpoints with equal lists lead to one chain.
Nothing jumps deeper than base chain, endpoint chain, tier chain, policy chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from tortie.base.hashes import short_hash
from tortie.dataplane.nftables import pending
from tortie.dataplane.nftables.host_layout import failsafe_chain
from tortie.dataplane.nftables.layout import established, invalid
from tortie.dataplane.nftables.model import KernelRule
from tortie.dataplane.nftables.rules import ENCAPSULATED, END, ESTABLISHED, INVALID, ChainWriter, marked, set_mark
from tortie.dataplane.nftables.settings import MarkBits, Settings
from tortie.dataplane.nftables.tunnel_rules import encapsulated
from tortie.desired.hosts import Place
from tortie.desired.policy import Action, Direction, PolicyId, PolicyList, TierPolicies
from tortie.netlink.nftables_expressions import Verdict, counter, verdict

_SHORT = {Direction.INGRESS: "in", Direction.EGRESS: "out"}
_ACCEPT = counter() + verdict(Verdict.ACCEPT)
_DROP = counter() + verdict(Verdict.DROP)


Seat = Direction | Place
"""What a list of policies is for: one direction of a workload, or one place of a host endpoint."""


def policy_chain(policy: PolicyId, direction: Direction) -> str:
    """Name of a policy's chain."""
    return f"policy-{_SHORT[direction]}-{short_hash(f'{policy.kind}/{policy.namespace}/{policy.name}')}"


def tier_chain(tier: TierPolicies, direction: Direction) -> str:
    """Name of the chain of a tier's policies."""
    return f"tier-{_SHORT[direction]}-{short_hash(msgspec.json.encode(tier))}"


def endpoint_chain(policies: PolicyList, seat: Seat) -> str:
    """Name of the chain of all endpoints that have this list."""
    short = seat.value if isinstance(seat, Place) else _SHORT[seat]
    return f"endpoint-{short}-{short_hash(msgspec.json.encode(policies))}"


def is_shared(chain: str) -> bool:
    """Whether a chain lives only as long as something leads to it."""
    return chain.startswith(("tier-", "endpoint-", pending.PREFIX))


def depth(chain: str) -> int:
    """How many kinds of chains may lead to it."""
    kinds = ("endpoint", *pending.KINDS, "tier", "policy")
    return next((place for place, kind in enumerate(kinds, 1) if chain.startswith(f"{kind}-")), 0)


def tier_origin(tier: TierPolicies) -> PolicyId:
    """Under what name the end of a tier counts."""
    return PolicyId("Tier", "", tier.name)


def endpoint_origin(seat: Seat) -> PolicyId:
    """Under what name the end of a list of policies counts."""
    if isinstance(seat, Place):
        return PolicyId("HostEndpoint", "", seat.value)
    return PolicyId("Endpoint", "", "no match")


def direction_of(seat: Seat) -> Direction:
    """Seen from whom the list is for."""
    return seat.direction if isinstance(seat, Place) else seat


def list_policies(policies: PolicyList) -> Iterator[PolicyId]:
    """Every policy and profile of a list."""
    for tier in policies.tiers:
        yield from tier.policies
    yield from policies.profiles


def endpoint_rules(chain: str, policies: PolicyList, seat: Seat, settings: Settings) -> tuple[KernelRule, ...]:
    """Connections allowed before go on; then tiers in order, then profiles; what none decides is dropped.

    Before the tiers that would be different with what is staged, that is counted. Places of host endpoints ask for
    failsafes first; those that do not decide leave the rest to others, and those without a policy everything.
    """
    place, direction = seat if isinstance(seat, Place) else None, direction_of(seat)
    writer = ChainWriter(chain, endpoint_origin(seat), direction)
    if place and not (place.decides or policies.tiers):
        return ()
    if not (place and place.is_untracked):
        writer.add("accept", established() + _ACCEPT, ESTABLISHED)
        writer.add("drop", invalid() + _DROP, INVALID)
    if seat is Direction.EGRESS:
        for conditions in encapsulated(settings):
            writer.match("drop", conditions, _DROP, ENCAPSULATED)
    if place and (failsafes := failsafe_chain(place)):
        writer.jump(failsafes)
    section = pending.section(policies)
    for position, tier in enumerate((*policies.tiers, None)):
        if section and section.position == position:
            pending.enter(writer, section.tiers, direction, settings)
        if tier:
            writer.jump(tier_chain(tier, direction))
    for profile in policies.profiles:
        writer.jump(policy_chain(profile, direction))
    if not place or place.decides:
        writer.add("drop", _DROP, END)
    return writer.rules()


def tier_rules(
    tier: TierPolicies, direction: Direction, passing: Collection[PolicyId], settings: Settings
) -> tuple[KernelRule, ...]:
    """Policies in order; after those that can pass (`passing`), the mark tells whether they did, and is cleared."""
    writer = ChainWriter(tier_chain(tier, direction), tier_origin(tier), direction)
    bit = MarkBits.of(settings.mark_mask).passed
    if passing:
        writer.add("clear", set_mark(0, bit))
    for policy in tier.policies:
        writer.jump(policy_chain(policy, direction))
        if policy in passing:
            writer.add("return", marked(bit) + set_mark(0, bit) + verdict(Verdict.RETURN))
    if tier.default_action is not Action.PASS:
        writer.add("drop", _DROP, END)
    return writer.rules()
