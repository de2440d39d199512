"""iptables-nft, firewalld and Docker themselves beside ours: what they accept and drop, and what we do, is for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.probe.model import Probe

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent)
    from foreign.programs import FIREWALL, Place, docker, firewalld, iptables

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(180)]

COMMANDS = {4: "iptables", 6: "ip6tables"}
DOCKER_RULES = Path(__file__).parent / "foreign" / "docker.rules"
CHANGE = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: change}
spec: {selector: role == 'server', order: 77, types: [Ingress], ingress: [{action: Allow, protocol: SCTP}]}
"""
CHANGE_KEY = ResourceKey("GlobalNetworkPolicy", "", "change")


@pytest.fixture
def own_rules(settled: World) -> Iterator[World]:
    """All tables of others go again; ours is as it was."""
    before = settled.ruleset()
    yield settled
    for line in settled.run("nft", "list", "tables").splitlines():
        if "inet tortie" not in line:
            settled.run("nft", "delete", *line.split())
    assert settled.ruleset() == before, "ours was not written"


def passing(world: World) -> dict[int, tuple[bool, bool]]:
    """By family: whether what our policy allows arrives, and what it denies."""
    return {
        family: (world.reaches("client", "server", family), world.reaches("stranger", "server", family))
        for family in (4, 6)
    }


NOTHING = {4: (False, False), 6: (False, False)}
AS_WE_SAY = {4: (True, False), 6: (True, False)}


def test_what_iptables_accepts_we_judge_and_what_it_drops_is_dropped(own_rules: World, tmp_path: Path) -> None:
    place = iptables(own_rules.lab.namespace("h1"), tmp_path)
    for command in COMMANDS.values():
        place.run(command, "-I", "FORWARD", "-j", "ACCEPT")
        place.run(command, "-t", "mangle", "-A", "PREROUTING", "-j", "MARK", "--set-mark", "0x4000")
    assert passing(own_rules) == AS_WE_SAY
    for command in COMMANDS.values():
        place.run(command, "-R", "FORWARD", "1", "-i", "eth0", "-j", "DROP")
    assert passing(own_rules) == NOTHING
    for command in COMMANDS.values():
        place.run(command, "-P", "FORWARD", "DROP")
        place.run(command, "-F", "FORWARD")
    assert passing(own_rules) == NOTHING
    for command in COMMANDS.values():
        place.run(command, "-I", "FORWARD", "-i", "cali+", "-j", "ACCEPT")
        place.run(command, "-I", "FORWARD", "-o", "cali+", "-j", "ACCEPT")
    assert passing(own_rules) == AS_WE_SAY


def test_neither_we_nor_iptables_see_a_difference_in_what_is_the_others(settled: World, tmp_path: Path) -> None:
    place = iptables(settled.lab.namespace("h1"), tmp_path)
    place.run("iptables-restore", given=DOCKER_RULES.read_text())
    theirs, ours = place.run("iptables-save"), settled.ruleset()
    try:
        place.run("iptables-restore", given=DOCKER_RULES.read_text())
        assert settled.ruleset() == ours, "iptables-restore empties its own tables alone"
        settled.apply(CHANGE)
        settled.until(lambda: "sctp" in settled.ruleset(), "a policy is in force")
        settled.run("nft", "delete", "table", "inet", "tortie")
        settled.until(lambda: "sctp" in settled.run("nft", "list", "ruleset"), "our table is repaired")
        settled.kill()
        settled.start()
        assert without_counts(place.run("iptables-save")) == without_counts(theirs)
    finally:
        settled.delete(CHANGE_KEY)
        settled.until(lambda: "sctp" not in settled.ruleset(), "the policy is gone")
        for table in ("filter", "nat"):
            settled.run("nft", "delete", "table", "ip", table)


def without_counts(saved: str) -> list[str]:
    return [line.split(" [")[0] for line in saved.splitlines() if not line.startswith("#")]


def test_rules_that_docker_wrote_let_pass_what_its_operator_allows(own_rules: World, tmp_path: Path) -> None:
    place = iptables(own_rules.lab.namespace("h1"), tmp_path)
    place.run("iptables-restore", given=DOCKER_RULES.read_text())
    assert passing(own_rules) == {4: (False, False), 6: (True, False)}
    allow_in_docker(place)
    assert passing(own_rules) == AS_WE_SAY


def allow_in_docker(place: Place) -> None:
    for end in ("-i", "-o"):
        place.run("iptables", "-I", "DOCKER-USER", end, "cali+", "-j", "ACCEPT")


REMEDY = """--permanent --zone=trusted --add-interface=cali+
--permanent --new-policy=workloads
--permanent --policy=workloads --add-ingress-zone=ANY
--permanent --policy=workloads --add-egress-zone=trusted
--permanent --policy=workloads --set-target=ACCEPT
--permanent --add-port=8080/tcp
--reload"""
"""A zone alone lets out what workloads send; what is for them comes from another zone, which takes a policy."""


def test_firewalld_rejects_until_a_zone_has_the_interfaces_of_workloads(own_rules: World, tmp_path: Path) -> None:
    world = own_rules
    world.lab.prober.listen("h1", 8080)
    to_host = Probe("h2", world.lab.topology.host("h1").address(4), port=8080)
    with firewalld(world.lab.namespace("h1"), tmp_path) as place:
        assert passing(world) == NOTHING
        assert not world.lab.probe(to_host)[0].allowed, "the host itself is behind its public zone"
        for line in REMEDY.splitlines():
            place.run(*FIREWALL, *line.split())
        assert passing(world) == AS_WE_SAY
        assert world.lab.probe(to_host)[0].allowed
        place.run(*FIREWALL, "--panic-on")
        assert passing(world) == NOTHING
        place.run(*FIREWALL, "--panic-off")
        assert passing(world) == AS_WE_SAY
    assert "firewalld" not in world.run("nft", "list", "tables"), "it took its own table away"
    assert passing(world) == AS_WE_SAY


@pytest.mark.soak
def test_docker_that_switched_forwarding_on_drops_until_its_operator_lets_workloads_be(
    own_rules: World, tmp_path: Path
) -> None:
    own_rules.stop()
    own_rules.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    with docker(own_rules.lab.namespace("h1"), tmp_path) as place:
        own_rules.start()
        assert passing(own_rules) == NOTHING
        allow_in_docker(place)
        for end in ("-i", "-o"):
            place.run("ip6tables", "-I", "FORWARD", end, "cali+", "-j", "ACCEPT")
        assert passing(own_rules) == AS_WE_SAY
        place.run("docker", "network", "create", "other")
        assert passing(own_rules) == AS_WE_SAY
