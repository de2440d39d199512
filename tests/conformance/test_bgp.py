"""The judge of BGP cases: it sees what is wrong."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
CASES = {case["name"]: case for case in json.loads((HERE / "data" / "bgp_render.json").read_bytes())["cases"]}
ADVERTISED = "bgpfilter/kubevirt_live_migration"

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def bgp() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("bgp")


def first_peer(**changes: object) -> Callable[[Facts], None]:
    return lambda facts: facts["peers"][0].update(changes)


def first_rule(**changes: object) -> Callable[[Facts], None]:
    return lambda facts: next(iter(facts["filters"].values()))[0].update(changes)


@pytest.mark.parametrize(
    "spoil",
    [
        first_peer(**{"as": 1}),
        first_peer(port=7),
        first_peer(passive=True),
        first_peer(password="no"),
        first_peer(importFilters=[]),
        first_peer(localAS=7),
        first_peer(nextHop="self"),
        first_peer(rrClient=True),
        first_peer(gracefulRestartTime=7),
        first_peer(sourceAddress="10.0.0.9"),
        first_rule(match=[]),
        first_rule(actions=["reject"]),
        lambda facts: facts.update(routerID="9.9.9.9"),
        lambda facts: facts.update(listen={"port": 7}),
        lambda facts: facts["peers"].pop(),
        lambda facts: facts["exportBlocks"].pop(),
        lambda facts: facts["staticRoutes"].pop(),
        lambda facts: facts["exportPools"].append({"net": "10.9.0.0/16", "action": "accept"}),
        lambda facts: facts["kernelRoutes"].insert(0, {"net": "10.9.0.0/16", "actions": ["reject"]}),
        lambda facts: facts.update(communities=[{"net": "10.9.0.0/16", "communities": ["1:1"]}]),
        lambda facts: facts["directInterfaces"].pop(),
        lambda facts: facts["rejectInterfacesForInternalPeers"].pop(),
    ],
)
def test_any_other_fact_is_a_difference(bgp: ModuleType, spoil: Callable[[Facts], None]) -> None:
    case = copy.deepcopy(CASES[ADVERTISED])
    assert bgp.run_case(case) == []
    spoil(case["expect"]["ipv4"])
    assert len(bgp.run_case(case)) == 1


def test_facts_of_what_no_published_case_holds(bgp: ModuleType) -> None:
    case = copy.deepcopy(CASES["mesh/ipip-off"])
    case["resources"][0]["spec"] = {
        "prefixAdvertisements": [{"cidr": "192.168.0.0/24", "communities": ["named", "1:2:3"]}],
        "communities": [{"name": "named", "value": "65001:7"}],
        "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
        "ignoredInterfaces": ["eth9"],
    }
    node = bgp.speaker(case)
    found = bgp.facts(node, bgp.render(node), 4)
    assert found["communities"] == [{"net": "192.168.0.0/24", "communities": ["65001:7", "1:2:3"]}]
    assert {"net": "10.96.0.0/12", "blackhole": True} in found["staticRoutes"]
    assert {"net": "10.96.0.0/12", "actions": ["reject"]} in found["kernelRoutes"]
    assert found["directInterfaces"][0] == '-"eth9"'
