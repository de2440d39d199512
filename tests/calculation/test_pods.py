"""A pod hands its labels, its service account and its named ports on to its endpoints, whatever came first."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tortie.api import codec
from tortie.api.pod import Container, ContainerPort, Pod, PodSpec
from tortie.api.resource import Metadata
from tortie.calculation.protocols import PROTOCOLS
from tortie.desired.delta import Delta
from tortie.desired.endpoints import EndpointId

DATA = Path(__file__).parents[1] / "conformance" / "data" / "k8s_conversion.json"
NAMESPACE = "projectcalico.org/namespace"
ACCOUNT = "projectcalico.org/serviceaccount"


def pod(labels: dict[str, str] | None = None, name: str = "web-0", namespace: str = "shop", **spec: object) -> Pod:
    metadata = Metadata(name=name, namespace=namespace, labels=labels or {})
    return Pod(metadata=metadata, spec=PodSpec(**spec))


@pytest.fixture
def endpoint(make):
    """An endpoint as CNI makes it."""

    def made(name: str = "a", address: str = "10.0.0.1", **fields: object):
        fields = {"orchestrator": "k8s", "pod": "web-0", **fields}
        return make.endpoint(name, address, **fields)

    return made


@pytest.fixture
def selecting(make, world):
    """A world in which an endpoint may hear from what a selector selects."""

    def go(selector: str, **fields: object):
        rule = make.allow(source=make.Entity(selector=selector, **fields))
        listener = make.endpoint("listener", "10.0.0.9", labels={"role": "listener"})
        world.go(listener, make.global_policy("p", "role == 'listener'", ingress=(rule,)))
        return world

    return go


def test_labels_come_whatever_was_first(selecting, endpoint) -> None:
    for order in itertools.permutations((endpoint(), pod({"app": "web"}))):
        world = selecting("app == 'web'")
        world.go(*order)
        assert world.only_set() == {"10.0.0.1"}
        world.remove(*order)
        world.flush()


def test_a_changed_label_counts_at_once(selecting, endpoint) -> None:
    world = selecting("app == 'web'")
    world.go(endpoint(), pod({"app": "db"}))
    assert world.only_set() == set()
    world.go(pod({"app": "web"}))
    assert world.only_set() == {"10.0.0.1"}
    assert world.go(pod({"app": "web"})) == Delta()


def test_without_its_pod_an_endpoint_has_its_own_labels(selecting, endpoint) -> None:
    world = selecting("app == 'own'")
    world.go(endpoint(labels={"app": "own"}), pod({"app": "web"}))
    assert world.only_set() == set()
    world.remove(pod())
    world.flush()
    assert world.only_set() == {"10.0.0.1"}


def test_labels_that_the_pod_does_not_have_stay(selecting, endpoint) -> None:
    world = selecting("kept == 'yes' && app == 'web'")
    world.go(endpoint(labels={"kept": "yes", "app": "old"}), pod({"app": "web"}))
    assert world.only_set() == {"10.0.0.1"}


def test_every_endpoint_of_a_pod_has_its_labels(selecting, endpoint) -> None:
    world = selecting("app == 'web'")
    world.go(endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2"), pod({"app": "web"}))
    assert world.only_set() == {"10.0.0.1", "10.0.0.2"}
    world.remove(endpoint("a"))
    world.flush()
    world.go(pod({"app": "db"}))
    assert world.only_set() == set()


@pytest.mark.parametrize(
    "other",
    [{"orchestrator": "cni"}, {"pod": "web-1"}, {"namespace": "other"}, {"orchestrator": "openstack"}],
)
def test_other_endpoints_have_nothing_of_it(selecting, endpoint, other: dict[str, str]) -> None:
    world = selecting("app == 'web'")
    world.go(endpoint(**other), pod({"app": "web"}))
    assert world.only_set() == set()


def test_an_endpoint_may_become_another_pods(selecting, endpoint) -> None:
    world = selecting("app == 'web'")
    world.go(endpoint(), pod({"app": "web"}))
    world.go(endpoint(pod="web-1"))
    assert world.only_set() == set()
    world.go(pod({"app": "web"}, name="web-1"))
    assert world.only_set() == {"10.0.0.1"}


def test_policies_select_by_labels_of_pods(make, world, endpoint) -> None:
    world.go(endpoint(), make.policy("p", "app == 'web'"))
    identity = EndpointId("shop", "a")
    assert not world.state.endpoints[identity].ingress.tiers
    world.go(pod({"app": "web"}))
    assert world.state.endpoints[identity].ingress.tiers
    world.remove(pod())
    world.flush()
    assert not world.state.endpoints[identity].ingress.tiers


def test_a_pod_cannot_choose_where_it_belongs(selecting, endpoint) -> None:
    labels = {"app": "web", NAMESPACE: "other", ACCOUNT: "admin", "pcns.team": "a", "pcsa.role": "a"}
    world = selecting(f"app == 'web' && {NAMESPACE} == 'shop' && !has({ACCOUNT}) && !has(pcns.team) && !has(pcsa.role)")
    world.go(endpoint(), pod(labels))
    assert world.only_set() == {"10.0.0.1"}


def test_the_service_account_is_a_label_and_a_profile(make, selecting, endpoint) -> None:
    world = selecting(f"{ACCOUNT} == 'web' && pcsa.team == 'a'")
    world.go(endpoint(), make.profile("ksa.shop.web", labels={"pcsa.team": "a"}))
    identity = EndpointId("shop", "a")
    assert [each.name for each in world.state.endpoints[identity].ingress.profiles] == ["kns.shop"]
    world.go(pod(service_account_name="web"))
    assert world.only_set() == {"10.0.0.1"}
    assert [each.name for each in world.state.endpoints[identity].egress.profiles] == ["kns.shop", "ksa.shop.web"]
    world.remove(pod())
    world.flush()
    assert world.only_set() == set()
    assert [each.name for each in world.state.endpoints[identity].ingress.profiles] == ["kns.shop"]


def test_an_account_that_is_too_long_for_a_label_is_a_profile_only(selecting, endpoint) -> None:
    world = selecting(f"has({ACCOUNT})")
    world.go(endpoint(), pod(service_account_name="a" * 63))
    assert world.only_set() == set()
    profiles = world.state.endpoints[EndpointId("shop", "a")].ingress.profiles
    assert profiles[-1].name == f"ksa.shop.{'a' * 63}"


def test_named_ports_of_containers_are_those_of_the_endpoint(make, selecting, endpoint) -> None:
    world = selecting("", ports=("http",))
    ports = (ContainerPort(name="http", container_port=8080), ContainerPort(container_port=9))
    world.go(endpoint(ports=(make.Port(name="http", protocol="TCP", port=80),)))
    assert world.only_set() == {"10.0.0.1,6:80"}
    world.go(pod(containers=(Container(name="c", ports=ports),)))
    assert world.only_set() == {"10.0.0.1,6:80", "10.0.0.1,6:8080"}
    world.remove(pod())
    world.flush()
    assert world.only_set() == {"10.0.0.1,6:80"}


@pytest.mark.parametrize("wrong", [{"protocol": "nonsense"}, {"container_port": 70_000}, {"container_port": -1}])
def test_a_port_that_cannot_be_is_left_out(selecting, endpoint, wrong: dict[str, object]) -> None:
    world = selecting("app == 'web'", ports=("http",))
    port = ContainerPort(name="http", **({"container_port": 1} | wrong))
    world.go(endpoint(), pod({"app": "web"}, containers=(Container(ports=(port,)),)))
    assert world.only_set() == set()


CASES = [case for case in json.loads(DATA.read_bytes())["cases"] if case["kind"] == "Pod"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_an_endpoint_that_knows_nothing_becomes_the_published_one(case, endpoint, world) -> None:
    (expect,) = case["expect"]
    given = codec.decode("Pod", json.dumps(case["input"]).encode())
    bare = endpoint("a", namespace=given.metadata.namespace, pod=given.metadata.name)
    world.go(bare, given)
    item = world.calculation._columns.id_of(bare.key)
    assert world.calculation._labels.labels(item) == expect["metadata"]["labels"]
    ports = {(port.name, port.protocol, port.port) for port in world.calculation._columns.row(item).ports}
    named = [port for port in expect["spec"].get("ports", ()) if port["name"]]
    assert ports == {(port["name"], PROTOCOLS[port["protocol"].lower()], port["port"]) for port in named}


def test_published_pods_are_there() -> None:
    assert len(CASES) == 12


def test_the_label_index_is_asked_for_endpoints_of_the_pod_only(selecting, endpoint) -> None:
    world = selecting("app == 'web'")
    world.go(*(endpoint(f"e{n}", f"10.0.1.{n}", pod=f"p{n}", node="there") for n in range(50)))
    before = world.calculation.work.touched
    world.go(pod({"app": "web"}, name="p7"))
    assert world.calculation.work.touched == before + 1
    assert world.only_set() == {"10.0.1.7"}
