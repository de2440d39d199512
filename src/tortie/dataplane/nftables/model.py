"""What our table holds, as plain data: the mirror of the kernel that plans are made against."""

from __future__ import annotations

from collections import Counter

import msgspec

from tortie.netlink.nftables import Hook, SetDeclaration


class RuleSet(msgspec.Struct, frozen=True, gc=False):
    """A set that belongs to one rule: ports, prefixes or protocols, as disjoint intervals or as plain keys."""

    name: str
    declaration: SetDeclaration
    records: bytes


class KernelRule(msgspec.Struct, frozen=True, gc=False):
    """A rule ready for the kernel.

    Args:
        tag: action, identity and hash of the content; kept in the kernel as the rule's comment.
        index: position in the policy that a person wrote; negative for rules of our own.
        target: the chain that it jumps to, or empty.
    """

    tag: bytes
    expressions: bytes
    sets: tuple[RuleSet, ...] = ()
    index: int = -1
    target: str = ""


class KernelChain(msgspec.Struct, frozen=True, gc=False):
    """A chain in the kernel: the tags of its rules in order, and the chains that it jumps to."""

    tags: tuple[bytes, ...] = ()
    targets: tuple[str, ...] = ()
    hook: Hook | None = None


class KernelSet(msgspec.Struct, frozen=True, gc=False):
    """A named set in the kernel; `records` are sorted, in the form that its kind has (see `sets`)."""

    declaration: SetDeclaration
    records: bytes = b""
    size: int = 0


class Source(msgspec.Struct, frozen=True, order=True, gc=False):
    """A source that an interface may use: an element of the set named; `end` is the last key of a range."""

    set: str
    key: bytes
    end: bytes = b""


class Workload(msgspec.Struct, frozen=True, gc=False):
    """All that the kernel knows of one workload interface.

    Args:
        owner: 64-bit identity of the endpoint; 0 if the kernel's set of workloads lacks the interface.
        egress, ingress: chains that judge what the workload sends and receives; empty if the map lacks them.
        sources: sorted.
    """

    owner: int = 0
    egress: str = ""
    ingress: str = ""
    sources: tuple[Source, ...] = ()


class Kernel(msgspec.Struct):
    """Our table. Absent (`present` false) it is empty.

    Args:
        generation: of the rule set, when this was known to be so.
        flags: of the table; ours has none, and a dormant one (1) filters nothing.
        interfaces: owner to interface; the inverse of `workloads`.
        hosts: map and interface to the chain of the host endpoint that guards it there.
        users: how many rules and map elements lead to each chain.
    """

    present: bool = False
    generation: int = 0
    flags: int = 0
    sets: dict[str, KernelSet] = {}
    chains: dict[str, KernelChain] = {}
    workloads: dict[str, Workload] = {}
    interfaces: dict[int, str] = {}
    hosts: dict[tuple[str, str], str] = {}
    users: Counter[str] = msgspec.field(default_factory=Counter)
