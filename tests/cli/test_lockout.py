"""Nothing that locks somebody out of a host is written without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.api.bgp import BGPPeer, BGPPeerSpec
from tortie.api.node import Node, NodeBGP, NodeSpec
from tortie.api.resource import Metadata
from tortie.base.addresses import Cidr
from tortie.cli import lockout
from tortie.cli.lockout import lifelines, ssh_clients
from tortie.cli.main import tortie

Run = Callable[..., Result]

NODES = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1, labels: {rack: a}}
spec: {bgp: {ipv4Address: 192.0.2.1/24, ipv6Address: "2001:db8::1/64"}, orchRefs: [{nodeName: n1, orchestrator: k8s}]}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n2}
spec: {bgp: {ipv4Address: 192.0.2.2/24}}
"""
WILDCARD = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-all, labels: {host: n1}}
spec: {node: n1, interfaceName: "*"}
"""
LET_IN = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: admin}
spec:
  selector: host == 'n1'
  types: [Ingress, Egress]
  ingress: [{action: Allow, protocol: TCP, source: {nets: [198.51.100.0/24]}, destination: {ports: [22]}}]
  egress: [{action: Allow}]
"""
NO_FAILSAFES = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {failsafeInboundHostPorts: [], failsafeOutboundHostPorts: []}
"""


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text("nameserver 192.0.2.53\nnameserver 127.0.0.53\n")
    monkeypatch.setattr(lockout, "RESOLVERS", resolvers)
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 40000 192.0.2.1 22")


def test_an_endpoint_that_shuts_its_host_is_refused_with_everyone_it_cuts(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    refused = run("apply", "-f", "-", text=WILDCARD)
    assert refused.exit_code == 1
    assert "node n1: the kubelet from n2" in refused.output
    assert "node n1: BGP" not in refused.output, "failsafe ports stay open"
    assert "node n1: SSH" not in refused.output
    assert "--confirm 60s, or insist with --force" in refused.output
    assert "no hostendpoints" in run("get", "hostendpoints").output


def test_without_failsafes_everyone_is_cut(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    assert run("apply", "-f", "-", "--force", text=WILDCARD).exit_code == 0
    refused = run("apply", "-f", "-", text=NO_FAILSAFES)
    assert refused.exit_code == 1
    for lost in ("SSH from 198.51.100.7", "BGP from n2", "BGP to n2", "the name server 192.0.2.53"):
        assert f"node n1: {lost}" in refused.output
    assert "node n2" not in refused.output


def test_what_lets_in_by_itself_may_lose_its_failsafes(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    assert run("apply", "-f", "-", "--force", text=WILDCARD + "---" + LET_IN).exit_code == 0
    refused = run("apply", "-f", "-", text=NO_FAILSAFES)
    assert "BGP from n2" in refused.output
    assert "SSH" not in refused.output
    assert "name server" not in refused.output


@pytest.mark.parametrize(
    "words",
    [
        ("delete", "gnp", "admin"),
        ("patch", "gnp", "admin", "-p", '{"spec": {"ingress": []}}'),
        ("label", "hep", "n1-all", "host=other", "--overwrite"),
    ],
)
def test_every_way_to_change_is_looked_at(run: Run, words: tuple[str, ...]) -> None:
    run("apply", "-f", "-", "--force", text="---".join((NODES, WILDCARD, LET_IN, NO_FAILSAFES)))
    refused = run(*words)
    assert refused.exit_code == 1, refused.output
    assert "SSH from 198.51.100.7, where this session comes from" in refused.output
    assert run(*words, "--force").exit_code == 0


def test_a_trial_tells_and_goes_on(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    absent = ("--without", "n1", "--without", "n2")
    done = run("apply", "-f", "-", "--confirm", "60s", *absent, "--check", "true", text=WILDCARD)
    assert done.exit_code == 0, done.output
    assert "on trial: would cut node n1: the kubelet from n2" in done.output


def test_calicoctl_is_warned_and_not_refused(run: Run, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=NODES)
    environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    done = CliRunner().invoke(tortie, ["calicoctl", "apply", "-f", "-"], input=WILDCARD, env=environment)
    assert done.exit_code == 0
    assert "the kubelet from n2" in done.output


def test_a_dry_run_tells(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    assert "the kubelet from n2" in run("apply", "-f", "-", "--dry-run", text=WILDCARD).output


def test_policy_for_workloads_alone_is_not_looked_at(run: Run) -> None:
    run("apply", "-f", "-", text=NODES)
    assert run("apply", "-f", "-", text=LET_IN).exit_code == 0, "no host endpoint is there"


def test_ends_of_connections_are_found() -> None:
    assert list(ssh_clients("2001:db8::9%eth0 1 2001:db8::1 22")) == [Cidr.host("2001:db8::9")]
    assert list(ssh_clients("")) == []


def test_routers_are_lifelines() -> None:
    node = Node(metadata=Metadata(name="n1"), spec=NodeSpec(bgp=NodeBGP(ipv4_address="192.0.2.1/24")))
    peers = [
        BGPPeer(metadata=Metadata(name=str(number)), spec=BGPPeerSpec(peer_ip=text, as_number=64512, node=of))
        for number, (text, of) in enumerate((("192.0.2.9:1179", ""), ("[2001:db8::9]:179", "n1"), ("192.0.2.8", "n2")))
    ]
    assert {one.what for one in lifelines([node, *peers]) if one.port == 179} == {"BGP to 192.0.2.9"}
