"""`calicoctl get`: the tables that scripts cut apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.api.kinds import KINDS
from tortie.cli.calicoctl import calicoctl
from tortie.cli.calicoctl_tables import COLUMNS, VALUES

Run = Callable[..., Result]

EVERYTHING = """
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {order: 7.5, selector: role == 'db'}
---
kind: NetworkPolicy
metadata: {name: web}
spec: {}
---
kind: IPPool
metadata: {name: blue}
spec: {cidr: 10.0.0.0/16, natOutgoing: true}
---
kind: Node
metadata: {name: n1}
spec: {bgp: {ipv4Address: 10.0.0.1/24, asNumber: 64999}}
---
kind: Node
metadata: {name: n2}
spec: {}
---
kind: BGPPeer
metadata: {name: edge}
spec: {peerIP: 192.0.2.1, asNumber: 64512}
---
kind: BGPConfiguration
metadata: {name: default}
spec: {nodeToNodeMeshEnabled: false}
---
kind: BGPFilter
metadata: {name: none}
spec: {exportV4: [{action: Reject}], exportV6: [{action: Reject}]}
---
kind: HostEndpoint
metadata: {name: n1-eth0}
spec: {node: n1, interfaceName: eth0, expectedIPs: [10.0.0.1, 10.0.0.2]}
---
kind: GlobalNetworkSet
metadata: {name: many}
spec: {nets: [10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, 10.5.0.0/16, 10.6.0.0/16, 10.7.0.0/16, 10.8.0.0/16]}
---
kind: Profile
metadata: {name: kns.shop}
spec: {labelsToApply: {b: "2", a: "1"}}
---
kind: WorkloadEndpoint
metadata: {name: n1-k8s-pod-eth0, namespace: shop}
spec: {node: n1, orchestrator: k8s, pod: pod, endpoint: eth0, ipNetworks: [10.0.0.9/32], interfaceName: cali1}
---
kind: IPReservation
metadata: {name: first}
spec: {reservedCIDRs: [10.0.0.0/30]}
---
kind: IPAMConfiguration
metadata: {name: default}
spec: {strictAffinity: true}
---
kind: CalicoNodeStatus
metadata: {name: n1}
spec: {node: n1, classes: [Agent, BGP], updatePeriodSeconds: 10}
---
kind: FelixConfiguration
metadata: {name: default}
spec: {}
""".replace("kind:", "apiVersion: projectcalico.org/v3\nkind:")


@pytest.fixture
def ctl(tmp_path: Path) -> Run:
    def invoke(*arguments: str, text: str | None = None) -> Result:
        environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
        return CliRunner().invoke(calicoctl, list(arguments), input=text, env=environment)

    assert invoke("apply", "-f", "-", text=EVERYTHING).exit_code == 0
    return invoke


def test_every_kind_has_calicoctls_columns(ctl: Run) -> None:
    def rows(*words: str) -> list[list[str]]:
        *lines, last = ctl("get", *words).stdout.splitlines()
        assert last == ""
        return [line.split() for line in lines]

    assert rows("np", "-n", "shop") == [["NAMESPACE", "NAME", "TIER"], ["shop", "db", "default"]]
    assert rows("np") == [["NAME", "TIER"], ["web", "default"]]
    assert rows("np", "-a", "-o", "wide") == [
        ["NAMESPACE", "NAME", "TIER", "ORDER", "SELECTOR"],
        ["default", "web", "default", "<nil>"],
        ["shop", "db", "default", "7.5", "role", "==", "'db'"],
    ]
    assert rows("ippool", "-o", "wide") == [
        ["NAME", "CIDR", "NAT", "IPIPMODE", "VXLANMODE", "DISABLED", "DISABLEBGPEXPORT", "SELECTOR"],
        ["blue", "10.0.0.0/16", "true", "Never", "Never", "false", "false", "all()"],
    ]
    assert rows("nodes") == [["NAME"], ["n1"], ["n2"]]
    assert rows("nodes", "-o", "wide")[1:] == [["n1", "64999", "10.0.0.1/24"], ["n2"]]
    assert rows("bgppeer")[1] == ["edge", "192.0.2.1", "(global)", "64512"]
    assert rows("bgpconfig")[1] == ["default", "Info", "false", "-"]
    assert rows("bgpfilter")[1] == ["none", "2", "0"]
    assert rows("hep", "-o", "wide")[1] == ["n1-eth0", "n1", "eth0", "10.0.0.1,10.0.0.2"]
    assert rows("profile", "kns.shop", "-o", "wide")[1] == ["kns.shop", "a=1,b=2"]
    assert rows("wep", "-n", "shop")[1] == ["shop", "pod", "n1", "10.0.0.9/32", "cali1"]
    assert rows("ipreservation", "-o", "wide")[1] == ["first", "10.0.0.0/30"]
    assert rows("ipamconfig", "-o", "wide")[1] == ["default", "false", "true", "0"], "what is in force, not the copy"
    assert rows("caliconodestatus", "-o", "wide")[1] == ["n1", "n1", "Agent,BGP"]
    assert rows("felixconfig") == [["NAME"], ["default"]]
    assert rows("clusterinfo")[1][-1] == "true"
    assert ["default", "1e+06"] in rows("tier")
    assert ["kube-admin", "1000"] in rows("tier")


def test_a_list_of_nothing_is_its_headings_alone(ctl: Run) -> None:
    result = ctl("get", "networksets", "-A")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines()] == [["NAMESPACE", "NAME"], []]
    both = ctl("get", "netset,ippool")
    assert [line.split()[:1] for line in both.stdout.splitlines()] == [["NAME"], [], ["NAME"], ["blue"], []]
    missing = ctl("get", "netset", "none")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert json.loads(ctl("get", "netset", "-o", "json").stdout)["items"] == []


def test_long_lists_of_prefixes_are_cut(ctl: Run) -> None:
    (net,) = [line.split()[1] for line in ctl("get", "gns", "-o", "wide").stdout.splitlines()[1:2]]
    assert len(net) == 80
    assert net.endswith("...")


def test_columns_may_be_chosen_by_their_headings_or_paths(ctl: Run) -> None:
    assert ctl("get", "np", "-o", "custom-columns=name,order").stdout.splitlines()[1].split() == ["web", "<nil>"]
    assert ctl("get", "np", "-o", "custom-columns=A:.metadata.name").stdout.splitlines()[1].split() == ["web"]
    assert ctl("get", "np", "-o", "custom-columns=NAEM").exit_code == 1
    assert ctl("get", "np", "-o", "nonsense").exit_code == 1


def test_every_column_is_of_a_kind_and_known() -> None:
    assert set(COLUMNS) <= set(KINDS)
    assert {name for pair in COLUMNS.values() for text in pair for name in text.split()} <= set(VALUES)
