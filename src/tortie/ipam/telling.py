"""What the books say of pools and of single addresses, as plain data for whoever shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from tortie.base.addresses import Cidr
from tortie.ipam.errors import UnreadableRecord
from tortie.ipam.inspection import cooling_addresses, record_of
from tortie.ipam.pools import pool_of
from tortie.ipam.report import Books
from tortie.ipam.usage import Usage, usage

TYPES = {
    "vxlanTunnelAddress": "the node's own end of VXLAN tunnels, IPv4",
    "vxlanV6TunnelAddress": "the node's own end of VXLAN tunnels, IPv6",
    "ipipTunnelAddress": "the node's own end of IP-in-IP tunnels",
    "wireguardTunnelAddress": "the node's own end of WireGuard tunnels, IPv4",
    "wireguardV6TunnelAddress": "the node's own end of WireGuard tunnels, IPv6",
}
"""What the type of a record means."""


class State(StrEnum):
    """What is known of an address."""

    IN_USE = "in use"
    COOLING = "cooling down"
    FREE = "not assigned"
    UNKNOWN = "unknown"


class ToldAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One address.

    Args:
        pool: the name of its pool; empty when it is in none.
        used_by: what uses it, whatever its record says.
        block: the block that it lies in; empty when there is none.
        block_owner: who owns that, as blocks spell it.
        owner: who holds it, in words; empty when nobody does.
        reason: why, in words.
        since: when it was given, as its record says.
        attributes: of who holds it.
        released_at: since when it cools down, RFC 3339.
        problem: why its state is unknown.
    """

    address: str
    state: State
    pool: str = ""
    block: str = ""
    block_owner: str = ""
    used_by: tuple[str, ...] = ()
    owner: str = ""
    reason: str = ""
    since: str = ""
    attributes: Mapping[str, str] = {}
    released_at: str = ""
    problem: str = ""


class PoolUsage(msgspec.Struct, frozen=True):
    """How full a pool is, and each of its blocks, readable or not."""

    name: str
    usage: Usage
    blocks: tuple[Usage, ...]


def tell_address(books: Books, address: Cidr) -> ToldAddress:
    """What is known of an address."""
    pool = pool_of(books.pools, address)
    block, block_owner = _block(books, address)
    told = ToldAddress(
        address=address.text,
        state=State.FREE,
        pool=pool.name if pool else "",
        used_by=tuple(books.users.get(address.text, ())),
        block=block,
        block_owner=block_owner,
    )
    if key := books.snapshot.unreadable_block_of(address):
        problem = str(UnreadableRecord(key, books.snapshot.unreadable[key]))
        return msgspec.structs.replace(told, state=State.UNKNOWN, problem=problem)
    if record := record_of(books.snapshot, address):
        return msgspec.structs.replace(
            told,
            state=State.IN_USE,
            attributes=record,
            owner=owner_of(record),
            reason=reason_of(record),
            since=record.get("timestamp", ""),
        )
    if released := cooling_addresses(books.snapshot).get(address.text):
        return msgspec.structs.replace(told, state=State.COOLING, released_at=released)
    return told


def owner_of(record: Mapping[str, str]) -> str:
    """Who holds an address, in words, as its record says."""
    node = f" on node {record['node']}" if record.get("node") else ""
    workload = "/".join(record[name] for name in ("namespace", "pod") if record.get(name))
    if record.get("vmi-name"):
        return f"virtual machine {record.get('namespace', '')}/{record['vmi-name']}{node}"
    if record.get("pod"):
        return f"pod {workload}{node}"
    if record.get("service"):
        return f"service {'/'.join(filter(None, (record.get('namespace', ''), record['service'])))}"
    if record.get("type"):
        return f"node {record.get('node', '')}".rstrip()
    return f"handle {record['handle']}{node}" if record.get("handle") else f"somebody{node}"


def reason_of(record: Mapping[str, str]) -> str:
    """Why an address is held, in words, as its record says."""
    type = record.get("type", "")
    reason = TYPES.get(type) or (f"recorded as {type}" if type else "")
    if not reason and (record.get("pod") or record.get("handle")):
        reason = "a workload was attached by CNI" if record.get("pod") else "its handle was given it"
    return "; ".join(filter(None, (reason, record.get("note", ""))))


def _block(books: Books, address: Cidr) -> tuple[str, str]:
    for cidr, block in books.snapshot.blocks.items():
        if cidr.contains(address):
            return str(cidr), block.affinity or ""
    return "", ""


def usages(books: Books, *, blocks: bool) -> tuple[PoolUsage, ...]:
    """How full every pool is, and its blocks when asked for."""
    stored = list(books.snapshot.blocks.values())
    unknown = list(books.snapshot.unreadable_blocks)
    every = sorted([*books.snapshot.blocks, *unknown]) if blocks else []
    found = []
    for pool in books.pools:
        reserved = books.reserved[pool.cidr.family]
        inside = [cidr for cidr in every if pool.cidr.contains(cidr)]
        counted = tuple(
            usage(cidr, [books.snapshot.blocks[cidr]], reserved)
            if cidr in books.snapshot.blocks
            else usage(cidr, (), reserved, [cidr])
            for cidr in inside
        )
        found.append(PoolUsage(pool.name, usage(pool.cidr, stored, reserved, unknown), counted))
    return tuple(found)
