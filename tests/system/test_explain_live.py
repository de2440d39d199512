"""`tortie explain --live`: what is explained is sent and watched; a kernel that does otherwise is told loudly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tortie.analysis.checks import Demand, Statement, Traffic
from tortie.analysis.who import read_service
from tortie.cli.inputs import Input
from tortie.cli.live import CONTRADICTED
from tortie.cli.live_checks import check_live
from tortie.cli.snapshot import compiled, stored_resources
from tortie.cli.telling import DENIED, Telling, explained, tell_live
from tortie.lab.cluster import location

if TYPE_CHECKING:
    from conftest import World

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

OTHERS = """
table inet foreign {
  chain before { type filter hook forward priority -300; policy accept; tcp dport 80 drop; }
}
"""


def tell(world: World, source: str, to: str, service: str, output: str = "") -> int:
    ends = (world.address(source), world.address(to))
    found = explained(ends, read_service(service), Input(()), location(world.lab.topology), offline=False)
    return tell_live(world.lab, found, Telling(lab=world.lab.topology.name, output=output))


def test_the_kernel_does_as_is_explained(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(world, "client", "server", "80") == 0
    told = capsys.readouterr().out
    assert "the kernel does as was explained" in told
    assert "h1: ingress of default/" in told
    assert "Allow by GlobalNetworkPolicy server[0]" in told
    assert "counted on h1: GlobalNetworkPolicy server ingress[0]: 1" in told
    assert f"conntrack of h1: {world.address('client')} → {world.address('server')}, protocol 6" in told
    assert tell(world, "stranger", "server", "443", "json") == DENIED
    (one,) = json.loads(capsys.readouterr().out)
    assert one["live"]["gotThrough"] is False
    assert one["live"]["contradictions"] == []


def test_whoever_stands_in_the_way_is_told_loudly(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = tmp_path_factory.mktemp("nft") / "others.nft"
    rules.write_text(OTHERS)
    world.run("nft", "-f", str(rules))
    try:
        assert tell(world, "client", "server", "80") == CONTRADICTED
    finally:
        world.run("nft", "delete", "table", "inet", "foreign")
    told = capsys.readouterr().out
    assert "!! THE KERNEL DOES OTHERWISE THAN WAS EXPLAINED: explained: allowed; the packet did not get through" in told
    assert "look for others" in told


def test_what_cannot_be_sent_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(
        ("203.0.113.1", world.address("server")),
        read_service("80"),
        Input(()),
        location(world.lab.topology),
        offline=False,
    )
    assert tell_live(world.lab, found, Telling(lab="x")) == DENIED
    assert "seen in the lab\n  nothing: there is no 203.0.113.1 in lab" in capsys.readouterr().out


def test_statements_are_put_to_the_kernel(world: World) -> None:
    cluster = compiled(stored_resources(location(world.lab.topology)))

    def held(demand: Demand, source: str, to: str, port: str) -> str:
        traffic = Traffic(source, to, port)
        return check_live(world.lab, cluster, Statement("it", demand, traffic), "default").against

    assert held(Demand.ALWAYS, "default/client", "default/server", "80/tcp") == ""
    assert held(Demand.NEVER, "role == 'stranger'", "default/server", "any") == ""
    assert held(Demand.ONLY, "role == 'client'", "default/server", "53/udp") == ""
    text = "default/h2-k8s-client-eth0 → default/h1-k8s-server-eth0: TCP 80 gets through in the lab"
    assert held(Demand.NEVER, "default/client", "default/server", "80/tcp") == text
    assert held(Demand.ALWAYS, "default/stranger", "default/server", "icmp").endswith("does not get through in the lab")
    assert "outside" in held(Demand.NEVER, "outside", "default/server", "80")
    assert "names nobody" in held(Demand.NEVER, "default/none", "default/server", "80")
