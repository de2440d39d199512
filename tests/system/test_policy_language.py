"""What policies mean, by packets of both families between four workloads on two hosts: one case for each sentence."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.resource import Resource, ResourceKey
from tortie.calculation.graph import Calculation
from tortie.calculation.permissions import Permissions
from tortie.lab.lab import Lab
from tortie.lab.probe.model import Probe, Transport
from tortie.lab.probe.prober import Patience
from tortie.lab.topology import Topology, Workload
from tortie.netlink.namespace import inside

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from model.network import Node

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

NAMES = ("w0", "w1", "w2", "w3")
HOSTS = {"w0": "h1", "w1": "h1", "w2": "h2", "w3": "h2"}
SHARED, OWN = 1100, {name: 3000 + number for number, name in enumerate(NAMES)}
PORTS = (80, 81, 1001, SHARED, *OWN.values())
ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {host}-k8s-{name}-eth0, namespace: shop, labels: {{name: {name}}}}}
spec:
  orchestrator: k8s
  node: {host}
  pod: {name}
  endpoint: eth0
  interfaceName: {interface}
  ipNetworks: [{networks}]
  profiles: [open]
  allowSpoofedSourcePrefixes: [{spoofed}]
  ports:
    - {{name: shared, protocol: TCP, port: 1100}}
    - {{name: {name}-port, protocol: TCP, port: {port}}}
    - {{name: {name}-port-udp, protocol: UDP, port: {port}}}
"""
BASE = """
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: open}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: default}
spec: {defaultAction: Deny}
"""
_ASKED = re.compile(r"(w\d|h\d)>(w\d)(?::(\d+))?(?:/(udp|icmp))?")


class Net:
    """Two hosts whose packet filters are driven in this process."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._nodes = [_permissive(Node(place), place.host.name) for place in lab.places()]
        self._known: dict[ResourceKey, Resource] = {}
        self._endpoints = "\n---".join(map(self.endpoint, NAMES))
        for name in NAMES:
            lab.prober.listen(name, *PORTS)

    def bring(self, *texts: str) -> None:
        """These resources are all that there is, besides endpoints that everybody may reach; every flow is new."""
        wanted = self._loaded("\n---\n".join((BASE, self._endpoints, *texts)))
        updates = [(key, wanted.get(key)) for key in self._known.keys() | wanted.keys()]
        changed = [(key, value) for key, value in updates if self._known.get(key) != value]
        for node in self._nodes:
            node.thread.submit(node.bring, sorted(changed, key=lambda update: update[0])).result()
            node.thread.submit(node.forget_connections).result()
        self._known = wanted

    def expect(self, open: str = "", closed: str = "") -> None:
        """Of `w0>w1:80/udp` and the like in both families: port 80 and TCP unless said otherwise."""
        wanted = dict.fromkeys(self._probes(open), True) | dict.fromkeys(self._probes(closed), False)
        first = self._lab.prober.run(list(wanted), Patience(0.08, 2))
        lost = [one.probe for one in first if wanted[one.probe] and not one.allowed]
        again = self._lab.prober.run(lost, Patience(1.0, 3)) if lost else []
        wrong = [one for one in first if one.allowed and not wanted[one.probe]]
        assert [str(one) for one in (*wrong, *again) if one.allowed != wanted[one.probe]] == []

    def addresses(self, name: str) -> tuple[str, str]:
        """Of IPv4 and IPv6."""
        four, six = sorted(self._lab.attachment(name).addresses, key=lambda one: ":" in one)
        return four, six

    def endpoint(self, name: str, spoofed: str = "") -> str:
        """A workload's, with the sources that it may use besides its own."""
        attachment = self._lab.attachment(name)
        networks = ", ".join(f'"{one}/{128 if ":" in one else 32}"' for one in attachment.addresses)
        return ENDPOINT.format(
            name=name,
            host=HOSTS[name],
            interface=attachment.interface,
            networks=networks,
            port=OWN[name],
            spoofed=spoofed,
        )

    def arrives(self, source: str, to: str, family: int, address: str) -> bool:
        """Whether a datagram that bears this source address arrives."""
        kind, free = (
            (socket.AF_INET, (socket.SOL_IP, socket.IP_TRANSPARENT)) if family == 4 else (socket.AF_INET6, (41, 75))
        )
        with inside(self._lab.namespace(source)):
            speaker = socket.socket(kind, socket.SOCK_DGRAM)
        with inside(self._lab.namespace(to)):
            listener = socket.socket(kind, socket.SOCK_DGRAM)
        with speaker, listener:
            speaker.setsockopt(*free, 1)
            speaker.bind((address, 0))
            listener.bind((self.addresses(to)[family == 6], 7000))
            listener.settimeout(0.3)
            speaker.sendto(b"x", (self.addresses(to)[family == 6], 7000))
            try:
                return listener.recv(1) == b"x"
            except TimeoutError:
                return False

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def _loaded(self, text: str) -> dict[ResourceKey, Resource]:
        found = (with_defaults(load_resource(one)) for one in read_documents(text))
        return {one.key: one for one in found}

    def _probes(self, text: str) -> Iterator[Probe]:
        asked = text.split()
        for one in asked:
            found = _ASKED.fullmatch(one)
            assert found, one
            source, to, port, transport = found.groups()
            for address in self._lab.attachment(to).addresses:
                yield Probe(source, address, Transport(transport or "tcp"), int(port or 80))


