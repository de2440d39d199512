"""Attaching and detaching, over a real datastore and allocator; cables and the kernel are faked, and fail on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import msgspec
import pytest

from tortie.agent import attachments as module
from tortie.agent.attached_endpoint import Names
from tortie.agent.attachments import Attachments
from tortie.agent.workload_addresses import WorkloadAddresses
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.node import Node
from tortie.api.pod import Pod
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.api.workloadendpoint import WorkloadEndpoint
from tortie.base.addresses import Cidr
from tortie.base.clock import SystemClock
from tortie.base.errors import KernelError, TortieError, Unavailable
from tortie.cni.configuration import (
    Args,
    CniArgs,
    FeatureControl,
    IpamConfig,
    Label,
    NetworkConfig,
    RuntimeConfig,
    ValidAttachment,
)
from tortie.cni.errors import CniError
from tortie.cni.request import Request
from tortie.cni.wiring import Cable
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.resources import ResourceStore
from tortie.desired.endpoints import EndpointId
from tortie.ipam.allocator import Allocator
from tortie.ipam.inspection import record_of
from tortie.ipam.snapshot import read_snapshot
from tortie.selector.check import selector_problem


class Kernel:
    """Cables by name of the host's end, and who waited for what to be programmed."""

    def __init__(self) -> None:
        self.cables: dict[str, Cable] = {}
        self.refusal: Exception | None = None
        self.programmed_refusal: Exception | None = None
        self.waited: list[tuple[EndpointId, int]] = []
        self.hang = False
        self.hanging = asyncio.Event()

    def wire(self, cable: Cable) -> str:
        self.cables.pop(cable.host_interface, None)
        if self.refusal:
            raise self.refusal
        self.cables[cable.host_interface] = cable
        return "0a:00:00:00:00:01"

    def unwire(self, host_interface: str) -> None:
        self.cables.pop(host_interface, None)

    @property
    def endpoints(self) -> list[EndpointId]:
        return sorted({identity for identity, _ in self.waited})

    def hindrance(self, identity: EndpointId) -> str:
        return f"{identity.name} waits for Godot"

    async def programmed(self, identity: EndpointId, revision: int) -> None:
        self.waited.append((identity, revision))
        if self.programmed_refusal:
            raise self.programmed_refusal
        if self.hang:
            self.hanging.set()
            await asyncio.Event().wait()


class Noon(SystemClock):
    """A clock that says the same all the time."""

    def now(self) -> float:
        return 1_787_475_731.402


class Rig:
    """The attachments of node n1, over a datastore in memory."""

    def __init__(self, kernel: Kernel, executor: ThreadPoolExecutor) -> None:
        self.kernel = kernel
        self.datastore = EmbeddedDatastore.open_memory()
        self.store = ResourceStore(self.datastore, SystemClock(), selector_problem)
        self.allocator = Allocator(self.datastore, SystemClock(), Random(1))
        addresses = WorkloadAddresses("n1", self.store, self.allocator, Noon())
        self.attachments = Attachments(Names("n1", "cali"), self.store, addresses, executor, kernel, lambda: 1450)

    async def endpoint(self, name: str = "n1-k8s-web--0-eth0", namespace: str = "shop") -> WorkloadEndpoint | None:
        found = await self.store.get(ResourceKey("WorkloadEndpoint", namespace, name))
        assert found is None or isinstance(found, WorkloadEndpoint)
        return found

    async def facts(self, one: Request) -> dict[str, str]:
        """What is recorded of the first address that a request holds."""
        address = (await self.held(one))[0]
        snapshot = await read_snapshot(self.datastore, SystemClock(), Random())
        return dict(record_of(snapshot, address) or {})

    async def held(self, one: Request) -> tuple[Cidr, ...]:
        return await self.allocator.addresses_of(one.handle)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    kernel = Kernel()
    monkeypatch.setattr(module, "wire", kernel.wire)
    monkeypatch.setattr(module, "unwire", kernel.unwire)
    with ThreadPoolExecutor(1) as executor:
        one = Rig(kernel, executor)
        await one.store.create(Node(metadata=Metadata(name="n1")))
        for name, cidr in (("four", "10.65.0.0/16"), ("six", "fd00:65::/64")):
            await one.store.create(IPPool(metadata=Metadata(name=name), spec=IPPoolSpec(cidr=cidr)))
        yield one
        await one.datastore.close()


