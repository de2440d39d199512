"""`tortie explain A B`: from files and from the datastore, for people, machines and scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-client-eth0, namespace: shop, labels: {app: client}}
spec: {node: n, orchestrator: k8s, pod: client, endpoint: eth0, interfaceName: cali1,
       ipNetworks: [10.0.0.1/32], profiles: [kns.shop]}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-web-eth0, namespace: shop, labels: {app: web}}
spec: {node: n, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali2,
       ipNetworks: [10.0.0.2/32], profiles: [kns.shop]}
"""
POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80]}}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    cluster, policy = tmp_path / "cluster.yaml", tmp_path / "policy.yaml"
    cluster.write_text(CLUSTER)
    policy.write_text(POLICY)
    return str(cluster), str(policy)


def test_files_alone_are_enough(run: Run, files: tuple[str, str]) -> None:
    options = ("-f", files[0], "-f", files[1], "--offline")
    denied = run("explain", "shop/client", "→", "shop/web", "443/tcp", *options)
    assert denied.exit_code == 4
    assert "TCP 443: DENIED\nbetween these two gets through: TCP 80\n" in denied.output
    assert "- ingress[0] Allow: destination port is 443, not 80" in denied.output
    assert "* let NetworkPolicy shop/web ingress[0] match" in denied.output
    allowed = run("explain", "shop/client", "shop/web", "--port", "80", *options)
    assert allowed.exit_code == 0, allowed.output
    assert "✓ ingress[0] Allow: matches" in allowed.output


def test_files_stand_in_the_place_of_what_is_stored(run: Run, files: tuple[str, str]) -> None:
    assert run("apply", "-f", files[0]).exit_code == 0
    assert run("explain", "shop/client", "shop/web", "443").exit_code == 0
    assert run("explain", "shop/client", "shop/web", "443", "-f", files[1]).exit_code == 4
    assert run("explain", "shop/client", "shop/web", "443").exit_code == 0


def test_machines_get_all_of_it(run: Run, files: tuple[str, str]) -> None:
    run("apply", "-f", files[0], "-f", files[1])
    (found,) = json.loads(run("explain", "client", "web", "53/udp", "-n", "shop", "-o", "json").stdout)
    assert (found["verdict"], found["packet"], found["allowed"]) == ("Deny", "UDP 53", "TCP 80")
    assert found["directions"][1]["policies"][0]["rules"][0]["why"] == [
        "protocol is 17, not 6",
        "destination port is 53, not 80",
    ]


def test_what_cannot_be_meant_is_told(run: Run, files: tuple[str, str]) -> None:
    run("apply", "-f", files[0])
    nobody = run("explain", "shop/nobody", "shop/web", "80")
    assert nobody.exit_code == 1
    assert "shop/nobody: names nobody in this cluster" in nobody.output
    assert "port and protocol" in run("explain", "shop/client", "shop/web", "80/x").output
    assert run("explain", "a", "b", "80", "c").exit_code == 2


def test_a_kind_is_explained_as_before(run: Run) -> None:
    assert run("explain", "pools").output.startswith("GROUP:      projectcalico.org\nKIND:       IPPool\n")
    assert "    cidr <string>" in run("explain", "ippool", "-r").output


def test_the_way_from_host_to_host_is_told(run: Run, files: tuple[str, str], tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(
        """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n}
spec: {bgp: {ipv4Address: 172.16.0.1/24}}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.0.0.0/16, natOutgoing: true}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {natOutgoingAddress: 192.0.2.1}
"""
    )
    assert run("apply", "-f", files[0], "-f", str(hosts)).exit_code == 0
    found = run("explain", "shop/client", "198.51.100.1", "80", "-f", files[1])
    assert found.exit_code == 0, found.output
    assert (
        "the way of the packet\n"
        "  n: from cali1\n"
        "      198.51.100.1 is none of the cluster's: by the host's own routes\n"
        "      source 10.0.0.1 becomes 192.0.2.1 (outgoing translation)\n"
        "unknown: 198.51.100.1: nobody of this cluster\n"
        "unknown: what becomes of it in the network outside of the cluster\n"
    ) in found.output
    (told,) = json.loads(run("explain", "shop/client", "198.51.100.1", "80", "-o", "json").stdout)
    assert told["way"][0]["then"][1] == "source 10.0.0.1 becomes 192.0.2.1 (outgoing translation)"


def test_the_member_that_matched_is_told(run: Run, files: tuple[str, str]) -> None:
    found = run("explain", "shop/client", "shop/web", "80", "-f", files[0], "-f", files[1], "--offline")
    assert 'ingress[0] Allow: matches (source 10.0.0.1 is a member of (projectcalico.org/namespace == "shop" && ' in (
        found.output
    )
