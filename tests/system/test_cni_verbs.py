"""Every command of the CNI specification, by executing plugins as runtimes do, with and without others in the chain."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tortie.cni.result import SUPPORTED_VERSIONS
from tortie.lab.assembly import PLUGIN, StaticRoutes, plugin
from tortie.lab.chain import Chain, Container
from tortie.lab.lab import Lab
from tortie.lab.services import AgentServices, cni_config
from tortie.lab.topology import Topology, Workload
from tortie.lab.workload import PluginFailed
from tortie.netlink.namespace import create_namespace, delete_namespace

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

DEBIAN = Path("/usr/lib/cni")
SUBNET = "10.99.7.0/24"
_COUNT = itertools.count()


class Runtime:
    """Containers on host h1, each an empty network namespace."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lab = world.lab
        self.own = dict(cni_config(world.lab.topology, world.lab.topology.host("h1")))
        self.namespaces: list[str] = []

    def chain(self, *more: dict[str, Any], version: str = "1.0.0", network: str = "", **own: Any) -> Chain:
        """Our plugin, with more fields, and then others."""
        first = {name: value for name, value in self.own.items() if name not in ("name", "cniVersion")} | own
        whole = {"cniVersion": version, "name": network or self.own["name"], "plugins": [first, *more]}
        return Chain(self.lab.topology.host_namespace("h1"), (PLUGIN.parent, DEBIAN), whole)

    def container(self, **facts: Any) -> Container:
        """A new one."""
        number = next(_COUNT)
        name = f"{self.lab.topology.prefix}c{number}"
        self.namespaces.append(name)
        return Container(f"{number:064x}"[::-1], create_namespace(name), **facts)

    def run(self, container: Container, *command: str) -> str:
        """What a program prints in a container."""
        assert container.netns is not None
        return self.world.run("ip", "netns", "exec", container.netns.name, *command)

    def answers(self, container: Container) -> bool:
        """Whether a container is reached from a workload that policy lets."""
        address = json.loads(self.run(container, "ip", "-j", "-4", "addr", "show", "dev", container.interface))
        target = address[0]["addr_info"][0]["local"]
        return self.lab.exec("w", ("ping", "-c1", "-W2", target)).returncode == 0


@pytest.fixture(scope="module")
def runtime(
    new_topology: Callable[..., Topology], world_of: Callable[[Lab, AgentServices], World]
) -> Iterator[Runtime]:
    topology = new_topology(Workload("w", "h1"))
    services = AgentServices(topology, bird=False)
    with Lab(topology, services, StaticRoutes(plugin(topology))) as lab:
        one = Runtime(world_of(lab, services))
        one.world.apply("""
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: all}
spec: {types: [Ingress, Egress], ingress: [{action: Allow}], egress: [{action: Allow}]}
""")
        try:
            yield one
        finally:
            for name in one.namespaces:
                delete_namespace(name)


def code(failure: pytest.ExceptionInfo[PluginFailed]) -> int:
    return int(json.loads(str(failure.value))["code"])


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_a_container_is_attached_and_detached_in_every_version_and_twice(runtime: Runtime, version: str) -> None:
    chain, one = runtime.chain(version=version), runtime.container()
    result = chain.add(one)
    assert result["cniVersion"] == version
    again = chain.add(one)
    assert {**again, "interfaces": []} == {**result, "interfaces": []}
    assert runtime.answers(one)
    for gone in (one, one, msgspec.structs.replace(one, netns=None)):
        chain.delete(gone, result)
    assert runtime.run(one, "ip", "-br", "-4", "addr").split() == ["lo", "UNKNOWN", "127.0.0.1/8"]


def test_check_sees_every_way_in_which_a_container_may_differ(runtime: Runtime) -> None:
    chain, one = runtime.chain(version="1.1.0"), runtime.container()
    result = chain.add(one)
    chain.check(one, result)
    address, default = result["ips"][0]["address"], "default via 169.254.1.1 dev eth0"
    for spoil, mend, said in (
        (
            ("ip", "addr", "del", address, "dev", "eth0"),
            ("sh", "-c", f"ip addr add {address} dev eth0; ip route add 169.254.1.1 dev eth0; ip route add {default}"),
            "lacks",
        ),
        (("ip", "route", "del", "default"), ("ip", "route", "add", *default.split()), "default route"),
        (
            ("ip", "link", "set", "eth0", "address", "02:00:00:00:00:01"),
            ("ip", "link", "set", "eth0", "address", result["interfaces"][1]["mac"]),
            "hardware address",
        ),
    ):
        runtime.run(one, *spoil)
        with pytest.raises(PluginFailed, match=said) as caught:
            chain.check(one, result)
        assert code(caught) == 101
        runtime.run(one, *mend)
        chain.check(one, result)
    with pytest.raises(PluginFailed, match="prevResult"):
        chain.execute("CHECK", chain.network["plugins"][0], one, {})
    chain.delete(one)
    with pytest.raises(PluginFailed) as caught:
        chain.check(one, result)
    assert code(caught) == 3


def test_fifty_containers_that_come_at_once_are_all_attached_and_detached(runtime: Runtime) -> None:
    chain, containers = runtime.chain(), [runtime.container() for _ in range(50)]
    with ThreadPoolExecutor(len(containers)) as pool:
        results = list(pool.map(chain.add, containers))
        assert len({result["ips"][0]["address"] for result in results}) == len(containers)
        assert [one.identity for one in containers if not runtime.answers(one)] == []
        list(pool.map(chain.delete, containers, results))
    assert [one.identity for one in containers if "eth0" in runtime.run(one, "ip", "-br", "link")] == []


