"""Addresses of services that a node announces."""

from __future__ import annotations

import msgspec
import pytest

from tortie.api.bgp import CidrEntry
from tortie.api.endpointslice import SERVICE_LABEL, Backend, EndpointConditions, EndpointSlice
from tortie.api.resource import Metadata
from tortie.api.service import LoadBalancerIngress, LoadBalancerStatus, Service, ServiceSpec, ServiceStatus
from tortie.base.addresses import Cidr

CLUSTER, EXTERNAL, BALANCED = "10.96.0.0/12", "198.51.100.0/24", "203.0.113.0/24"


def entries(*cidrs: str) -> tuple[CidrEntry, ...]:
    return tuple(CidrEntry(cidr=one) for one in cidrs)


def ranges(make, *, cluster=(), external=(), balanced=(), **more: object):
    return make.bgp_configuration(
        service_cluster_ips=entries(*cluster),
        service_external_ips=entries(*external),
        service_load_balancer_ips=entries(*balanced),
        **more,
    )


def service(name: str = "web", *, balanced: tuple[str, ...] = (), **spec: object) -> Service:
    spec.setdefault("cluster_ips", ("10.96.0.7",))
    spec.setdefault("type", "LoadBalancer" if balanced else "ClusterIP")
    status = ServiceStatus(
        load_balancer=LoadBalancerStatus(ingress=tuple(LoadBalancerIngress(ip=one) for one in balanced))
    )
    return Service(metadata=Metadata(name=name, namespace="shop"), spec=ServiceSpec(**spec), status=status)


def backends(
    *nodes: str, name: str = "web", family: str = "IPv4", ready: bool | None = None, of: str = "web"
) -> EndpointSlice:
    metadata = Metadata(name=f"{name}-{family}", namespace="shop", labels={SERVICE_LABEL: of})
    conditions = EndpointConditions(ready=ready)
    found = tuple(Backend(addresses=("10.0.0.9",), node_name=node, conditions=conditions) for node in nodes)
    return EndpointSlice(metadata=metadata, address_type=family, endpoints=found)


def announced(world) -> set[str]:
    return {str(cidr) for cidr in world.state.bgp.services.announced}


def node(make, **labels: str):
    return make.node("here", "10.0.0.1/24", "fd00::1/64", labels=labels)


def test_every_node_announces_the_ranges_as_they_are(make, world) -> None:
    world.go(node(make), ranges(make, cluster=[CLUSTER], external=[EXTERNAL], balanced=[BALANCED]))
    assert announced(world) == {CLUSTER, EXTERNAL, BALANCED}
    assert world.state.bgp.services.ranges == tuple(sorted(map(Cidr.parse, (CLUSTER, EXTERNAL, BALANCED))))


def test_a_service_that_is_only_for_nodes_with_backends_is_announced_by_these_alone(make, world) -> None:
    local = service(external_traffic_policy="Local", external_ips=("198.51.100.7",), balanced=("203.0.113.7",))
    world.go(node(make), ranges(make, cluster=[CLUSTER], external=[EXTERNAL], balanced=[BALANCED]), local)
    everything = {CLUSTER, EXTERNAL, BALANCED}
    assert announced(world) == everything
    world.go(backends("there"))
    assert announced(world) == everything
    world.go(backends("there", "here"))
    assert announced(world) == everything | {"10.96.0.7/32", "198.51.100.7/32", "203.0.113.7/32"}
    world.go(backends("here", ready=False))
    assert announced(world) == everything
    world.go(backends("here", ready=True), service())
    assert announced(world) == everything


def test_addresses_outside_the_ranges_are_not_announced(make, world) -> None:
    local = service(
        external_traffic_policy="Local",
        cluster_ips=("10.7.0.1",),
        external_ips=("10.8.0.1",),
        balanced=("10.9.0.1",),
    )
    world.go(node(make), ranges(make, external=[EXTERNAL]), local, backends("here"))
    assert announced(world) == {EXTERNAL}


def test_an_address_is_announced_where_a_backend_of_its_family_is(make, world) -> None:
    both = service(external_traffic_policy="Local", cluster_ips=("10.96.0.7", "fd96::7"))
    world.go(node(make), ranges(make, cluster=[CLUSTER, "fd96::/112"]), both, backends("here", family="IPv6"))
    assert announced(world) == {CLUSTER, "fd96::/112", "fd96::7/128"}


def test_a_range_of_one_address_is_announced_with_the_service_that_has_it(make, world) -> None:
    world.go(node(make), ranges(make, external=["198.51.100.7/32"], balanced=["203.0.113.7/32"]))
    assert announced(world) == set()
    world.go(service(external_ips=("198.51.100.7", "198.51.100.8"), balanced=("203.0.113.7",)))
    assert announced(world) == {"198.51.100.7/32", "203.0.113.7/32"}


def test_without_aggregation_each_load_balancer_with_backends_is_announced_alone(make, world) -> None:
    settings = ranges(make, balanced=[BALANCED], service_load_balancer_aggregation="Disabled")
    world.go(node(make), settings, service(balanced=("203.0.113.7",)))
    assert announced(world) == set()
    world.go(backends("there"))
    assert announced(world) == {"203.0.113.7/32"}


@pytest.mark.parametrize(
    "spec",
    [
        {"cluster_ips": ("None",)},
        {"cluster_ips": (), "cluster_ip": "None"},
        {"cluster_ips": ()},
        {"type": "ExternalName"},
    ],
)
def test_services_without_an_address_of_their_own_are_not_announced(make, world, spec) -> None:
    odd = service(external_traffic_policy="Local", external_ips=("198.51.100.7",), **spec)
    world.go(node(make), ranges(make, external=[EXTERNAL]), odd, backends("here"))
    assert announced(world) == {EXTERNAL}


def test_an_excluded_node_announces_nothing_of_services(make, world) -> None:
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    settings = ranges(make, external=[EXTERNAL])
    local = service(external_traffic_policy="Local", external_ips=("198.51.100.7",))
    world.go(node(make, **{label: "true"}), settings, local, backends("here"))
    assert announced(world) == set()
    assert world.state.bgp.services.ranges == (Cidr.parse(EXTERNAL),)
    world.go(node(make, **{label: "false"}))
    assert announced(world) == {EXTERNAL, "198.51.100.7/32"}


def test_a_change_of_backends_that_changes_nothing_announced_says_nothing(make, world) -> None:
    local = service(external_traffic_policy="Local")
    world.go(node(make), ranges(make, cluster=[CLUSTER]), local, backends("here"))
    assert world.go(backends("here", "there")).bgp is msgspec.UNSET
    assert world.go(backends("here", name="other", of="other")).bgp is msgspec.UNSET


def test_an_address_that_two_services_have_is_announced_until_the_last_is_gone(make, world) -> None:
    first, second = (service(name, external_ips=("198.51.100.7",)) for name in ("first", "second"))
    world.go(node(make), ranges(make, external=["198.51.100.7/32"]), first, second)
    world.remove(first)
    world.flush()
    assert announced(world) == {"198.51.100.7/32"}
    world.remove(second)
    world.flush()
    assert announced(world) == set()
