"""Rules with conditions that this version does not know open nothing, and still deny; their object is told of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.calculation.graph import Calculation
from tortie.datastore.values import decode_stored
from tortie.desired.policy import Action, PolicyId, Rule

KEY = ResourceKey("NetworkPolicy", "shop", "p")
POLICY = PolicyId("NetworkPolicy", "shop", "p")


def read(kind: str, *rules: dict[str, Any]) -> Any:
    """What an agent makes of stored bytes."""
    spec = {"tier": "default", "selector": "all()", "types": ["Ingress"], "ingress": rules}
    name = {"name": "kns.shop"} if kind == "Profile" else {"name": "p", "namespace": "shop"}
    key = ResourceKey(kind, name.get("namespace", ""), name["name"])
    return decode_stored(key, json.dumps({"metadata": name, "spec": spec}).encode(), 7)


def newer(action: str) -> dict[str, Any]:
    return {"action": action, "source": {"newer": {"a": 1}}}


@pytest.mark.parametrize("action", ["Allow", "Pass"])
def test_what_opens_matches_nothing_and_leaves_the_other_rules_their_places(action: str, make, world) -> None:
    world.go(make.endpoint("a", "10.0.0.1"), read("NetworkPolicy", newer(action), {"action": "Allow"}))
    assert world.state.policies[POLICY].ingress == (Rule(Action.ALLOW, 1),)


@pytest.mark.parametrize("action", ["Deny", "Log"])
def test_what_opens_nothing_matches_all_that_is_known(action: str, make, world) -> None:
    world.go(make.endpoint("a", "10.0.0.1"), read("NetworkPolicy", newer(action)))
    assert world.state.policies[POLICY].ingress == (Rule(Action(action), 0),)


def test_profiles_open_no_more_than_policies(make, world) -> None:
    world.go(make.endpoint("a", "10.0.0.1"), read("Profile", newer("Allow"), newer("Deny")))
    assert world.state.policies[PolicyId("Profile", "", "kns.shop")].ingress == (Rule(Action.DENY, 1),)


def test_the_object_is_told_of_while_it_is_like_that(make) -> None:
    calculation = Calculation("here")
    calculation.set_in_sync()
    calculation.update(KEY, read("NetworkPolicy", {"action": "Deny"}, newer("Allow"), newer("Deny")))
    unknown = "has a condition that this version does not know, and until it is upgraded"
    assert calculation.problems.current == {
        KEY: f"spec.ingress[1] {unknown} matches nothing; spec.ingress[2] {unknown} is carried out without it"
    }
    calculation.update(KEY, read("NetworkPolicy", {"action": "Allow"}))
    assert calculation.problems.current == {}
    calculation.update(KEY, read("NetworkPolicy", newer("Allow")))
    calculation.update(KEY, None)
    calculation.flush()
    assert calculation.is_empty()
