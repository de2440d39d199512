"""`tortie ipam`: what addresses are in use, whether the books agree, and settings."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from tortie.api.ipam import IPAMConfig
from tortie.api.ippool import IPPool
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, NotFound, Problem
from tortie.cli import ipam_plain, ipam_tables
from tortie.cli.connection import FAILED, USAGE, or_exit, with_location
from tortie.cli.everywhere import location_options
from tortie.cli.ipam_access import Access, parsed, read_all, with_access
from tortie.cli.ipam_usage import usage
from tortie.cli.options import structured_option
from tortie.cli.output import Format, complain, say, structured
from tortie.cli.personality import program
from tortie.datastore.location import Location
from tortie.datastore.migration import is_locked
from tortie.ipam.catalog import DEFAULT_CONFIG
from tortie.ipam.errors import UnreadableRecord
from tortie.ipam.report import Books, Report, confirmed, read_report
from tortie.ipam.requests import ReleaseRequest
from tortie.ipam.split import split_pool
from tortie.ipam.telling import State, ToldAddress, tell_address
from tortie.ipam.tenures import Past, read_past

READINGS_APART_SECONDS = 1.0
"""An attachment under way holds an address for some milliseconds before its endpoint is written."""


@click.group("ipam", params=location_options())
def commands() -> None:
    """Addresses: who has which, and whether that is right."""


commands.add_command(usage)


@commands.command()
@click.argument("one", required=False, metavar="[ADDRESS]")
@click.option("--ip", "address", help="One address: who holds it, since when, why, and who did before.")
@click.option("--show-blocks", is_flag=True, help="Blocks too, beneath their pools.")
@click.option("--show-borrowed", is_flag=True, help="Addresses that nodes took from blocks of other nodes.")
@click.option("--show-configuration", is_flag=True, help="The settings of address management.")
@structured_option
@with_location
def show(
    one: str | None,
    address: str | None,
    show_blocks: bool,
    show_borrowed: bool,
    show_configuration: bool,
    output: Format | None,
    location: Location,
) -> None:
    """Show how full pools are, or one address and its history, or the settings.

    \b
      tortie ipam show --show-blocks
      tortie ipam show 10.65.0.7
      tortie ipam show --ip 10.65.0.7 -o json
    """
    if show_configuration:
        config = with_access(location, lambda access: access.allocator.get_config())
        _tell(output, lambda: ipam_tables.configuration(config), lambda: ipam_plain.configuration_plain(config))
        return
    if (text := address or one) is not None:
        _show_address(or_exit(lambda: parsed(text)), output, location)
        return
    books = with_access(location, read_all)
    if show_borrowed:
        _tell(output, lambda: ipam_tables.borrowed(books), lambda: ipam_plain.borrowed_plain(books))
    else:
        _tell(
            output,
            lambda: ipam_tables.usage_table(books, blocks=show_blocks),
            lambda: ipam_plain.usage_plain(books, blocks=show_blocks),
        )


def _show_address(address: Cidr, output: Format | None, location: Location) -> None:
    async def look(access: Access) -> tuple[ToldAddress, Past]:
        told = tell_address(await read_all(access), address)
        return told, await read_past(access.datastore, Cidr.parse(told.block), address) if told.block else Past()

    told, past = with_access(location, look)
    _tell(output, lambda: ipam_tables.one_address(told, past), lambda: ipam_plain.address_plain(told, past))
    if told.state is State.UNKNOWN:
        sys.exit(FAILED)


def _tell(output: Format | None, table: Callable[[], str], plain: Callable[[], Any]) -> None:
    say(structured(plain(), output) if output else table())


@commands.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a report here, for `tortie ipam release`.")
@click.option("--show-all-ips", is_flag=True, help="List every address that is held, and who uses it.")
@click.option("--show-problem-ips", is_flag=True, help="As before calicoctl 3.30: problems are always listed.")
@with_location
def check(output: Path | None, show_all_ips: bool, show_problem_ips: bool, location: Location) -> None:
    """Compare the records of address management with each other and with what uses addresses.

    What only one of two readings shows was being changed, and is not reported. Status 1 when there are problems.

    \b
      tortie ipam check
      tortie ipam check -o report.json
    """
    report, books = with_access(location, _report)
    if show_all_ips:
        say(ipam_tables.every_address(books) + "\n")
    say(ipam_tables.report_text(report, books))
    if output is not None:
        or_exit(lambda: report.write(output))
        say(f"\nReport written to {output}; {program()} ipam release --from-report {output} releases what is leaked.")
    if report.findings:
        sys.exit(FAILED)


@commands.command()
@click.option("--ip", "address", help="The address to release.")
@click.option("--from-report", type=click.Path(path_type=Path), multiple=True, help="What check wrote; repeatable.")
@click.option("--force", is_flag=True, help="Also an address that is in use, or while the datastore is not locked.")
@with_location
def release(address: str | None, from_report: tuple[Path, ...], force: bool, location: Location) -> None:
    """Release an address, or the leaked ones of a report, if they are still as the report saw them.

    \b
      tortie ipam release --ip 10.65.0.7
      tortie ipam release --from-report report.json
    """
    if bool(address) == bool(from_report):
        complain("say what to release: --ip ADDRESS, or --from-report FILE")
        sys.exit(USAGE)
    if address:
        wanted = or_exit(lambda: parsed(address))
        released = with_access(location, lambda access: _release_one(access, wanted, force), writes=True)
        say(f"Successfully released IP address {address}" if released else f"{address} was not assigned")
        return
    reports = or_exit(lambda: [read_report(path) for path in from_report])
    released_count, skipped = with_access(location, lambda access: _release_leaked(access, reports, force), writes=True)
    say(f"Released {released_count} addresses; {len(skipped)} were no longer as reported")
    for line in skipped:
        say(f"  {line}")


@commands.command()
@click.argument("count", type=click.IntRange(2, 65536))
@click.option("--cidr", help="Prefix of the pool to split.")
@click.option("--name", help="Name of the pool to split.")
@with_location
def split(count: int, cidr: str | None, name: str | None, location: Location) -> None:
    """Split a pool into COUNT equal ones, while the datastore is locked; addresses in use stay as they are.

    \b
      tortie ipam split 4 --name pool1
    """
    if bool(cidr) == bool(name):
        complain("say which pool to split: --name NAME, or --cidr PREFIX")
        sys.exit(USAGE)
    parts = with_access(location, lambda access: _split(access, cidr, name, count), writes=True)
    say("\n".join(f"ippool {part.metadata.name} created with {part.spec.cidr}" for part in parts))


@commands.command()
@click.option(
    "--strictaffinity", "--strict-affinity", type=click.BOOL, help="Whether nodes may not borrow from others' blocks."
)
@click.option(
    "--max-blocks-per-host", type=click.IntRange(0), help="Most blocks of one node and family; 0 is the default, 20."
)
@click.option(
    "--kubevirt-ip-persistence",
    type=click.Choice(["Enabled", "Disabled"]),
    help="Whether virtual machines keep their address.",
)
@click.option("--ip-cooldown-seconds", type=click.IntRange(0), help="How long a released address is not given again.")
@with_location
def configure(
    strictaffinity: bool | None,
    max_blocks_per_host: int | None,
    kubevirt_ip_persistence: str | None,
    ip_cooldown_seconds: int | None,
    location: Location,
) -> None:
    """Change the settings of address management; those not given stay.

    \b
      tortie ipam configure --strictaffinity=true --max-blocks-per-host=4
    """
    given = {
        "strict_affinity": strictaffinity,
        "max_blocks_per_host": max_blocks_per_host,
        "kubevirt_vm_address_persistence": kubevirt_ip_persistence,
        "ip_cooldown_seconds": ip_cooldown_seconds,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        complain(f"say what to change: see {program()} ipam configure --help")
        sys.exit(USAGE)

    async def change(access: Access) -> str:
        config = msgspec.structs.replace(await _config_or_default(access), **changes)
        return await access.allocator.set_config(config)

    if unreadable := with_access(location, change, create=True, writes=True):
        complain(
            f"warning: the settings that were stored could not be read ({unreadable}): they were replaced by these, "
            f"and the defaults for all else; see {program()} ipam show --show-configuration"
        )
    for field, value in changes.items():
        say(f"Successfully set {ipam_tables.PROPERTIES[field]} to: {ipam_tables.spelt(value)}")


async def _config_or_default(access: Access) -> IPAMConfig:
    """The stored settings; the defaults in the place of those that cannot be read."""
    try:
        return await access.allocator.get_config()
    except UnreadableRecord:
        return DEFAULT_CONFIG


async def _report(access: Access) -> tuple[Report, Books]:
    """Two readings, unless the first is clean or nobody can write between them."""
    first = await read_all(access)
    locked = await _is_surely_locked(access)
    if locked or not confirmed(first, first, locked=False).findings:
        return confirmed(first, first, locked=locked), first
    await asyncio.sleep(READINGS_APART_SECONDS)
    second = await read_all(access)
    return confirmed(first, second, locked=False), second


async def _is_surely_locked(access: Access) -> bool:
    try:
        return await is_locked(access.store)
    except InvalidResource:
        return False


async def _release_one(access: Access, address: Cidr, force: bool) -> bool:
    users = (await read_all(access)).users.get(address.text, ())
    if users and not force:
        remedy = "delete that first; --force releases the address under it, and somebody else may get it"
        raise InvalidResource(Problem(address.text, "", f"is in use by {', '.join(users)}", remedy))
    return bool((await access.allocator.release([ReleaseRequest(address)])).released)


async def _release_leaked(access: Access, reports: list[Report], force: bool) -> tuple[int, list[str]]:
    books = await read_all(access)
    if not force and not await is_locked(access.store):
        remedy = f"run `{program()} datastore migrate lock` first, or give --force"
        raise InvalidResource(Problem("datastore", "", "is not locked, so addresses may be taken meanwhile", remedy))
    count, skipped = 0, []
    for report in reports:
        for leak in report.leaks:
            reason = books.reason_to_keep(report, leak)
            if reason:
                skipped.append(f"{leak.address}: {reason}")
                continue
            request = ReleaseRequest(parsed(leak.address), leak.handle, leak.sequence_number)
            count += len((await access.allocator.release([request])).released)
    return count, skipped


async def _split(access: Access, cidr: str | None, name: str | None, count: int) -> tuple[IPPool, ...]:
    if not await is_locked(access.store):
        remedy = f"run `{program()} datastore migrate lock` first"
        raise InvalidResource(Problem("datastore", "", "is not locked, so addresses may be taken meanwhile", remedy))
    pools = [pool for pool in await access.store.list("IPPool") if isinstance(pool, IPPool)]
    for pool in pools:
        if name == pool.metadata.name or cidr == pool.spec.cidr:
            return await split_pool(access.datastore, access.store, pool, count)
    raise NotFound(str(ResourceKey("IPPool", "", name or cidr or "")))
