"""Judges cases of BGP resources by the facts of the configuration that this project renders for them.

Facts are compared by meaning: a route that is accepted because nothing refuses it is as good as one that is accepted
by name, a condition inside another is one condition more, and prefixes have one spelling. How routes are sent through
a tunnel is the kernel's business here, not the routing daemon's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import birdfacts

from tortie.api.codec import decode
from tortie.api.ipam import BlockAffinity
from tortie.api.resource import Resource, ResourceKey
from tortie.bgp.config import render
from tortie.calculation.graph import Calculation
from tortie.desired.bgp import DEFAULT_PORT, BGPNode
from tortie.desired.state import DesiredState

Case = Mapping[str, Any]
Facts = dict[str, Any]

FAMILIES = {"ipv4": 4, "ipv6": 6}
_YAML_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""Labels were written in YAML 1.1, where these plain words are truth values."""


def run_case(case: Case) -> list[str]:
    """What differs from the expectation, line by line."""
    node = speaker(case)
    text = render(node, passwords=passwords(case))
    expect = case["expect"]
    if "peerCount" in expect:
        return _differences("", {"peerCount": expect["peerCount"]}, {"peerCount": len(node.sessions)})
    lines = []
    for name, family in FAMILIES.items():
        wanted = expect[name]
        if "peerCount" in wanted:
            found: Facts = {"peerCount": sum(one.peer.family == family for one in node.sessions)}
            wanted = {"peerCount": wanted["peerCount"]}
        else:
            found, wanted = _normal(facts(node, text, family)), _normal(_compared(wanted))
        lines += _differences(name, wanted, found)
    return lines


def speaker(case: Case) -> BGPNode:
    """The desired state of the case's node."""
    calculation = Calculation(case["node"], router_id=(case.get("environment") or {}).get("CALICO_ROUTER_ID", ""))
    calculation.set_in_sync()
    for value in case["resources"]:
        if value["kind"] != "Secret":
            resource = read(value)
            calculation.update(resource.key, resource)
    for affinity in case["blockAffinities"]:
        state = "confirmed" if affinity["state"] == "implicit" else affinity["state"]
        key = ResourceKey("BlockAffinity", affinity["node"], affinity["cidr"])
        calculation.update(key, BlockAffinity(state=state))
    state = DesiredState()
    state.apply(calculation.flush())
    assert state.bgp is not None
    return state.bgp


def read(value: Mapping[str, Any]) -> Resource:
    """A resource as it would be stored."""
    metadata = dict(value["metadata"])
    if "labels" in metadata:
        metadata["labels"] = {name: _label(label) for name, label in metadata["labels"].items()}
    return decode(value["kind"], json.dumps({**value, "metadata": metadata}).encode())


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _YAML_WORDS.get(str(value), str(value))


def passwords(case: Case) -> dict[tuple[str, str], str]:
    """Passwords of the case's secrets."""
    secrets = [value for value in case["resources"] if value["kind"] == "Secret"]
    return {
        (secret["metadata"]["name"], key): text
        for secret in secrets
        for key, text in (secret.get("stringData") or {}).items()
    }


def facts(node: BGPNode, text: str, family: int) -> Facts:
    """What is said of a family; where BIRD listens follows from the sessions, so that is read from the state."""
    port = {} if node.listen_port == DEFAULT_PORT else {"port": node.listen_port}
    address = node.address(family)
    bound = {"address": address.text} if node.bind and address else {}
    identity = {"routerID": node.router_id, "listen": {**bound, **port} or None}
    if address is None:
        return {"enabled": False, **identity}
    found = birdfacts.facts(text, family)
    for peer in found["peers"]:
        session = next(one for one in node.sessions if one.name == peer["name"])
        if not session.source:
            # BIRD listens where a session is bound to, so one that is only bound by that names no source.
            peer.pop("sourceAddress", None)
    return {"enabled": True, "as": node.as_number, **found, **identity}


def _compared(expect: Facts) -> Facts:
    """Of a family that is not spoken little can be said."""
    if expect["enabled"]:
        return {"communities": [], **expect}
    assert not expect["peers"]
    return {key: expect[key] for key in ("enabled", "routerID", "listen")}


def _normal(found: Facts) -> Facts:
    """One form for what means the same."""
    normal = _with_nets(found)
    if "kernelRoutes" in normal:
        normal["kernelRoutes"] = sorted(_refused(normal["kernelRoutes"])), normal["kernelRoutes"][-1]
    if "filters" in normal:
        normal["filters"] = {name: [_flat(rule) for rule in rules] for name, rules in normal["filters"].items()}
    for unordered in ("staticRoutes", "exportBlocks", "exportPools", "peers"):
        if unordered in normal:
            normal[unordered] = sorted(normal[unordered], key=json.dumps)
    return normal


def _refused(routes: Iterable[Facts]) -> Iterable[str]:
    return {route["net"] for route in routes if "net" in route and route["actions"] == ["reject"]}


def _flat(rule: Facts) -> Facts:
    """All conditions of a rule at once, in no order."""
    conditions, actions = list(rule["match"]), rule["actions"]
    while isinstance(actions[0], dict) and "if" in actions[0]:
        conditions, actions = conditions + actions[0]["if"], actions[0]["then"]
    return {"match": sorted(conditions, key=json.dumps), "actions": actions}


def _with_nets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: birdfacts.same_net(one) if key == "net" else _with_nets(one) for key, one in value.items()}
    return [_with_nets(one) for one in value] if isinstance(value, list) else value


def _differences(name: str, expected: Facts, found: Facts) -> list[str]:
    return [
        f"{name} {key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    ]
