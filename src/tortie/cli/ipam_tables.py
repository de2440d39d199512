"""What is known of addresses, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tortie.api.ipam import IPAMConfig
from tortie.base.addresses import Cidr
from tortie.cli.output import aligned
from tortie.ipam.audit import CHECKS, holders
from tortie.ipam.block import address_at, attribute_at
from tortie.ipam.block import borrowed as borrowed_ordinals
from tortie.ipam.errors import UnreadableRecord
from tortie.ipam.inspection import cooling_addresses
from tortie.ipam.report import Books, Report
from tortie.ipam.telling import State, ToldAddress, owner_of, usages
from tortie.ipam.tenures import Past
from tortie.ipam.usage import Usage

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
    headings = ["GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE", "COOLING DOWN"]
    unknown = books.snapshot.unreadable_blocks
    if not unknown:
        return aligned(headings, list(_usage_rows(books, blocks)))
    table = aligned([*headings, "UNKNOWN"], list(_usage_rows(books, blocks, unknown=True)))
    notes = [str(UnreadableRecord(key, books.snapshot.unreadable[key])) for key in unknown.values()]
    return "\n".join([table, "", *notes])


def one_address(told: ToldAddress, past: Past) -> str:
    """Who holds an address, since when and why, what uses it, and who held it before."""
    lines = [f"{told.address} {_state_words(told)}, in {f'pool {told.pool}' if told.pool else 'no pool'}"]
    lines += [told.problem] if told.problem else []
    if told.block:
        lines += [f"Block {told.block} of {told.block_owner or 'nobody'}"]
    if told.state is State.IN_USE:
        lines += [f"Held by {told.owner}", f"Since {told.since or 'a time that was not recorded'}"]
        lines += [f"Because {told.reason}"] if told.reason else []
    lines += [f"Used by {user}" for user in told.used_by]
    if told.state is State.IN_USE and not told.used_by:
        lines += ["Used by nothing that is known: `tortie ipam check` tells whether it leaked"]
    if told.attributes:
        lines += ["Attributes:", *(f"  {name}: {value}" for name, value in told.attributes.items())]
    return "\n".join([*lines, *_past_lines(past)] if told.block else lines)


def _past_lines(past: Past) -> list[str]:
    rows = [
        [
            tenure.attributes.get("timestamp", "") or "unknown",
            tenure.released_at or "not recorded",
            owner_of(tenure.attributes),
            tenure.attributes.get("handle", "") or "-",
        ]
        for tenure in past.tenures
    ]
    lines = ["Before:", aligned(["SINCE", "RELEASED", "HELD BY", "HANDLE"], rows)] if rows else []
    if not past.is_whole:
        return [*lines, "What was before that, the datastore has forgotten (its history was compacted)."]
    return lines or ["Nobody held it before, since its block was made."]


def _state_words(told: ToldAddress) -> str:
    match told.state:
        case State.UNKNOWN:
            return "may be in use or not"
        case State.COOLING:
            return f"is not assigned, and cooling down since {told.released_at}"
        case _:
            return f"is {told.state}"


def borrowed(books: Books) -> str:
    """Addresses that nodes took from blocks of others."""
    return aligned(["IP", "BORROWING NODE", "BLOCK", "BLOCK OWNER", "ALLOCATED TO"], borrowed_rows(books))


def borrowed_rows(books: Books) -> list[list[str]]:
    """The same as cells."""
    rows = []
    for cidr, block in sorted(books.snapshot.blocks.items()):
        for ordinal in borrowed_ordinals(block):
            attribute = attribute_at(block, ordinal)
            facts = (attribute.secondary if attribute else None) or {}
            address = address_at(block, ordinal).text
            users = ", ".join(books.users.get(address, ())) or facts.get("pod", "-")
            rows.append([address, facts.get("node", "-"), str(cidr), block.affinity or "-", users])
    return rows


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
    rows += [
        [address, "-", f"nobody, cooling down since {released}"]
        for address, released in cooling_addresses(books.snapshot).items()
    ]
    return aligned(["IP", "HANDLE", "USED BY"], rows)


def report_text(report: Report, books: Books) -> str:
    """What a check found, worst first."""
    counted = (
        f"{len(books.snapshot.blocks)} blocks, {len(holders(books.snapshot))} addresses held, "
        f"{len(report.cooling)} cooling down, {len(books.users)} addresses in use, "
        f"{len(books.snapshot.handles)} handles"
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


def _usage_rows(books: Books, blocks: bool, unknown: bool = False) -> Iterator[list[str]]:
    for pool in usages(books, blocks=blocks):
        yield _row("IP Pool", pool.usage, unknown)
        for counted in pool.blocks:
            yield _row("Block", counted, unknown)


def _row(grouping: str, counted: Usage, unknown: bool) -> list[str]:
    shares = (counted.in_use, counted.available)
    return [
        grouping,
        str(counted.cidr),
        f"{counted.capacity:.5g}",
        *(f"{share:.5g} ({100 * share // counted.capacity}%)" for share in shares),
        f"{counted.cooling:.5g}",
        *([f"{counted.unknown:.5g}"] if unknown else []),
    ]
