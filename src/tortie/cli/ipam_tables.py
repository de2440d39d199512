"""What is known of addresses, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api.ipam import IPAMConfig
from tortie.base.addresses import Cidr
from tortie.cli.output import aligned
from tortie.ipam.audit import CHECKS, holders
from tortie.ipam.block import address_at, attribute_at
from tortie.ipam.block import borrowed as borrowed_ordinals
from tortie.ipam.inspection import record_of
from tortie.ipam.pools import pool_of
from tortie.ipam.report import Books, Report
from tortie.ipam.usage import Usage, usage

_CONFIGURATION = {
    "StrictAffinity": "strict_affinity",
    "AutoAllocateBlocks": "auto_allocate_blocks",
    "MaxBlocksPerHost": "max_blocks_per_host",
    "KubeVirtVMAddressPersistence": "kubevirt_vm_address_persistence",
    "IPCooldownSeconds": "ip_cooldown_seconds",
}
"""What a setting is called, and its field."""

PROPERTIES = {field: name for name, field in _CONFIGURATION.items()}
"""A field of the settings, and what it is called."""


def usage_table(books: Books, *, blocks: bool) -> str:
    """How full each pool is, and each of its blocks when asked for."""
    return aligned(["GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE"], list(_usage_rows(books, blocks)))


def one_address(books: Books, address: Cidr) -> str:
    """Who holds an address."""
    record = record_of(books.snapshot, address)
    users = books.users.get(address.text, ())
    pool = pool_of(books.pools, address)
    lines = [
        f"{address.text} is {'in use' if record else 'not assigned'}, in "
        + (f"pool {pool.name}" if pool else "no pool")
    ]
    lines += [f"Used by {user}" for user in users]
    if record:
        lines += ["Attributes:", *(f"  {name}: {value}" for name, value in record.items())]
    return "\n".join(lines)


def borrowed(books: Books) -> str:
    """Addresses that nodes took from blocks of others."""
    rows = []
    for cidr, block in sorted(books.snapshot.blocks.items()):
        for ordinal in borrowed_ordinals(block):
            attribute = attribute_at(block, ordinal)
            facts = (attribute.secondary if attribute else None) or {}
            address = address_at(block, ordinal).text
            users = ", ".join(books.users.get(address, ())) or facts.get("pod", "-")
            rows.append([address, facts.get("node", "-"), str(cidr), block.affinity or "-", users])
    return aligned(["IP", "BORROWING NODE", "BLOCK", "BLOCK OWNER", "ALLOCATED TO"], rows)


def configuration(config: IPAMConfig) -> str:
    """The settings in force."""
    return aligned(
        ["PROPERTY", "VALUE"], [[name, spelt(getattr(config, field))] for name, field in _CONFIGURATION.items()]
    )


def spelt(value: object) -> str:
    """The value of a setting as files spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def every_address(books: Books) -> str:
    """Every address that is held, its handle, and who uses it."""
    rows = [
        [address, handle or "-", ", ".join(books.users.get(address, ())) or "-"]
        for address, handle in sorted(holders(books.snapshot).items(), key=lambda item: Cidr.parse(item[0]))
    ]
    return aligned(["IP", "HANDLE", "USED BY"], rows)


def report_text(report: Report, books: Books) -> str:
    """What a check found, worst first."""
    counted = (
        f"{len(books.snapshot.blocks)} blocks, {len(holders(books.snapshot))} addresses held, "
        f"{len(books.users)} addresses in use, {len(books.snapshot.handles)} handles"
    )
    if not report.findings:
        return f"{counted}\nCheck complete; found 0 problems."
    rows = [
        [
            "harmful" if finding.harmful else "waste",
            finding.kind,
            finding.object,
            finding.detail,
            CHECKS[finding.kind].remedy,
        ]
        for finding in sorted(report.findings, key=lambda finding: not finding.harmful)
    ]
    table = aligned(["SEVERITY", "PROBLEM", "OBJECT", "FACTS", "WHAT TO DO"], rows)
    return f"{counted}\n\n{table}\n\nCheck complete; found {len(rows)} problems."


def _usage_rows(books: Books, blocks: bool) -> Iterator[list[str]]:
    stored = list(books.snapshot.blocks.values())
    for pool in books.pools:
        reserved = books.reserved[pool.cidr.family]
        yield _row("IP Pool", usage(pool.cidr, stored, reserved))
        for cidr in sorted(cidr for cidr in books.snapshot.blocks if blocks and pool.cidr.contains(cidr)):
            yield _row("Block", usage(cidr, [books.snapshot.blocks[cidr]], reserved))


def _row(grouping: str, counted: Usage) -> list[str]:
    shares = (counted.in_use, counted.available)
    return [
        grouping,
        str(counted.cidr),
        f"{counted.capacity:.5g}",
        *(f"{share:.5g} ({100 * share // counted.capacity}%)" for share in shares),
    ]