async def test_an_address_is_recorded_with_whom_it_was_given_to_where_and_when(rig: Rig) -> None:
    await rig.attachments.add(request())
    assert await rig.facts(request()) == {
        "handle": request().handle,
        "node": "n1",
        "pod": "web-0",
        "namespace": "shop",
        "timestamp": "2026-08-23 09:02:11.402 +0000 UTC",
    }


def request(container: str = "c1", pod: str = "web-0", namespace: str = "shop", **config: Any) -> Request:
    return Request(
        command="ADD",
        container_id=container,
        netns="/run/netns/none",
        interface="eth0",
        namespace=namespace if pod else "",
        pod=pod,
        config=NetworkConfig(name="net", **config),
    )


async def test_a_pod_gets_the_mtu_of_the_network_unless_its_runtime_says_another(rig: Rig) -> None:
    assert (await rig.attachments.add(request())).mtu == 1450
    assert (await rig.attachments.add(request("c2", "web-1", mtu=1400))).mtu == 1400


async def test_a_pod_gets_an_address_of_each_family_a_cable_and_an_endpoint(rig: Rig) -> None:
    one = request(args=Args(CniArgs(labels=(Label("role", "web"),))), mtu=1400)
    attachment = await rig.attachments.add(one)
    endpoint = await rig.endpoint()
    assert endpoint is not None
    assert [address.family for address in attachment.addresses] == [4, 6]
    assert attachment.addresses == await rig.held(one)
    assert attachment.mtu == 1400
    assert rig.kernel.cables[attachment.host_interface].addresses == attachment.addresses
    assert endpoint.metadata.labels == {
        "role": "web",
        "projectcalico.org/namespace": "shop",
        "projectcalico.org/orchestrator": "k8s",
    }
    spec = endpoint.spec
    assert (spec.node, spec.pod, spec.container_id, spec.endpoint) == ("n1", "web-0", "c1", "eth0")
    assert (spec.interface_name, spec.mac, spec.profiles) == (attachment.host_interface, attachment.mac, ("kns.shop",))
    assert spec.ip_networks == tuple(str(address) for address in attachment.addresses)


async def test_add_waits_for_the_endpoint_as_it_was_written(rig: Rig) -> None:
    await rig.attachments.add(request())
    endpoint = await rig.endpoint()
    assert endpoint is not None
    identity = EndpointId("shop", "n1-k8s-web--0-eth0")
    assert rig.kernel.waited == [(identity, int(endpoint.metadata.resource_version))]


@pytest.mark.parametrize(("ipv4", "ipv6", "families"), [(True, False, [4]), ("false", "True", [6])])
async def test_families_may_be_switched_off(rig: Rig, ipv4: bool | str, ipv6: bool | str, families: list[int]) -> None:
    attachment = await rig.attachments.add(request(ipam=IpamConfig(assign_ipv4=ipv4, assign_ipv6=ipv6)))
    assert [address.family for address in attachment.addresses] == families


async def test_a_request_for_no_address_at_all_is_the_callers_fault(rig: Rig) -> None:
    with pytest.raises(CniError) as caught:
        await rig.attachments.add(request(ipam=IpamConfig(assign_ipv4=False, assign_ipv6=False)))
    assert caught.value.code == 100


async def test_requested_addresses_are_given_and_nothing_else(rig: Rig) -> None:
    attachment = await rig.attachments.add(request(runtime_config=RuntimeConfig(ips=("10.65.1.2",))))
    assert attachment.addresses == (Cidr.host("10.65.1.2"),)


async def test_requested_addresses_that_somebody_has_are_refused_and_the_others_given_back(rig: Rig) -> None:
    first = request("c1", "web-0", runtime_config=RuntimeConfig(ips=("10.65.1.2",)))
    second = request("c2", "web-1", runtime_config=RuntimeConfig(ips=("10.65.1.3", "10.65.1.2")))
    await rig.attachments.add(first)
    with pytest.raises(TortieError):
        await rig.attachments.add(second)
    assert await rig.held(second) == ()
    assert await rig.held(first) == (Cidr.host("10.65.1.2"),)


async def test_an_add_that_is_repeated_gets_what_it_got(rig: Rig) -> None:
    first = await rig.attachments.add(request())
    assert (await rig.attachments.add(request())).addresses == first.addresses
    assert await rig.held(request()) == first.addresses