def _permissive(node: Node, name: str) -> Node:
    """Where the operator lets workloads ask for sources of others."""
    node.calculation = Calculation(name, Permissions(source_spoofing=True))
    node.calculation.set_in_sync()
    return node


@pytest.fixture(scope="module")
def net(new_topology: Callable[..., Topology]) -> Iterator[Net]:
    topology = new_topology(*(Workload(name, host, "shop") for name, host in HOSTS.items()))
    with Lab(topology) as lab:
        for place in lab.places():
            with inside(place.namespace):
                Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").write_text("0")
        found = Net(lab)
        yield found
        found.close()


def policy(name: str, spec: str, kind: str = "NetworkPolicy", tier: str = "default") -> str:
    """A policy; `spec` in flow style, without its braces."""
    named = name if tier == "default" else f"{tier}.{name}"
    place = "" if kind.startswith(("Global", "StagedGlobal")) else ", namespace: shop"
    return f"""
apiVersion: projectcalico.org/v3
kind: {kind}
metadata: {{name: {named}{place}}}
spec: {{tier: {tier}, {spec}}}
"""


def tier(name: str, order: int, action: str = "Deny") -> str:
    return f"""
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {{name: {name}}}
spec: {{order: {order}, defaultAction: {action}}}
"""


def sets(**members: str) -> str:
    """Network sets, each with a label of its name."""
    return "\n---\n".join(
        f"""
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {{name: {name}, namespace: shop, labels: {{set: {name}}}}}
spec: {{nets: [{nets}]}}
"""
        for name, nets in members.items()
    )


FROM_W1 = "source: {selector: name == 'w1'}"


