"""All that a check of addresses reads, and what it found, as a file that a release can start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import cast

import msgspec

from tortie.api.clusterinformation import ClusterInformation
from tortie.api.node import Node
from tortie.api.resource import Resource, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.clock import Clock
from tortie.base.errors import InvalidResource, Problem
from tortie.base.files import write_named
from tortie.datastore.contract import Datastore
from tortie.datastore.reading import ResourceReader
from tortie.datastore.resources import ResourceStore
from tortie.ipam.audit import Finding, Snapshot, holders
from tortie.ipam.catalog import read_pools, read_reserved
from tortie.ipam.inspection import Leak, Users, cooling_addresses, inspect, leaks, users_of
from tortie.ipam.pools import Pool
from tortie.ipam.ranges import Ranges
from tortie.ipam.snapshot import read_snapshot
from tortie.ipam.store import Store

_REMEDY = "name a file that `tortie ipam check -o FILE` wrote"


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Args:
        cluster: identity of the cluster it was made in.
        locked: whether the datastore was locked, so that nothing moved meanwhile.
        findings: everything that does not agree.
        leaks: addresses held for nobody, as they were seen.
        cooling: addresses that are released, and not given again yet.
    """

    cluster: str
    locked: bool
    findings: tuple[Finding, ...]
    leaks: tuple[Leak, ...]
    cooling: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            InvalidResource: the file cannot be written.
        """
        try:
            write_named(path, msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        except OSError as error:
            raise InvalidResource(Problem(str(path), "", f"cannot be written: {error.strerror}")) from error


class Books(msgspec.Struct, frozen=True):
    """Records, users and pools, as read one after another."""

    cluster: str
    snapshot: Snapshot
    users: Users
    pools: Sequence[Pool]
    reserved: Mapping[int, Ranges]

    def reason_to_keep(self, report: Report, leak: Leak) -> str:
        """Why a leak of a report must not be released now; empty when nothing speaks against it."""
        if report.cluster != self.cluster:
            return f"the report is of cluster {report.cluster or 'without identity'}"
        if leak.address in self.users:
            return f"in use by {', '.join(self.users[leak.address])}"
        if holders(self.snapshot).get(leak.address) != leak.handle:
            return f"no longer held for {leak.handle}"
        return ""


async def read_books(datastore: Datastore, store: ResourceStore, clock: Clock, random: Random) -> Books:
    """Read everything. Users are read first and last: one that came between is not taken for a leak.

    Raises:
        InvalidResource: a user of addresses cannot be read, so that nobody can tell which are in use.
    """
    before = await _users(datastore)
    snapshot = await read_snapshot(datastore, clock, random)
    after = await _users(datastore)
    records = Store(datastore, clock, random)
    return Books(
        cluster=await _cluster(store),
        snapshot=snapshot,
        users=users_of(cast("Iterable[WorkloadEndpoint]", (before[0] | after[0]).values()), after[1]),
        pools=await read_pools(records),
        reserved={family: await read_reserved(records, family) for family in (4, 6)},
    )


def confirmed(first: Books, second: Books, *, locked: bool) -> Report:
    """What both readings show. Pure."""
    findings = inspect(second.snapshot, second.users, second.pools)
    if second is not first:
        seen = set(inspect(first.snapshot, first.users, first.pools))
        findings = tuple(finding for finding in findings if finding in seen)
    cooling = tuple(cooling_addresses(second.snapshot))
    return Report(second.cluster, locked, findings, leaks(second.snapshot, findings), cooling)


def read_report(path: Path) -> Report:
    """A report that a check wrote.

    Raises:
        InvalidResource: it is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise InvalidResource(Problem(str(path), "", problem, _REMEDY)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidResource(Problem(str(path), "", f"is not a report: {error}", _REMEDY)) from error


async def _cluster(store: ResourceStore) -> str:
    """The identity of the cluster; what cannot be read is of none."""
    try:
        information = await store.get(ResourceKey("ClusterInformation", "", "default"))
    except InvalidResource:
        return ""
    return information.spec.cluster_guid if isinstance(information, ClusterInformation) else ""


async def _users(datastore: Datastore) -> tuple[dict[ResourceKey, Resource], list[Node]]:
    problems: list[Problem] = []
    reader = ResourceReader(datastore, lambda key, problem: problems.append(_unknown_user(key, problem)))
    endpoints = {endpoint.key: endpoint for endpoint in await reader.list("WorkloadEndpoint")}
    nodes = [node for node in await reader.list("Node") if isinstance(node, Node)]
    if problems:
        raise InvalidResource(*problems)
    return endpoints, nodes


def _unknown_user(key: ResourceKey, problem: str) -> Problem:
    return Problem(str(key), "", f"cannot be read, so nobody can tell which addresses it uses: {problem}")