@pytest.mark.parametrize("step", ["addresses", "cable", "profile", "endpoint", "programmed"])
async def test_whatever_fails_takes_back_what_came_before(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(rig, step, monkeypatch)
    one = request(pod="")
    with pytest.raises(TortieError):
        await rig.attachments.add(one)
    monkeypatch.undo()
    assert await rig.held(one) == ()
    assert rig.kernel.cables == {}
    assert await rig.endpoint("n1-cni-c1-eth0", "default") is None


def refuse(rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any) -> Any:
        raise Unavailable("the datastore is away")

    async def refused_endpoint(resource: Any) -> Any:
        return await (refused() if isinstance(resource, WorkloadEndpoint) else create(resource))

    create = rig.store.create
    match step:
        case "addresses":
            monkeypatch.setattr(rig.allocator, "auto_assign", refused)
        case "cable":
            rig.kernel.refusal = KernelError("create veth", 1)
            monkeypatch.setattr(module, "wire", rig.kernel.wire)
            monkeypatch.setattr(module, "unwire", rig.kernel.unwire)
        case "profile":
            monkeypatch.setattr(rig.store, "create", refused)
        case "endpoint":
            monkeypatch.setattr(rig.store, "create", refused_endpoint)
        case "programmed":
            rig.kernel.programmed_refusal = KernelError("commit nftables batch", 1)


async def test_policy_that_is_not_programmed_in_time_fails_the_add_and_says_where_to_look(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRAMMING_TIMEOUT", 0.01)
    rig.kernel.hang = True
    with pytest.raises(CniError, match="waits for Godot; see `tortie node status`") as caught:
        await rig.attachments.add(request())
    assert caught.value.code == 11
    assert await rig.held(request()) == ()
    assert await rig.endpoint() is None


async def test_an_add_that_is_cancelled_takes_everything_back(rig: Rig) -> None:
    rig.kernel.hang = True
    adding = asyncio.create_task(rig.attachments.add(request()))
    await rig.kernel.hanging.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await rig.held(request()) == ()
    assert rig.kernel.cables == {}
    assert await rig.endpoint() is None


async def test_a_failed_rollback_is_left_to_the_runtimes_del(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.kernel.programmed_refusal = KernelError("commit nftables batch", 1)

    async def refused(*_: Any) -> Any:
        raise Unavailable("the datastore is away")

    monkeypatch.setattr(rig.store, "delete", refused)
    with pytest.raises(KernelError):
        await rig.attachments.add(request())
    monkeypatch.setattr(rig.store, "delete", ResourceStore(rig.datastore, SystemClock(), selector_problem).delete)
    await rig.attachments.delete(request())
    assert await rig.held(request()) == ()
    assert rig.kernel.cables == {}


async def test_del_takes_everything_away_and_may_be_repeated(rig: Rig) -> None:
    await rig.attachments.add(request())
    for _ in range(2):
        await rig.attachments.delete(request())
        assert await rig.endpoint() is None
        assert rig.kernel.cables == {}
        assert await rig.held(request()) == ()


async def test_del_gives_back_what_an_older_plugin_assigned_to_the_pod(rig: Rig) -> None:
    """By namespace and pod, once no sandbox of the pod is left."""
    old, other = Cidr.host("10.65.1.2"), Cidr.host("10.65.1.3")
    for address, handle in ((old, "shop.web-0"), (other, "shop.web-01")):
        await rig.allocator.assign_address(address, "n1", handle, {}, "Workload")
    await rig.attachments.add(request("c2"))
    await rig.attachments.delete(request("c1"))
    assert await rig.allocator.addresses_of("shop.web-0") == (old,)
    await rig.attachments.delete(request("c2"))
    assert await rig.allocator.addresses_of("shop.web-0") == ()
    assert await rig.allocator.addresses_of("shop.web-01") == (other,)


async def test_del_of_what_never_was_is_no_error(rig: Rig) -> None:
    await rig.attachments.delete(request("unheard-of"))


async def test_del_gives_the_addresses_back_last(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may be given an address while the cable of its old holder is there."""
    await rig.attachments.add(request())

    def refused(_: str) -> None:
        raise KernelError("delete veth", 16)

    monkeypatch.setattr(module, "unwire", refused)
    with pytest.raises(KernelError):
        await rig.attachments.delete(request())
    assert len(await rig.held(request())) == 2


async def test_a_late_del_of_an_old_sandbox_leaves_the_new_one_alone(rig: Rig) -> None:
    old, new = request("c1"), request("c2")
    await rig.attachments.add(old)
    after = await rig.attachments.add(new)
    await rig.attachments.delete(old)
    endpoint = await rig.endpoint()
    assert endpoint is not None
    assert endpoint.spec.container_id == "c2"
    assert rig.kernel.cables.keys() == {after.host_interface}
    assert await rig.held(old) == ()
    assert await rig.held(new) == after.addresses


async def test_a_new_sandbox_that_fails_before_its_endpoint_is_written_leaves_no_cable_under_the_old_ones_policy(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = request("c1"), request("c2")
    before = await rig.attachments.add(old)

    async def refused(*_: Any) -> Any:
        raise Unavailable("the datastore is away")

    monkeypatch.setattr(rig.store, "update", refused)
    with pytest.raises(Unavailable):
        await rig.attachments.add(new)
    endpoint = await rig.endpoint()
    assert endpoint is not None
    assert endpoint.spec.container_id == "c1"
    assert rig.kernel.cables == {}
    assert await rig.held(new) == ()
    assert await rig.held(old) == before.addresses


async def test_a_new_sandbox_that_gets_no_address_leaves_the_old_one_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await rig.attachments.add(request("c1"))

    async def refused(*_: Any) -> Any:
        raise Unavailable("the datastore is away")

    monkeypatch.setattr(rig.allocator, "auto_assign", refused)
    with pytest.raises(Unavailable):
        await rig.attachments.add(request("c2"))
    assert rig.kernel.cables.keys() == {before.host_interface}
    assert await rig.endpoint() is not None


async def test_what_others_noted_on_an_endpoint_stays_when_a_new_sandbox_takes_it_over(rig: Rig) -> None:
    await rig.attachments.add(request("c1", args=Args(CniArgs(labels=(Label("old", "1"),)))))
    endpoint = await rig.endpoint()
    assert endpoint is not None
    noted = msgspec.structs.replace(endpoint.metadata, annotations={"note": "x"})
    await rig.store.update(msgspec.structs.replace(endpoint, metadata=noted))
    await rig.attachments.add(request("c2", args=Args(CniArgs(labels=(Label("new", "1"),)))))
    after = await rig.endpoint()
    assert after is not None
    assert after.metadata.annotations["note"] == "x"
    assert after.metadata.uid == endpoint.metadata.uid
    assert "new" in after.metadata.labels
    assert "old" not in after.metadata.labels


async def test_conflicting_writers_are_outlasted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody labels the endpoint between our read and our write."""
    await rig.attachments.add(request("c1"))
    get, times = rig.store.get, 3

    async def get_and_disturb(key: ResourceKey) -> Any:
        nonlocal times
        found = await get(key)
        if isinstance(found, WorkloadEndpoint) and times:
            times -= 1
            metadata = msgspec.structs.replace(found.metadata, annotations={"times": str(times)})
            await rig.store.update(msgspec.structs.replace(found, metadata=metadata))
        return found

    monkeypatch.setattr(rig.store, "get", get_and_disturb)
    await rig.attachments.delete(request("c1"))
    assert times == 0
    assert await rig.endpoint() is None


async def test_outside_kubernetes_a_network_has_a_profile_that_lets_its_members_talk(rig: Rig) -> None:
    await rig.attachments.add(request("c1", pod=""))
    await rig.attachments.add(request("c2", pod=""))
    endpoint = await rig.endpoint("n1-cni-c1-eth0", "default")
    profile = await rig.store.get(ResourceKey("Profile", "", "net"))
    assert endpoint is not None
    assert endpoint.spec.profiles == ("net",)
    assert endpoint.spec.orchestrator == "cni"
    assert isinstance(profile, Profile)
    assert profile.spec.labels_to_apply == {"net": ""}
    assert profile.spec.ingress[0].source.selector == "has(net)"


async def test_a_profile_that_an_operator_has_changed_stays_as_it_is(rig: Rig) -> None:
    await rig.store.create(Profile(metadata=Metadata(name="net"), spec=ProfileSpec()))
    await rig.attachments.add(request("c1", pod=""))
    profile = await rig.store.get(ResourceKey("Profile", "", "net"))
    assert isinstance(profile, Profile)
    assert profile.spec.ingress == ()


async def test_pools_may_ask_for_labels_of_the_workloads_namespace(rig: Rig) -> None:
    await rig.store.create(
        IPPool(
            metadata=Metadata(name="shops"),
            spec=IPPoolSpec(cidr="10.66.0.0/16", namespace_selector="team == 'shop'"),
        )
    )
    await rig.store.delete(ResourceKey("IPPool", "", "four"))
    await rig.store.create(
        Profile(metadata=Metadata(name="kns.shop"), spec=ProfileSpec(labels_to_apply={"pcns.team": "shop"}))
    )
    attachment = await rig.attachments.add(request())
    assert Cidr.parse("10.66.0.0/16").contains(attachment.addresses[0])
    with pytest.raises(TortieError):
        await rig.attachments.add(request("c2", namespace="other"))


ANNOTATIONS = {
    "qos.projectcalico.org/ingressPacketRate": "100",
    "qos.projectcalico.org/dscp": "EF",
    "cni.projectcalico.org/floatingIPs": '["192.0.2.1"]',
    "cni.projectcalico.org/allowedSourcePrefixes": '["198.51.100.0/24"]',
}


def annotated(annotations: dict[str, str]) -> Request:
    return request(runtime_config=RuntimeConfig(annotations=annotations))


async def test_annotations_of_the_runtime_become_limits_and_addresses_of_the_endpoint(rig: Rig) -> None:
    attachment = await rig.attachments.add(annotated(ANNOTATIONS))
    found = await rig.endpoint()
    assert found is not None
    assert found.spec.qos_controls is not None
    assert (found.spec.qos_controls.ingress_packet_rate, found.spec.qos_controls.dscp) == (100, "EF")
    assert [(one.external_ip, one.internal_ip) for one in found.spec.ip_nats] == [
        ("192.0.2.1", attachment.addresses[0].text)
    ]
    assert found.spec.allow_spoofed_source_prefixes == ("198.51.100.0/24",)


async def test_annotations_of_the_stored_pod_count_where_the_runtime_says_nothing(rig: Rig) -> None:
    said = {**ANNOTATIONS, "qos.projectcalico.org/dscp": "AF41"}
    await rig.store.create(Pod(metadata=Metadata(name="web-0", namespace="shop", annotations=said)))
    await rig.attachments.add(annotated({"qos.projectcalico.org/dscp": "CS1"}))
    found = await rig.endpoint()
    assert found is not None
    assert found.spec.qos_controls is not None
    assert (found.spec.qos_controls.ingress_packet_rate, found.spec.qos_controls.dscp) == (100, "CS1")


async def test_a_new_sandbox_without_annotations_has_no_limits_any_more(rig: Rig) -> None:
    await rig.attachments.add(annotated(ANNOTATIONS))
    await rig.attachments.add(request("c2"))
    found = await rig.endpoint()
    assert found is not None
    assert found.spec.qos_controls is None
    assert not found.spec.ip_nats


async def test_pods_may_ask_for_addresses_and_for_pools(rig: Rig) -> None:
    await rig.store.create(IPPool(metadata=Metadata(name="odd"), spec=IPPoolSpec(cidr="10.66.0.0/24")))
    wanted = annotated({"cni.projectcalico.org/ipAddrs": '["10.65.9.9"]'})
    assert [one.text for one in (await rig.attachments.add(wanted)).addresses] == ["10.65.9.9"]
    await rig.attachments.delete(wanted)
    from_pool = await rig.attachments.add(annotated({"cni.projectcalico.org/ipv4pools": '["odd"]'}))
    assert from_pool.addresses[0].text.startswith("10.66.0.")


@pytest.mark.parametrize("name", ["ipAddrs", "ipv4pools", "ipv6pools"])
async def test_a_pod_that_asks_for_what_cannot_be_read_gets_nothing(rig: Rig, name: str) -> None:
    with pytest.raises(CniError, match="annotation"):
        await rig.attachments.add(annotated({f"cni.projectcalico.org/{name}": "10.65.9.9"}))
    assert not rig.kernel.cables


async def test_labels_come_from_podman_and_the_runtime_but_for_what_can_be_none(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "container_labels", lambda directory, container: {"role": "web", "note": "no label!"})
    one = msgspec.structs.replace(request("c1", pod=""), arguments={"K8S_POD_NAME": "shop-web"})
    await rig.attachments.add(one)
    endpoint = await rig.endpoint("n1-cni-c1-eth0", "default")
    assert endpoint is not None
    labels = endpoint.metadata.labels
    assert (labels["role"], labels["tortie/container"]) == ("web", "shop-web")
    assert "note" not in labels


async def test_labels_that_cannot_be_read_fail_the_add(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: Any) -> Any:
        raise Unavailable("podman's database cannot be read")

    monkeypatch.setattr(module, "container_labels", unreadable)
    with pytest.raises(Unavailable):
        await rig.attachments.add(request("c1", pod=""))
    assert await rig.held(request("c1", pod="")) == ()


async def test_requested_addresses_are_given_again_when_an_add_is_repeated(rig: Rig) -> None:
    one = request(runtime_config=RuntimeConfig(ips=("10.65.1.2",)))
    assert (await rig.attachments.add(one)).addresses == (await rig.attachments.add(one)).addresses


async def test_addresses_without_ipam_are_taken_where_the_network_allows_them(rig: Rig) -> None:
    annotated = RuntimeConfig(annotations={"cni.projectcalico.org/ipAddrsNoIpam": '["192.0.2.7"]'})
    with pytest.raises(CniError, match="ip_addrs_no_ipam"):
        await rig.attachments.add(request(runtime_config=annotated))
    allowed = request(runtime_config=annotated, feature_control=FeatureControl(ip_addrs_no_ipam=True))
    assert (await rig.attachments.add(allowed)).addresses == (Cidr.host("192.0.2.7"),)
    assert await rig.held(allowed) == ()


async def test_the_hardware_address_comes_from_the_runtime_or_the_annotation(rig: Rig) -> None:
    wanted = RuntimeConfig(annotations={"cni.projectcalico.org/hwAddr": "02:00:00:00:00:0A"})
    attachment = await rig.attachments.add(request(runtime_config=wanted))
    assert rig.kernel.cables[attachment.host_interface].mac == "02:00:00:00:00:0a"
    with pytest.raises(CniError, match="hardware address"):
        await rig.attachments.add(request(runtime_config=RuntimeConfig(mac="nonsense")))


async def test_a_network_may_do_without_waiting_for_policy(rig: Rig) -> None:
    rig.kernel.hang = True
    await rig.attachments.add(request(policy_timeout=0))
    assert rig.kernel.waited == []


async def test_a_configuration_for_another_node_is_refused(rig: Rig) -> None:
    with pytest.raises(CniError, match="this one is n1"):
        await rig.attachments.add(request(nodename="n2"))
    await rig.attachments.add(request(nodename="n1"))


async def test_status_asks_for_pools_of_the_families_that_are_wanted(rig: Rig) -> None:
    await rig.attachments.status(request())
    pool = await rig.store.get(ResourceKey("IPPool", "", "six"))
    assert isinstance(pool, IPPool)
    await rig.store.update(msgspec.structs.replace(pool, spec=msgspec.structs.replace(pool.spec, disabled=True)))
    with pytest.raises(CniError, match="no enabled pool of IPv6") as caught:
        await rig.attachments.status(request())
    assert caught.value.code == 50
    await rig.attachments.status(request(ipam=IpamConfig(assign_ipv6=False)))


async def test_what_a_network_has_and_its_runtime_does_not_know_is_stale(rig: Rig) -> None:
    for container, pod in (("c1", "web-0"), ("c2", "web-1"), ("c3", "")):
        await rig.attachments.add(request(container, pod))
    known = (ValidAttachment("c2", "eth0"),)
    found = await rig.attachments.stale(request("", "", valid_attachments=known))
    assert [(one.command, one.container_id, one.pod, one.workload) for one in found] == [
        ("DEL", "c3", "", "c3"),
        ("DEL", "c1", "web-0", "shop/web-0"),
    ]
    other = msgspec.structs.replace(request().config, name="another", valid_attachments=())
    assert await rig.attachments.stale(msgspec.structs.replace(request(), config=other)) == []
    with pytest.raises(CniError, match="valid-attachments"):
        await rig.attachments.stale(request())
    for one in found:
        await rig.attachments.delete(one)
        assert await rig.held(one) == ()
    assert len(rig.kernel.cables) == 1
