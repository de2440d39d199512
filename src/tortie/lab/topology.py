"""What a lab consists of, as data: hosts on a fabric, workloads on hosts, and the names that follow from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, NotFound, Problem
from tortie.netlink.namespace import NAMED

_LAB_NAME = re.compile(r"[a-z0-9]{1,20}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_MEMBER = "etcd"
_MEMBER_NAME = re.compile(rf"{_MEMBER}[0-9]*")
_MOST_MEMBERS = 7
_WORKLOAD_NETWORKS = ("10.65.0.0/16", "fd00:65::/64")


class Host(msgspec.Struct, frozen=True):
    """A host: its name, and its addresses on the fabric, each in one of the fabric's subnets."""

    name: str
    addresses: tuple[str, ...]

    def address(self, family: int) -> str:
        """Its first address of that family; empty when it has none."""
        return next((one for one in self.addresses if (":" in one) == (family == 6)), "")


class Workload(msgspec.Struct, frozen=True):
    """A workload: what its orchestrator calls it, and the host where it starts. Names are unique in a lab."""

    name: str
    host: str
    namespace: str = "default"
    labels: Mapping[str, str] = {}


Named = TypeVar("Named", Host, Workload)


class Topology(msgspec.Struct, frozen=True):
    """A whole lab.

    Args:
        name: lower-case letters and digits, up to 20; no hyphen, so that no lab's names begin with another's.
        subnets: of the fabric; its last address but one (of IPv6 too) is the fabric's own, and those before it of
            the first IPv4 one belong to the members of etcd.
        directory: where labs keep their state.
        workload_families: of addresses that workloads get; none is those of the hosts.
        etcd: members of the etcd that holds the lab's resources; none is a file.

    Raises:
        InvalidResource: a name is malformed or taken, a host is unknown, an address is outside the fabric.
    """

    name: str
    hosts: tuple[Host, ...]
    workloads: tuple[Workload, ...] = ()
    subnets: tuple[str, ...] = ("172.31.0.0/24", "fd00:31::/64")
    directory: str = "/run/tortie/lab"
    etcd: int = 0
    workload_families: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        problems = [*_bad_names(self), *_bad_hosts(self), *_bad_workloads(self), *_bad_members(self)]
        if problems:
            raise InvalidResource(*problems)

    @property
    def run_directory(self) -> Path:
        """Everything that the lab writes is in here."""
        return Path(self.directory) / self.name

    @property
    def datastore(self) -> str:
        """The datastore of the lab, for this machine: a file, or URLs of etcd."""
        return ",".join(self.etcd_urls) if self.etcd else str(self.run_directory / "datastore.db")

    @property
    def members(self) -> tuple[Host, ...]:
        """The members of etcd: hosts of their own."""
        subnet = next((one for one in map(Cidr.parse, self.subnets) if one.family == 4), None)
        if subnet is None:
            return ()
        return tuple(Host(f"{_MEMBER}{n}", (Cidr(4, subnet.last - 1 - n, 32).text,)) for n in range(1, self.etcd + 1))

    @property
    def etcd_urls(self) -> tuple[str, ...]:
        """Where programs outside the lab's namespaces reach the members of etcd: addresses of loopback."""
        first, second = hashlib.sha256(self.name.encode()).digest()[:2]
        return tuple(f"http://127.{128 + first % 126}.{second}.{n}:2379" for n in range(1, self.etcd + 1))

    @property
    def prefix(self) -> str:
        """With what the names of its namespaces, and of no other's, begin."""
        return f"tt-{self.name}-"

    @property
    def fabric(self) -> str:
        """Name of the fabric's namespace."""
        return f"{self.prefix}fabric"

    @property
    def families(self) -> frozenset[int]:
        """Of addresses that workloads have."""
        return frozenset(self.workload_families) or frozenset(Cidr.parse(subnet).family for subnet in self.subnets)

    def host(self, name: str) -> Host:
        """Raises NotFound."""
        return _find(self.hosts, "host", name)

    def member(self, name: str) -> Host | None:
        """The member of etcd of this name, if it is one."""
        return next((member for member in self.members if member.name == name), None)

    def workload(self, name: str) -> Workload:
        """Raises NotFound."""
        return _find(self.workloads, "workload", name)

    def host_namespace(self, host: str) -> Path:
        """Where the host's network namespace is mounted."""
        return NAMED / f"{self.prefix}{host}"

    def workload_namespace(self, workload: str) -> Path:
        """Where the workload's network namespace is mounted."""
        return NAMED / f"{self.prefix}w-{workload}"

    def host_directory(self, host: str) -> Path:
        """The host's own run directory."""
        return self.run_directory / "hosts" / host

    def subnet(self, address: str) -> Cidr:
        """The fabric's subnet that an address is in. Raises NotFound."""
        for subnet in map(Cidr.parse, self.subnets):
            if subnet.contains(Cidr.host(address)):
                return subnet
        raise NotFound(f"subnet of {address}")

    def gateways(self) -> list[Cidr]:
        """The fabric's own addresses, one a subnet."""
        return [Cidr(one.family, one.last - 1, one.bits) for one in map(Cidr.parse, self.subnets)]


