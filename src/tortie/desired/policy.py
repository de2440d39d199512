"""The one compiled form of policy: tiers of policies of rules, as each endpoint and direction sees them.

Everything that judges or programs packets reads this form. Rules hold numbers, prefixes and IP-set
identities only; labels and selectors are gone. A rule that names prefixes stands once per address
family, with that family's prefixes alone, and keeps the index of the rule that a person wrote.

Verdict of one direction of an endpoint: tiers in order; in a tier policies in order; in a policy
rules in order; the first Allow or Deny that matches decides; Pass skips the rest of the tier; Log
goes on. A tier that ends without a decision takes its default action (Deny decides, Pass goes on to
the next tier). After the last tier the profiles are tried in the same way, where Pass ends that
profile only; when none decides, the packet is denied.
"""

from __future__ import annotations

import enum
from typing import NewType

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.hashes import hash64

SetId = NewType("SetId", str)
"""Identity of an IP set: a hash of the canonical text of what it holds, see `unique_id`."""


class Action(enum.Enum):
    """What a matching rule does."""

    ALLOW = "Allow"
    DENY = "Deny"
    PASS = "Pass"
    LOG = "Log"


class Direction(enum.Enum):
    """Seen from the endpoint: ingress is what it receives, egress what it sends."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Stage(enum.Enum):
    """When a policy is applied, and with that what its Allow does besides.

    Policies of the two early stages govern host endpoints only. What they allow is judged by no later
    policy of the host's interface that it came in by or, if the host sends it, goes out by.
    """

    UNTRACKED = "untracked"
    """Before connection tracking, which allowed packets then skip."""
    PRE_DNAT = "pre-dnat"
    """Before destinations are translated."""
    NORMAL = "normal"


class PolicyId(msgspec.Struct, frozen=True, order=True, gc=False):
    """Kind, namespace (empty if none) and name of a policy or of a profile (kind `Profile`)."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def is_staged(self) -> bool:
        """Whether it is evaluated and counted, but never enforced."""
        return self.kind.startswith("Staged")


class PortRange(msgspec.Struct, frozen=True, order=True, gc=False):
    """Ports from `first` to `last`, both included, 1 to 65535 (0 is allowed in `first` for ranges)."""

    first: int
    last: int


class ICMPMatch(msgspec.Struct, frozen=True, gc=False):
    """ICMP type, and code when given; both must match."""

    type: int
    code: int | None = None


class Side(msgspec.Struct, frozen=True, gc=False):
    """Match on the source or on the destination of a packet. Everything given must match.

    Args:
        nets: the address is in one of these (all of the rule's family).
        not_nets: the address is in none of these.
        sets: the address is in every one of these address sets.
        not_sets: the address is in none of these address sets.
        ports: the port is in one of these ranges, or
        port_sets: address, protocol and port are in one of these port sets (with `ports`: either).
        not_ports: the port is in none of these ranges.
        not_port_sets: address, protocol and port are in none of these port sets.
        service_sets: address, protocol and port are in every one of these port sets.
    """

    nets: tuple[Cidr, ...] = ()
    not_nets: tuple[Cidr, ...] = ()
    sets: tuple[SetId, ...] = ()
    not_sets: tuple[SetId, ...] = ()
    ports: tuple[PortRange, ...] = ()
    port_sets: tuple[SetId, ...] = ()
    not_ports: tuple[PortRange, ...] = ()
    not_port_sets: tuple[SetId, ...] = ()
    service_sets: tuple[SetId, ...] = ()


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One compiled rule.

    Args:
        action: what it does.
        index: position of the rule in the policy that a person wrote, from 0, per direction.
        family: 4 or 6, or None for both.
        protocol, not_protocol: IP protocol number, 1 to 255.
        icmp, not_icmp: matched on ICMP for family 4 and on ICMPv6 for family 6.
    """

    action: Action
    index: int
    family: int | None = None
    protocol: int | None = None
    not_protocol: int | None = None
    icmp: ICMPMatch | None = None
    not_icmp: ICMPMatch | None = None
    source: Side = Side()
    destination: Side = Side()


class Policy(msgspec.Struct, frozen=True, gc=False):
    """A compiled policy or profile; `tier` is empty for profiles."""

    id: PolicyId
    tier: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    stage: Stage = Stage.NORMAL

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """The rules of one direction."""
        return self.ingress if direction is Direction.INGRESS else self.egress


class TierPolicies(msgspec.Struct, frozen=True, gc=False):
    """The policies of one tier that govern one direction of an endpoint, in order; never empty."""

    name: str
    policies: tuple[PolicyId, ...]
    default_action: Action


class PolicyList(msgspec.Struct, frozen=True, gc=False):
    """All that governs one direction of an endpoint. Endpoints with equal lists share kernel chains.

    Args:
        pending: the tiers as they were if everything staged were enforced; None when nothing staged concerns them.
            They never decide anything.
    """

    tiers: tuple[TierPolicies, ...] = ()
    profiles: tuple[PolicyId, ...] = ()
    pending: tuple[TierPolicies, ...] | None = None

    def policy_ids(self) -> set[PolicyId]:
        """Every policy and profile that is named, enforced or pending."""
        tiers = (*self.tiers, *(self.pending or ()))
        return {policy for tier in tiers for policy in tier.policies}.union(self.profiles)

    def if_enforced(self) -> PolicyList:
        """What would govern if everything staged were enforced."""
        return self if self.pending is None else PolicyList(self.pending, self.profiles)


def rule_identity(policy: PolicyId, direction: Direction, index: int) -> int:
    """The 64-bit identity of a rule, carried into the kernel and recorded on disk beside its name."""
    return hash64(f"{policy.kind}/{policy.namespace}/{policy.name}/{direction.value}/{index}")
