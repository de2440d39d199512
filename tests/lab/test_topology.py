"""Topologies: names that follow from data, and data that is refused."""

from __future__ import annotations

import msgspec
import pytest

from tortie.base.errors import InvalidResource, NotFound
from tortie.lab.topology import Host, Topology, Workload, own_addresses, simple


def test_a_simple_topology_spreads_workloads_over_hosts_in_order() -> None:
    topology = simple("one", 2, 2)
    assert [(one.name, one.host) for one in topology.workloads] == [
        ("w1", "h1"),
        ("w2", "h1"),
        ("w3", "h2"),
        ("w4", "h2"),
    ]
    assert topology.host("h2").addresses == ("172.31.0.2", "fd00:31::2")


def test_names_of_namespaces_begin_with_the_labs_own_prefix() -> None:
    topology = simple("one")
    assert topology.host_namespace("h1").name == "tt-one-h1"
    assert topology.workload_namespace("w1").name == "tt-one-w-w1"
    assert topology.fabric == "tt-one-fabric"


def test_workloads_have_different_addresses_of_both_families() -> None:
    topology = simple("one")
    addresses = [own_addresses(topology, one.name) for one in topology.workloads]
    assert len({address for pair in addresses for address in pair}) == 12


def test_a_topology_survives_json() -> None:
    topology = simple("one")
    assert msgspec.json.decode(msgspec.json.encode(topology), type=Topology) == topology


@pytest.mark.parametrize("name", ["", "a-b", "A", "x" * 21, "a/b"])
def test_a_name_that_could_be_part_of_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidResource, match="malformed"):
        Topology(name, ())


@pytest.mark.parametrize(
    ("hosts", "workloads", "problem"),
    [
        ((Host("h1", ("10.0.0.1",)),), (), "none of the subnets"),
        ((Host("h1", ()), Host("h1", ())), (), "there twice"),
        ((Host("fabric", ()),), (), "reserved"),
        ((Host("w-1", ()),), (), "reserved"),
        ((), (Workload("w1", "h9"),), "no host"),
        ((Host("a/b", ()),), (), "malformed"),
    ],
)
def test_what_cannot_be_built_is_refused(
    hosts: tuple[Host, ...], workloads: tuple[Workload, ...], problem: str
) -> None:
    with pytest.raises(InvalidResource, match=problem):
        Topology("one", hosts, workloads)


def test_unknown_names_are_not_found() -> None:
    with pytest.raises(NotFound):
        simple("one").host("h9")
