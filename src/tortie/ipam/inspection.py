"""Who uses which address, against what is recorded of it: leaks, and addresses used without being held. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import msgspec

from tortie.api.node import Node
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.ipam.audit import Finding, Snapshot, audit, holders
from tortie.ipam.block import address_at, attribute_at, handle_of, held, ordinal_of
from tortie.ipam.pools import Pool, pool_of

Users = Mapping[str, Sequence[str]]
"""Every address that is in use, and what uses it, such as `WorkloadEndpoint shop/n1-k8s-web-eth0`."""


class Leak(msgspec.Struct, frozen=True, gc=False):
    """An address that is held and that nobody uses, as it was seen: released only if it still is like this."""

    address: str
    handle: str
    sequence_number: int | None = None


def users_of(endpoints: Iterable[WorkloadEndpoint], nodes: Iterable[Node]) -> Users:
    """The addresses of workloads, and of the nodes' tunnels."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for endpoint in endpoints:
        for text in endpoint.spec.ip_networks:
            _add(users, text, str(endpoint.key))
    for node in nodes:
        for text in tunnel_addresses(node):
            _add(users, text, str(node.key))
    return dict(users)


def tunnel_addresses(node: Node) -> tuple[str, ...]:
    """The addresses that a node took for its tunnels."""
    bgp, wireguard = node.spec.bgp, node.spec.wireguard
    found = (
        bgp.ipv4_ipip_tunnel_addr if bgp else "",
        node.spec.ipv4_vxlan_tunnel_addr,
        node.spec.ipv6_vxlan_tunnel_addr,
        wireguard.interface_ipv4_address if wireguard else "",
        wireguard.interface_ipv6_address if wireguard else "",
    )
    return tuple(address for address in found if address)


def inspect(snapshot: Snapshot, users: Users, pools: Iterable[Pool]) -> tuple[Finding, ...]:
    """Everything that does not agree, in the records and between records and use."""
    recorded = holders(snapshot)
    live = {recorded[address] for address in users if address in recorded}
    known = list(pools)
    findings = [*audit(snapshot, live), *_unrecorded(snapshot, recorded, users, known), *_shared(users)]
    return tuple(sorted([*findings, *_overlapping(known), *_ownerless(snapshot)]))


def leaks(snapshot: Snapshot, findings: Iterable[Finding]) -> tuple[Leak, ...]:
    """The leaked addresses among findings, with what guards their release."""
    leaked = {finding.object for finding in findings if finding.kind == "leaked-address"}
    return tuple(
        Leak(address, handle_of(attribute), block.sequence_number_for_allocation.get(str(ordinal)))
        for cidr, block in snapshot.blocks.items()
        for ordinal, attribute in held(block)
        if (address := Cidr(cidr.family, cidr.address + ordinal, cidr.bits).text) in leaked
    )


def record_of(snapshot: Snapshot, address: Cidr) -> Mapping[str, str] | None:
    """What is recorded of one address: handle and facts; None when it is free."""
    for cidr, block in snapshot.blocks.items():
        if cidr.contains(address):
            wanted = ordinal_of(block, address)
            for ordinal, attribute in held(block):
                if ordinal == wanted:
                    return {"handle": handle_of(attribute), **(attribute.secondary or {})}
    return None


def cooling_addresses(snapshot: Snapshot) -> dict[str, str]:
    """Every address that is released and not given again yet, and when it was released (RFC 3339)."""
    return {
        address_at(block, ordinal).text: attribute.released_at
        for _, block in sorted(snapshot.blocks.items())
        for ordinal in range(len(block.allocations))
        if (attribute := attribute_at(block, ordinal)) and attribute.released_at is not None
    }


def _add(users: defaultdict[str, list[str]], text: str, user: str) -> None:
    try:
        users[Cidr.host(text).text].append(user)
    except ValueError:
        return  # An address that cannot be read is reported where resources are judged.


def _unrecorded(snapshot: Snapshot, recorded: Mapping[str, str], users: Users, pools: list[Pool]) -> Iterator[Finding]:
    for text, by in users.items():
        address = Cidr.parse(text)
        is_known = text in recorded or snapshot.unreadable_block_of(address)
        if not is_known and pool_of(pools, address) is not None:
            yield Finding("unrecorded-address", text, f"used by {', '.join(by)}")


def _overlapping(pools: list[Pool]) -> Iterator[Finding]:
    for one, other in combinations(sorted(pools, key=lambda pool: pool.name), 2):
        if one.cidr.overlaps(other.cidr):
            yield Finding("overlapping-pools", other.name, f"{other.cidr} overlaps {one.cidr} of pool {one.name}")


def _ownerless(snapshot: Snapshot) -> Iterator[Finding]:
    for cidr, block in snapshot.blocks.items():
        if block.affinity is None:
            yield Finding("block-without-owner", str(cidr), f"{sum(1 for _ in held(block))} of its addresses are held")


def _shared(users: Users) -> Iterator[Finding]:
    for address, by in users.items():
        if len(by) > 1:
            yield Finding("shared-address", address, f"used by {', '.join(sorted(by))}")
