"""Endpoints by their own names, and by those of pods."""

from __future__ import annotations

import pytest

from tortie.agent.endpoint_names import endpoint_named
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import PolicyList

NAMES = ("h1-k8s-web--0-eth0", "h1-k8s-web--1-eth0", "h1-k8s-web--1-net1", "odd")
ENDPOINTS = [Endpoint(EndpointId("shop", name), "", (), PolicyList(), PolicyList()) for name in NAMES]


@pytest.mark.parametrize("name", ["shop/h1-k8s-web--0-eth0", "shop/web-0"])
def test_an_endpoint_answers_to_its_own_name_and_to_its_pods(name: str) -> None:
    assert endpoint_named(ENDPOINTS, name) is ENDPOINTS[0]
    assert endpoint_named(ENDPOINTS, "shop/odd") is ENDPOINTS[3]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shop/web-1", "several endpoints: shop/h1-k8s-web--1-eth0, shop/h1-k8s-web--1-net1; name one"),
        ("other/web-0", "no workload or workload endpoint other/web-0 is on this node; here are shop/h1-k8s-web--0"),
    ],
)
def test_who_names_none_or_several_is_told_what_there_is(name: str, words: str) -> None:
    with pytest.raises(LookupError, match=words):
        endpoint_named(ENDPOINTS, name)


def test_of_many_only_some_are_told() -> None:
    many = [Endpoint(EndpointId("shop", f"e{one}"), "", (), PolicyList(), PolicyList()) for one in range(9)]
    with pytest.raises(LookupError, match="shop/e4, and 4 more"):
        endpoint_named(many, "shop/web")
    with pytest.raises(LookupError, match="none is here"):
        endpoint_named([], "shop/web")