def simple(
    name: str, hosts: int = 3, workloads_each: int = 2, directory: str = "/run/tortie/lab", etcd: int = 0
) -> Topology:
    """Hosts `h1`, `h2`, ... with the fabric's first addresses; workloads `w1`, `w2`, ... fill them in order."""
    subnets = Topology(name, ()).subnets
    return Topology(
        name,
        tuple(Host(f"h{n}", tuple(_nth(subnet, n) for subnet in subnets)) for n in range(1, hosts + 1)),
        tuple(Workload(f"w{n + 1}", f"h{n // workloads_each + 1}") for n in range(hosts * workloads_each)),
        subnets,
        directory,
        etcd,
    )


def own_addresses(topology: Topology, workload: str) -> tuple[str, ...]:
    """Addresses for a workload that nobody else assigns any to: one of each family, by its place in the topology."""
    position = topology.workloads.index(topology.workload(workload))
    return tuple(_nth(network, position + 1) for network in _WORKLOAD_NETWORKS)


def _nth(network: str, number: int) -> str:
    base = Cidr.parse(network)
    return Cidr(base.family, base.address + number, base.bits).text


def _find(items: tuple[Named, ...], kind: str, name: str) -> Named:
    for item in items:
        if item.name == name:
            return item
    raise NotFound(f"{kind} {name}")


def _bad_names(topology: Topology) -> list[Problem]:
    problems = []
    if not _LAB_NAME.fullmatch(topology.name):
        problems.append(_problem(topology, "name", f"{topology.name!r} is malformed", "letters and digits, up to 20"))
    for kind, items in (("hosts", topology.hosts), ("workloads", topology.workloads)):
        names = [item.name for item in items]
        for name in sorted(set(names)):
            if not _NAME.fullmatch(name):
                problems.append(_problem(topology, kind, f"{name!r} is malformed", "a DNS label"))
            if names.count(name) > 1:
                problems.append(_problem(topology, kind, f"{name} is there twice", "choose another name"))
    return problems


def _bad_hosts(topology: Topology) -> list[Problem]:
    problems = []
    for host in topology.hosts:
        if host.name == "fabric" or host.name.startswith("w-") or _MEMBER_NAME.fullmatch(host.name):
            problems.append(_problem(topology, "hosts", f"{host.name} is reserved", "choose another name"))
        for address in host.addresses:
            if not any(Cidr.parse(subnet).contains(Cidr.host(address)) for subnet in topology.subnets):
                problems.append(_problem(topology, "hosts", f"{address} is in none of the subnets"))
            if any(address in member.addresses for member in topology.members):
                problems.append(_problem(topology, "hosts", f"{address} belongs to a member of etcd"))
    return problems


def _bad_members(topology: Topology) -> list[Problem]:
    if not 0 <= topology.etcd <= _MOST_MEMBERS:
        return [_problem(topology, "etcd", f"{topology.etcd} members", f"none for a file, or up to {_MOST_MEMBERS}")]
    if topology.etcd and not any("." in subnet for subnet in topology.subnets):
        return [_problem(topology, "etcd", "its members need an IPv4 subnet")]
    return []


def _bad_workloads(topology: Topology) -> list[Problem]:
    known = {host.name for host in topology.hosts}
    return [
        _problem(topology, "workloads", f"{one.name} is on {one.host}, which is no host")
        for one in topology.workloads
        if one.host not in known
    ]


def _problem(topology: Topology, path: str, problem: str, remedy: str = "") -> Problem:
    return Problem(f"Lab {topology.name}", path, problem, remedy)
