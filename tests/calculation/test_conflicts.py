"""What resources contradict one another in, told while they do and no longer."""

from __future__ import annotations

from typing import Any

World, Make = Any, Any


def test_endpoints_that_claim_one_interface_or_address_are_named_with_who_has_it(world: World, make: Make) -> None:
    first = make.endpoint("a", "10.0.0.1", interface_name="cali1")
    same_interface = make.endpoint("b", "10.0.0.2", interface_name="cali1")
    same_address = make.endpoint("c", "10.0.0.1")
    world.go(make.profile(), first)
    assert list(world.calculation.conflicts()) == []
    world.go(same_interface, same_address)
    assert list(world.calculation.conflicts()) == [
        "interface cali1 is claimed by shop/a, which has it, and in vain by shop/b",
        "address 10.0.0.1/32 is claimed by shop/a, which has it, and in vain by shop/c",
    ]
    world.remove(same_interface, same_address)
    assert list(world.calculation.conflicts()) == []


def test_a_profile_that_is_listed_and_does_not_exist_is_named(world: World, make: Make) -> None:
    profile = make.profile()
    world.go(profile, make.endpoint("a"), make.endpoint("b"), make.endpoint("far", node="there", profiles=("other",)))
    assert list(world.calculation.conflicts()) == []
    world.remove(profile)
    assert list(world.calculation.conflicts()) == [
        "profile kns.shop does not exist; 2 endpoints here list it, and it allows nothing"
    ]


def test_nodes_with_one_address_are_named_whatever_the_length_of_their_prefixes(world: World, make: Make) -> None:
    world.go(make.node("here", "172.31.0.1/24", "fd00::1/64"), make.node("there", "172.31.0.1/32", "fd00::2/64"))
    assert list(world.calculation.conflicts()) == ["address 172.31.0.1 is that of several nodes: here, there"]
