"""Kinds are found by every name that people use."""

from __future__ import annotations

import pytest

from tortie.api.kinds import HABITS, KINDS, find_kind
from tortie.base.errors import InvalidResource


@pytest.mark.parametrize("name", ["NetworkPolicy", "networkpolicy", "NETWORKPOLICIES", "np", "cnp"])
def test_a_kind_has_many_names(name: str) -> None:
    assert find_kind(name) is KINDS["NetworkPolicy"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hep", "HostEndpoint"),
        ("snp", "StagedNetworkPolicy"),
        ("sgnp", "StagedGlobalNetworkPolicy"),
        ("kcc", "KubeControllersConfiguration"),
        ("clusterinfo", "ClusterInformation"),
        ("ipamconfig", "IPAMConfiguration"),
        ("caliconodestatus", "CalicoNodeStatus"),
        ("affinity", "BlockAffinity"),
        ("felixconfig", "FelixConfiguration"),
        ("bgpfilter", "BGPFilter"),
        ("svc", "Service"),
        ("po", "Pod"),
        ("endpointslices", "EndpointSlice"),
        ("sknp", "StagedKubernetesNetworkPolicy"),
    ],
)
def test_short_names_are_those_of_the_field(name: str, kind: str) -> None:
    assert find_kind(name) is KINDS[kind]


def test_no_name_means_two_kinds() -> None:
    names = [name.lower() for kind in KINDS.values() for name in {kind.kind.lower(), kind.plural, *kind.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "remedy"), [("networkpolcy", "NetworkPolicy"), ("zzzzzz", "BGPConfiguration, BGP")])
def test_an_unknown_name_brings_near_ones(name: str, remedy: str) -> None:
    with pytest.raises(InvalidResource, match="is not a kind") as caught:
        find_kind(name)
    assert remedy in caught.value.problems[0].remedy


def test_what_calicoctls_users_say_never_means_another_kind() -> None:
    assert [find_kind(name).kind for name in ("policy", "pols", "gnps", "bp", "NO", "pro")] == [
        "NetworkPolicy",
        "NetworkPolicy",
        "GlobalNetworkPolicy",
        "BGPPeer",
        "Node",
        "Profile",
    ]
    for name, kind in HABITS.items():
        assert find_kind(name) is kind
        assert name not in {spelling.lower() for other in KINDS.values() for spelling in (other.plural, *other.aliases)}


@pytest.mark.parametrize(("name", "profile"), [("ns", "kns.NAME"), ("ServiceAccounts", "ksa.NAMESPACE.NAME")])
def test_what_becomes_a_profile_is_said_so(name: str, profile: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        find_kind(name)
    assert str(caught.value) == f"{name}: kind: is kept as Profile {profile} (get profiles shows them)"


def test_the_short_name_of_kubernetes_is_understood() -> None:
    assert find_kind("netpol") is KINDS["NetworkPolicy"]
