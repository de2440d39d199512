"""What `tortie describe` tells of each kind: its fields, and what other objects have to do with it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from tortie.api.codec import to_mapping
from tortie.api.ipam import IPAMBlock
from tortie.api.resource import Resource, ResourceKey
from tortie.api.tier import Tier
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.calculation.ordering import BUILT_IN_TIERS, TierRank, policy_rank, tier_rank
from tortie.cli.columns import age
from tortie.cli.output import aligned
from tortie.cli.sentences import endpoints_of, numbered
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import BLOCK_PREFIX
from tortie.datastore.reading import ResourceReader
from tortie.ipam.catalog import read_reserved
from tortie.ipam.store import Store
from tortie.ipam.usage import usage

AFTER_RULES = "otherwise as the next policies of the tier say, or how the tier ends"
NO_RULES = "no rules: as the next policies of the tier say, or how the tier ends"

Pairs = list[tuple[str, str]]


class Part(msgspec.Struct, frozen=True):
    """A heading and the lines below it."""

    heading: str
    lines: Sequence[str]


class Description(msgspec.Struct, frozen=True):
    """What is told of one object: short facts, then parts."""

    title: str
    facts: Pairs
    parts: Sequence[Part]


class Surroundings:
    """What the datastore holds besides the object that is described."""

    def __init__(self, datastore: Datastore, reader: ResourceReader) -> None:
        self.reader = reader
        self._records = Store(datastore, SystemClock(), Random())

    async def policies(self, kinds: Sequence[str], tier: str) -> list[Any]:
        """The policies of a tier, in the order in which they are tried."""
        found = [one for kind in kinds for one in await self.reader.list(kind) if _tier(one) == tier]
        return sorted(found, key=_position)

    async def tier(self, name: str) -> TierRank | None:
        """Order and end of a tier."""
        tier = await self.reader.get(ResourceKey("Tier", "", name))
        return tier_rank(tier) if isinstance(tier, Tier) else BUILT_IN_TIERS.get(name)

    async def blocks(self) -> list[IPAMBlock]:
        """All blocks of addresses, in the order of their keys."""
        stored = await self._records.list_values(BLOCK_PREFIX, IPAMBlock)
        return [one.value for one in stored.values()]

    async def capacity(self, prefix: Cidr, blocks: Sequence[IPAMBlock]) -> str:
        """How full a prefix is, in words."""
        counted = usage(prefix, blocks, await read_reserved(self._records, prefix.family))
        cooling = f", {counted.cooling} cooling down" if counted.cooling else ""
        return f"{counted.in_use} of {counted.capacity} in use{cooling}, {counted.available} free"


Told = tuple[Pairs, list[Part]]
Tell = Callable[[Any, Surroundings], Awaitable[Told]]


async def describe(resource: Resource, surroundings: Surroundings) -> Description:
    """All that is to be told of a resource."""
    kind = TOLD.get(resource.kind, Telling())
    mapping = to_mapping(resource)
    facts, parts = await kind.tell(resource, surroundings) if kind.tell else ([], [])
    fields = {name: value for name, value in (mapping.get("spec") or {}).items() if name not in kind.skip}
    short, long = _of_fields(fields)
    _, status = _of_fields({"status": mapping.get("status") or {}})
    return Description(str(resource.key), [*_of_metadata(resource), *facts, *short], [*parts, *long, *status])


def as_text(description: Description) -> str:
    """A description as it is printed."""
    width = max(len(name) for name, _ in description.facts) + 1
    lines = [description.title, *(f"  {name + ':':{width}}  {value}" for name, value in description.facts)]
    for part in description.parts:
        lines += ["", f"  {part.heading}:", *(f"    {line}" for line in part.lines)]
    return "\n".join(line.rstrip() for line in lines)


async def _policy(policy: Any, around: Surroundings) -> Told:
    spec = policy.spec
    rank = policy_rank(spec)
    tier = await around.tier(rank.tier)
    others = await around.policies(KINDS_BESIDE[policy.kind], rank.tier)
    place = [one.key for one in others].index(policy.key) + 1 if policy.key in {one.key for one in others} else 0
    namespaces = getattr(spec, "namespace_selector", "")
    applies = endpoints_of(spec.selector, policy.metadata.namespace, namespaces, spec.service_account_selector)
    facts = [
        ("Tier", f"{rank.tier} ({_tier_words(tier)})"),
        ("Order", f"{_order(spec.order)}, number {place} of {len(others)} in the tier"),
        ("Applies to", applies),
        ("Types", ", ".join(direction.value.capitalize() for direction in rank.directions)),
    ]
    parts = []
    for direction in rank.directions:
        rules = numbered(getattr(spec, direction.value))
        parts.append(Part(direction.value.capitalize(), [*rules, AFTER_RULES if rules else NO_RULES]))
    return facts, parts


async def _profile(profile: Any, _: Surroundings) -> Told:
    return [], [
        Part(direction.capitalize(), numbered(rules) or ["no rules"])
        for direction, rules in (("ingress", profile.spec.ingress), ("egress", profile.spec.egress))
    ]


async def _tier_told(tier: Any, around: Surroundings) -> Told:
    policies = await around.policies(POLICIES, tier.metadata.name)
    rows = [
        [str(number), str(one.key), _order(one.spec.order), ",".join(one.spec.types)]
        for number, one in enumerate(policies, 1)
    ]
    table = aligned(["", "POLICY", "ORDER", "TYPES"], rows).splitlines() if rows else ["none"]
    return [("Order", _order(tier.spec.order)), ("Ends with", _end(tier_rank(tier)))], [Part("Policies", table)]


async def _pool(pool: Any, around: Surroundings) -> Told:
    blocks = await around.blocks()
    try:
        prefix = Cidr.parse(pool.spec.cidr)
    except ValueError:
        return [], []
    inside = [block for block in blocks if prefix.contains(Cidr.parse(block.cidr))]
    facts = [("Addresses", await around.capacity(prefix, inside))]
    rows = [[block.cidr, _owner(block), await around.capacity(Cidr.parse(block.cidr), [block])] for block in inside]
    return facts, [Part("Blocks", aligned(["BLOCK", "OWNER", "ADDRESSES"], rows).splitlines())] if rows else []


async def _node(node: Any, around: Surroundings) -> Told:
    owned = [block for block in await around.blocks() if block.affinity == f"host:{node.metadata.name}"]
    workloads: Sequence[Any] = await around.reader.list("WorkloadEndpoint")
    count = sum(one.spec.node == node.metadata.name for one in workloads)
    rows = [[block.cidr, await around.capacity(Cidr.parse(block.cidr), [block])] for block in owned]
    table = aligned(["BLOCK", "ADDRESSES"], rows).splitlines() if rows else ["none"]
    return [("Workloads", str(count))], [Part("Blocks", table)]


async def _endpoint(endpoint: Any, around: Surroundings) -> Told:
    node: Any = await around.reader.get(ResourceKey("Node", "", endpoint.spec.node)) if endpoint.spec.node else None
    bgp = node.spec.bgp if node else None
    addresses = [one for one in (bgp.ipv4_address, bgp.ipv6_address) if one] if bgp else []
    at = f" ({', '.join(addresses)})" if addresses else ""
    lines = []
    for name in endpoint.spec.profiles:
        profile: Any = await around.reader.get(ResourceKey("Profile", "", name))
        if profile is None:
            lines.append(f"{name}: does not exist")
            continue
        labels = ", ".join(f"{label}={value}" for label, value in profile.spec.labels_to_apply.items())
        lines.append(f"{name}: gives the labels {labels}" if labels else name)
    facts = [
        (
            "Node",
            f"{endpoint.spec.node}{at}"
            if node or not endpoint.spec.node
            else f"{endpoint.spec.node} (which does not exist)",
        )
    ]
    return facts, [Part("Profiles", lines)] if lines else []


class Telling(msgspec.Struct, frozen=True):
    """What is special about a kind.

    Args:
        tell: facts and parts besides the plain fields.
        skip: fields of the specification that `tell` puts into words.
    """

    tell: Tell | None = None
    skip: frozenset[str] = frozenset()


_POLICY = Telling(
    _policy,
    frozenset(
        {"tier", "order", "selector", "types", "ingress", "egress", "namespaceSelector", "serviceAccountSelector"}
    ),
)
_ENDPOINT = Telling(_endpoint, frozenset({"node", "profiles"}))

POLICIES = ("GlobalNetworkPolicy", "NetworkPolicy")
STAGED = ("StagedGlobalNetworkPolicy", "StagedNetworkPolicy")
KINDS_BESIDE = dict.fromkeys(POLICIES, POLICIES) | dict.fromkeys(STAGED, STAGED)

TOLD: Mapping[str, Telling] = {
    **dict.fromkeys((*POLICIES, *STAGED), _POLICY),
    "Profile": Telling(_profile, frozenset({"ingress", "egress"})),
    "Tier": Telling(_tier_told, frozenset({"order", "defaultAction"})),
    "IPPool": Telling(_pool),
    "Node": Telling(_node),
    "WorkloadEndpoint": _ENDPOINT,
    "HostEndpoint": _ENDPOINT,
}
"""What is told besides plain fields, by kind."""


def _of_metadata(resource: Resource) -> Pairs:
    metadata = resource.metadata
    old = age(metadata.creation_timestamp, time.time())
    facts = [
        ("Labels", ", ".join(f"{name}={value}" for name, value in metadata.labels.items()) or "none"),
        ("Created", f"{metadata.creation_timestamp} ({old} ago)" if old else "unknown"),
        ("Revision", metadata.resource_version or "none: it is built in"),
    ]
    notes = [(f"Annotation {name}", value) for name, value in metadata.annotations.items()]
    return facts + notes


def _of_fields(fields: Mapping[str, Any]) -> tuple[Pairs, list[Part]]:
    """Single values and lists of them are facts; what has a structure is a part."""
    facts: Pairs = []
    parts: list[Part] = []
    for name, value in fields.items():
        if _is_plain(value):
            facts.append((name, _plain(value)))
        elif value:
            parts.append(Part(name, list(_outlined(value))))
    return facts, parts


def _outlined(value: Any) -> Iterator[str]:
    """Mappings and lists within each other, indented."""
    items = value.items() if isinstance(value, dict) else (("-", inner) for inner in value)
    for name, inner in items:
        mark = name if name == "-" else f"{name}:"
        if _is_plain(inner):
            yield f"{mark} {_plain(inner)}"
        elif isinstance(inner, dict) and name == "-" and inner:
            first, *rest = _outlined(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield mark
            yield from (f"  {line}" for line in _outlined(inner))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(inner, dict | list) for inner in value)
    return not isinstance(value, dict)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _position(policy: Any) -> tuple[float, str]:
    """As `tortie.calculation.ordering` sorts policies."""
    return policy_rank(policy.spec).order, f"{policy.metadata.name}/{policy.metadata.namespace}/{policy.kind}"


def _tier(policy: Any) -> str:
    return policy_rank(policy.spec).tier


def _tier_words(tier: TierRank | None) -> str:
    return f"order {_order(tier.order)}, ends with {_end(tier)}" if tier else "which does not exist"


def _end(tier: TierRank) -> str:
    return tier.default_action.value


def _order(order: float | None) -> str:
    return "last" if order is None else f"{order:.10g}"


def _owner(block: IPAMBlock) -> str:
    return block.affinity.removeprefix("host:") if block.affinity else "nobody"