def test_a_policy_without_types_governs_ingress_alone(net: Net) -> None:
    net.bring(policy("p", f"selector: name == 'w0', ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0 w0>w1 w0>w2 w0>w3/udp", "w2>w0 w3>w0 w2>w0/udp w2>w0/icmp")


def test_a_policy_with_egress_rules_alone_governs_egress_alone(net: Net) -> None:
    net.bring(policy("p", "selector: name == 'w0', egress: [{action: Allow, destination: {selector: name == 'w1'}}]"))
    net.expect("w0>w1 w1>w0 w2>w0", "w0>w2 w0>w3 w0>w2/icmp")


def test_types_say_which_directions_are_governed_whatever_rules_there_are(net: Net) -> None:
    net.bring(policy("p", f"selector: name == 'w0', types: [Ingress, Egress], ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0", "w2>w0 w0>w1 w0>w2")
    net.bring(policy("p", f"selector: name == 'w0', types: [Ingress], ingress: [{{action: Allow, {FROM_W1}}}]"))
    net.expect("w1>w0 w0>w1 w0>w2", "w2>w0")


def test_a_policy_without_rules_denies_what_it_governs(net: Net) -> None:
    net.bring(policy("p", "selector: name == 'w0', types: [Ingress]"))
    net.expect("w0>w1 w0>w2 w0>w3", "w1>w0 w2>w0 w3>w0 w3>w0/icmp")


def test_the_end_of_a_tier_does_what_the_tier_says(net: Net) -> None:
    passing = policy(
        "p", "selector: name == 'w0', ingress: [{action: Pass, source: {selector: name == 'w1'}}]", tier="t1"
    )
    for action, closed in (("Deny", "w2>w0"), ("Pass", ""), ("Deny", "w2>w0")):
        net.bring(tier("t1", 1, action), passing)
        net.expect(f"w1>w0 {'' if closed else 'w2>w0'}", closed)
    later = policy("q", "selector: name == 'w0', ingress: [{action: Deny, protocol: UDP}]", tier="t2")
    net.bring(tier("t1", 1, "Pass"), tier("t2", 2, "Pass"), passing, later)
    net.expect("w1>w0 w2>w0", "w1>w0/udp w2>w0/udp")
    net.bring(tier("t1", 3), tier("t2", 2, "Pass"), passing, later)
    net.expect("w1>w0", "w1>w0/udp w2>w0")


def test_a_tier_with_staged_policies_alone_decides_nothing(net: Net) -> None:
    staged = policy("p", "selector: name == 'w0', types: [Ingress, Egress]", "StagedNetworkPolicy", "t1")
    net.bring(tier("t1", 1), staged)
    net.expect("w1>w0 w2>w0 w0>w2")


def test_where_an_endpoint_shares_its_list_with_others_makes_no_difference(net: Net) -> None:
    for denied in range(3):
        for last in ("all()", "name == 'w0'"):
            texts = [
                policy(
                    f"p{number}",
                    f'order: {number}, selector: "{last if number == denied else "all()"}", '
                    f"ingress: [{{action: {'Deny' if number == denied else 'Pass'}, protocol: UDP}}]",
                    tier="t1",
                )
                for number in range(3)
            ]
            net.bring(tier("t1", 1, "Pass"), *texts)
            if denied:
                net.expect("w1>w0/udp w2>w1/udp w1>w0")
            elif last == "all()":
                net.expect("w1>w0", "w1>w0/udp w2>w1/udp")
            else:
                net.expect("w2>w1/udp w1>w0", "w1>w0/udp")


NAMED = "destination: {{ports: [shared, w0-port, w1-port, 3003], selector: \"name in {{'w0', 'w1', 'w2'}}\"{more}}}"


def test_named_ports_are_those_of_the_endpoints_that_the_rule_selects(net: Net) -> None:
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {NAMED.format(more='')}}}]"))
    net.expect(
        "w3>w1:1100 w3>w0:3000 w0>w1:3001 w2>w0:3003",
        "w1>w3:1100 w3>w2:3002 w3>w0:3001 w3>w0:3000/udp w3>w1:80 w2>w3:3003",
    )


def test_a_negative_selector_takes_endpoints_away_and_alone_leaves_all_others(net: Net) -> None:
    more = ", notSelector: name == 'w2'"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {NAMED.format(more=more)}}}]"))
    net.expect("w3>w1:1100 w3>w0:3000", "w3>w2:1100 w1>w3:1100")
    alone = "destination: {ports: [shared], notSelector: name == 'w2'}"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {alone}}}]"))
    net.expect("w3>w1:1100 w1>w3:1100", "w3>w2:1100")


def test_negated_ports_win_over_positive_ones(net: Net) -> None:
    ports = "destination: {ports: [1100, 1001, w0-port, 3003], notPorts: [w0-port, 1001, 3003]}"
    net.bring(policy("p", f"selector: all(), ingress: [{{action: Allow, protocol: TCP, {ports}}}]"))
    net.expect("w1>w0:1100 w2>w1:1100", "w1>w0:3000 w1>w0:1001 w1>w0:3003 w3>w1:1001 w1>w0:80")


def test_lists_of_ports_may_be_long(net: Net) -> None:
    ports = f"[{', '.join(str(port) for port in range(2000, 2100, 2))}, '3000:3002', w3-port]"
    for way, end, opened, closed in (
        ("ingress", "destination", "w1>w0:3000 w1>w0:3001 w1>w3:3003", "w1>w0:3003 w1>w0:80"),
        ("egress", "destination", "w1>w0:3002 w2>w0:3000 w1>w3:3003", "w1>w0:3003 w2>w0:81"),
    ):
        net.bring(policy("p", f"selector: all(), {way}: [{{action: Allow, protocol: TCP, {end}: {{ports: {ports}}}}}]"))
        net.expect(opened, closed)
        net.bring(
            policy("p", f"selector: all(), {way}: [{{action: Allow, protocol: TCP, {end}: {{notPorts: {ports}}}}}]")
        )
        net.expect(closed, opened)


def test_named_ports_of_datagrams_are_their_own(net: Net) -> None:
    net.bring(
        policy("p", "selector: all(), ingress: [{action: Allow, protocol: UDP, destination: {ports: [w0-port-udp]}}]")
    )
    net.expect("w1>w0:3000/udp w2>w0:3000/udp", "w1>w0:3000 w1>w0:3001/udp w0>w1:3000/udp")


