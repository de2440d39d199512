"""From the kernel to the mirror: one raw dump of everything that is in our table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from tortie.dataplane.nftables.chains import is_shared
from tortie.dataplane.nftables.host_layout import HOST_SETS
from tortie.dataplane.nftables.layout import FIXED_SETS, HOOKS, RECEIVERS, SENDERS, WORKLOADS
from tortie.dataplane.nftables.limit_rules import LimitSet
from tortie.dataplane.nftables.model import Kernel, KernelChain, KernelSet, Source, Workload
from tortie.dataplane.nftables.named_kinds import kind_of
from tortie.dataplane.nftables.operations import leads
from tortie.dataplane.nftables.sets import SetKind
from tortie.netlink.nftables import Table
from tortie.netlink.nftables_dump import (
    ChainInfo,
    ElementInfo,
    RuleInfo,
    SetInfo,
    jump_targets,
    parse_elements,
    parse_keys,
    read_chains,
    read_elements,
    read_rules,
    read_sets,
    read_table,
)
from tortie.netlink.nftables_expressions import Verdict
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage

_FOREIGN_OWNER = 1
_FOREIGN_CHAIN = "?"
"""What stands for an owner or a verdict that we never put there, so that it is replaced."""


def read_kernel(socket: NetlinkSocket, table: Table) -> Kernel:
    """The mirror, without its generation. Raises KernelError."""
    info = read_table(socket, table)
    if info is None:
        return Kernel()
    kernel = Kernel(present=True, flags=info.flags)
    kernel.chains = _chains(read_chains(socket, table), read_rules(socket, table))
    fixed: dict[str, list[ElementInfo]] = {}
    for one in read_sets(socket, table):
        if one.is_anonymous:
            continue
        messages = read_elements(socket, table, one.name)
        if one.name in FIXED_SETS:
            fixed[one.name] = list(parse_elements(messages))
        kernel.sets[one.name] = KernelSet(one.declaration, _records(one, messages), one.size)
    kernel.hosts = {(name, _interface(one.key)): _goto(one) for name in HOST_SETS for one in fixed.pop(name, ())}
    kernel.workloads = _workloads(fixed)
    kernel.interfaces = {one.owner: name for name, one in kernel.workloads.items() if one.owner}
    kernel.users = _users(kernel)
    return kernel


def _chains(chains: Iterable[ChainInfo], rules: Iterable[RuleInfo]) -> dict[str, KernelChain]:
    by_chain: dict[str, list[RuleInfo]] = defaultdict(list)
    for rule in rules:
        by_chain[rule.chain].append(rule)
    return {chain.name: _chain(chain, by_chain[chain.name]) for chain in chains}


def _chain(chain: ChainInfo, rules: list[RuleInfo]) -> KernelChain:
    leading = rules if is_shared(chain.name) or chain.name in HOOKS else []
    targets = tuple(target for rule in leading for target in jump_targets(rule.expressions))
    return KernelChain(tuple(rule.comment for rule in rules), targets, chain.hook)


def _records(info: SetInfo, messages: list[Message]) -> bytes:
    kind = kind_of(info.name)
    if kind is None or kind.declaration != info.declaration:
        return b""
    if kind.declaration.interval:
        return _intervals(kind, parse_elements(messages))
    if isinstance(kind, LimitSet):
        return b"".join(sorted(kind.record(one.key, one.comment) for one in parse_elements(messages)))
    if any(kind.declaration.data):
        return b"".join(sorted(one.key + one.data for one in parse_elements(messages)))
    try:
        return kind.records(parse_keys(messages, kind.key_length))
    except TruncatedMessage:
        return kind.records(b"".join(sorted(one.key for one in parse_elements(messages))))


def _intervals(kind: SetKind, elements: Iterable[ElementInfo]) -> bytes:
    """Starts and ends, which the kernel lists one by one, as intervals; behind an endless one stands 0."""
    endless = bytes(kind.key_length)
    parts: list[bytes] = []
    for one in sorted(elements, key=lambda found: (found.key, not found.interval_end)):
        if one.interval_end:
            if len(parts) % 2:
                parts.append(one.key)
        else:
            parts += [endless, one.key] if len(parts) % 2 else [one.key]
    return b"".join(parts) + (endless if len(parts) % 2 else b"")


def _workloads(fixed: dict[str, list[ElementInfo]]) -> dict[str, Workload]:
    """What each interface has in the sets of the layout."""
    owners = {_interface(one.key): _owner(one) for one in fixed.get(WORKLOADS, ())}
    egress = {_interface(one.key): _goto(one) for one in fixed.get(SENDERS, ())}
    ingress = {_interface(one.key): _goto(one) for one in fixed.get(RECEIVERS, ())}
    sources: dict[str, list[Source]] = defaultdict(list)
    for name, elements in fixed.items():
        if name not in (WORKLOADS, SENDERS, RECEIVERS):
            for one in elements:
                sources[_interface(one.key)].append(Source(name, one.key, one.end))
    return {
        name: Workload(owners.get(name, 0), egress.get(name, ""), ingress.get(name, ""), tuple(sorted(sources[name])))
        for name in owners.keys() | egress.keys() | ingress.keys() | sources.keys()
    }


def _users(kernel: Kernel) -> Counter[str]:
    users: Counter[str] = Counter()
    for chain in kernel.chains.values():
        users.update(chain.targets)
    for workload in kernel.workloads.values():
        users.update(leads(workload))
    users.update(kernel.hosts.values())
    return users


def _interface(key: bytes) -> str:
    return key[:16].rstrip(b"\0").decode(errors="surrogateescape")


def _owner(one: ElementInfo) -> int:
    try:
        return int(one.comment, 16) or _FOREIGN_OWNER
    except ValueError:
        return _FOREIGN_OWNER


def _goto(one: ElementInfo) -> str:
    return one.chain if one.verdict == Verdict.GOTO else _FOREIGN_CHAIN
