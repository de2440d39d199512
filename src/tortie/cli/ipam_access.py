"""The datastore as `tortie ipam` needs it: keys, resources and addresses, opened for one command."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.connection import warn_unreadable_once, with_datastore
from tortie.datastore.contract import Datastore
from tortie.datastore.location import Location
from tortie.datastore.migration import refuse_while_importing
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.ipam.report import Books, read_books
from tortie.selector.check import selector_problem

Result = TypeVar("Result")


class Access(msgspec.Struct, frozen=True):
    """One open datastore as the commands need it: its keys, its resources, its addresses."""

    datastore: Datastore
    store: ResourceStore
    allocator: Allocator


def with_access(
    location: Location, work: Callable[[Access], Awaitable[Result]], *, create: bool = False, writes: bool = False
) -> Result:
    """Run `work` on a datastore; an error of ours is printed and ends the command."""

    async def run(datastore: Datastore) -> Result:
        if writes:
            await refuse_while_importing(datastore)
        clock = SystemClock()
        store = ResourceStore(datastore, clock, selector_problem, unreadable=warn_unreadable_once())
        return await work(Access(datastore, store, Allocator(datastore, clock, Random())))

    return with_datastore(location, run, create=create)


async def read_all(access: Access) -> Books:
    """Records, users and pools; what cannot be read of pools is told."""
    for kind in ("IPPool", "IPReservation"):
        # Address management leaves out what it cannot read of these; the listing here tells people of it.
        await access.store.list(kind)
    return await read_books(access.datastore, access.store, SystemClock(), Random())


def parsed(text: str) -> Cidr:
    """One address. Raises InvalidResource."""
    try:
        return Cidr.host(str(ipaddress.ip_address(text)))
    except ValueError as error:
        raise InvalidResource(Problem(text, "", "is not an address", "such as 10.65.0.7")) from error