def test_gc_takes_what_the_runtime_does_not_know_of_its_own_network_only(runtime: Runtime) -> None:
    here, elsewhere = runtime.chain(version="1.1.0", network="gc"), runtime.chain(version="1.1.0", network="other")
    kept, lost, foreign = (runtime.container() for _ in range(3))
    for chain, one in ((here, kept), (here, lost), (elsewhere, foreign)):
        chain.add(one)
    here.collect([kept])
    assert [runtime.answers(one) for one in (kept, foreign)] == [True, True]
    assert "eth0" not in runtime.run(lost, "ip", "-br", "link")
    assert runtime.answers(kept)
    with pytest.raises(PluginFailed, match="valid-attachments"):
        here.execute("GC", here.network["plugins"][0], None, {})
    here.collect([])
    elsewhere.collect([])
    assert "eth0" not in runtime.run(kept, "ip", "-br", "link")


def test_status_says_whether_a_container_could_be_attached(runtime: Runtime) -> None:
    runtime.chain(version="1.1.0").status()
    away = runtime.chain(version="1.1.0", socket="/nonexistent/cni.sock")
    with pytest.raises(PluginFailed, match="does not answer") as caught:
        away.status()
    assert code(caught) == 50
    with pytest.raises(PluginFailed, match="node nobody"):
        runtime.chain(version="1.1.0", nodename="nobody").status()


def test_ports_are_published_bandwidth_limited_and_sysctls_set_by_the_plugins_that_follow(runtime: Runtime) -> None:
    others = (
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
        {"type": "tuning", "sysctl": {"net.core.somaxconn": "511"}},
    )
    wishes = {
        "portMappings": [{"hostPort": 8088, "containerPort": 80, "protocol": "tcp"}],
        "bandwidth": {"ingressRate": 10_000_000, "ingressBurst": 800_000},
    }
    chain, one = runtime.chain(*others), runtime.container(wishes=wishes)
    result = chain.add(one)
    # Debian's portmap fails every CHECK: it looks for the rules of one family among those of the other.
    runtime.chain(*others[1:]).check(one, result)
    assert runtime.run(one, "sysctl", "-n", "net.core.somaxconn").strip() == "511"
    interface = result["interfaces"][0]["name"]
    assert "tbf" in runtime.world.run("tc", "qdisc", "show", "dev", interface)
    assert "8088" in runtime.world.run("iptables", "-t", "nat", "-S")
    chain.delete(one, result)
    assert "8088" not in runtime.world.run("iptables", "-t", "nat", "-S")


def test_addresses_of_host_local_are_routed_to_policed_and_given_back(runtime: Runtime, tmp_path: Path) -> None:
    ipam = {"type": "host-local", "subnet": SUBNET, "dataDir": str(tmp_path)}
    chain, one = runtime.chain(ipam=ipam, version="1.1.0"), runtime.container()
    result = chain.add(one)
    assert result["ips"][0]["address"].startswith("10.99.7.")
    assert result["ips"][0]["address"].endswith("/32")
    chain.check(one, result)
    assert runtime.answers(one)
    chain.status()
    assert list(tmp_path.glob("*/10.99.7.*"))
    chain.delete(one, result)
    chain.delete(one, result)
    assert not list(tmp_path.glob("*/10.99.7.*"))
    with pytest.raises(PluginFailed, match="was not found"):
        runtime.chain(ipam={"type": "no-such-ipam"}).add(one)


def test_a_workload_gets_the_hardware_address_the_mtu_and_the_settings_that_are_asked_for(runtime: Runtime) -> None:
    own = {
        "mtu": 1300,
        "num_queues": 2,
        "container_settings": {"allow_ip_forwarding": True},
        "include_default_routes": True,
        "capabilities": {"mac": True, "ips": True},
    }
    wishes = {"mac": "02:11:22:33:44:55", "ips": ["10.65.200.9", "fd00:65::209"]}
    chain, one = runtime.chain(version="1.1.0", **own), runtime.container(wishes=wishes)
    result = chain.add(one)
    assert [ip["address"] for ip in result["ips"]] == ["10.65.200.9/32", "fd00:65::209/128"]
    assert result["interfaces"][1]["mtu"] == 1300
    assert [route["dst"] for route in result["routes"]] == ["0.0.0.0/0", "::/0"]
    link = json.loads(runtime.run(one, "ip", "-j", "-d", "link", "show", "eth0"))[0]
    assert (link["mtu"], link["address"], link["num_tx_queues"]) == (1300, "02:11:22:33:44:55", 2)
    assert runtime.run(one, "sysctl", "-n", "net.ipv4.ip_forward").strip() == "1"
    assert runtime.answers(one)
    chain.delete(one)


def test_a_second_interface_of_a_container_leaves_the_first_alone(runtime: Runtime) -> None:
    first, second = runtime.chain(network="one"), runtime.chain(network="two")
    one = runtime.container()
    two = msgspec.structs.replace(one, interface="eth1")
    first.add(one)
    second.add(two)
    assert {"eth0", "eth1"} <= {line.split("@")[0] for line in runtime.run(one, "ip", "-br", "link").splitlines()}
    second.delete(two)
    assert runtime.run(one, "ip", "-br", "link").count("eth") == 1
    first.delete(one)