def test_every_list_of_prefixes_denies_by_itself(net: Net) -> None:
    """Lists of either side, positive and negative, with ports: each alone decides, in every combination."""
    w0, w1 = (f'["{four}/32", "{six}/128"]' for four, six in map(net.addresses, ("w0", "w1")))
    elsewhere = '["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/64", "2001:db8:1::/64"]'
    fit = {"source": f"nets: {w1}, notNets: {elsewhere}, notPorts: [1]", "destination": f"nets: {w0}, ports: [80]"}
    net.bring(policy("p", f"selector: name == 'w0', ingress: [{_both(fit)}]"))
    net.expect("w1>w0", "w2>w0 w1>w0:81")
    for end, wrong in (
        ("source", f"nets: {elsewhere}"),
        ("source", f"nets: {w1}, notNets: {w1}"),
        ("destination", f"nets: {elsewhere}, ports: [80]"),
        ("destination", f"nets: {w0}, notNets: {w0}, ports: [80]"),
        ("destination", f"nets: {w0}, ports: [81]"),
        ("destination", f"nets: {w0}, ports: [80], notPorts: [80]"),
    ):
        net.bring(policy("p", f"selector: name == 'w0', ingress: [{_both(fit | {end: wrong})}]"))
        net.expect("", "w1>w0")


def _both(ends: dict[str, str]) -> str:
    sides = ", ".join(f"{end}: {{{match}}}" for end, match in ends.items())
    return f"{{action: Allow, protocol: TCP, {sides}}}"


def test_network_sets_follow_their_members(net: Net) -> None:
    (a0, b0), (a1, b1), (a2, b2) = map(net.addresses, ("w0", "w1", "w2"))
    rule = "{action: Allow, source: {selector: set == 'src'}, destination: {selector: set == 'dst'}}"
    allow = policy("p", f"selector: all(), ingress: [{rule}]")

    def nets(*addresses: str) -> str:
        return ", ".join(f'"{one}"' for one in addresses)

    net.bring(allow, sets(src=nets(a0, b0, a1, b1), dst=nets(a2, b2)))
    net.expect("w0>w2 w1>w2", "w3>w2 w0>w1 w2>w0")
    net.bring(allow, sets(src=nets(a0, b0), dst=nets(a2, b2, a1, b1)))
    net.expect("w0>w2 w0>w1", "w1>w2 w3>w1")
    net.bring(allow, sets(src=nets("0.0.0.0/0", "::/0", a0, b0), dst=nets(a2, b2)))
    net.expect("w3>w2 w0>w2", "w2>w3")
    net.bring(allow, sets(src=nets("10.0.0.0/8", "10.65.0.0/16", "fd00::/8"), dst=nets(a2, b2)))
    net.expect("w3>w2")
    net.bring(allow, sets(dst=nets(a2, b2)))
    net.expect("", "w0>w2 w3>w2")


def test_icmp_of_ipv6_may_be_denied_and_neighbours_are_found_all_the_same(net: Net) -> None:
    rules = "[{action: Deny, protocol: ICMPv6}, {action: Allow}]"
    net.bring(
        policy(
            "p", f"selector: all(), types: [Ingress, Egress], ingress: {rules}, egress: {rules}", "GlobalNetworkPolicy"
        )
    )
    net.expect("w0>w1 w0>w2 w3>w1/udp")


def test_nobody_sends_under_the_address_of_another_unless_an_operator_allows_it(net: Net) -> None:
    borrowed = net.addresses("w2")
    for allowed in (False, True):
        net.bring(net.endpoint("w0", spoofed=", ".join(f'"{one}"' for one in borrowed if allowed)))
        for family, own, other in zip((4, 6), net.addresses("w0"), borrowed, strict=True):
            assert net.arrives("w0", "w3", family, own)
            assert net.arrives("w0", "w3", family, other) == allowed


def test_two_hundred_sets_come_go_and_come_again(net: Net) -> None:
    many = [
        policy(
            f"p{number}",
            f"order: {number}, selector: all(), ingress: [{{action: Deny, source: {{selector: x == '{number}'}}}}]",
        )
        for number in range(200)
    ]
    last = policy("last", f"order: 1000, selector: all(), ingress: [{{action: Allow, {FROM_W1}}}]")
    for texts in ([*many, last], [last], [*many, last]):
        net.bring(*texts)
        net.expect("w1>w0 w1>w3", "w2>w0 w0>w1")
