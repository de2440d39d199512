"""Tables of service proxies and container runtimes beside ours: what we deny stays denied, and nobody's are touched.

Those that drop what they do not know are run themselves, see `test_coexistence_programs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

FOREIGN = Path(__file__).parent / "foreign"
OTHERS = sorted(path.stem for path in FOREIGN.glob("*.nft"))
CHANGE = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: change}
spec: {selector: role == 'server', order: 77, types: [Ingress], ingress: [{action: Allow, protocol: SCTP}]}
"""
CHANGE_KEY = ResourceKey("GlobalNetworkPolicy", "", "change")


@pytest.fixture(params=OTHERS)
def beside(settled: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """The first host with another program's tables, which go again."""
    name = request.param
    load(settled, name)
    yield settled
    remove(settled, name)


def remove(world: World, *names: str) -> None:
    for name in names:
        for table in tables(name):
            world.run("nft", "delete", "table", *table.split())
    world.delete(CHANGE_KEY)


def load(world: World, name: str) -> None:
    done = world.lab.exec("h1", ["nft", "-f", str(FOREIGN / f"{name}.nft")])
    assert done.returncode == 0, done.stderr


def tables(name: str) -> list[str]:
    return re.findall(r"^table (\S+ \S+)", (FOREIGN / f"{name}.nft").read_text(), re.MULTILINE)


def theirs(world: World) -> str:
    """Their tables with handles, which change whenever something is written; counters are left out."""
    known = (table for name in OTHERS for table in tables(name))
    return "".join(world.run("nft", "-s", "-a", "list", "table", *table.split()) for table in known)


def test_what_others_let_pass_we_still_judge(beside: World) -> None:
    for family in (4, 6):
        assert beside.reaches("client", "server", family)
        assert not beside.reaches("stranger", "server", family)


def test_tables_of_others_stay_as_they_are_byte_for_byte(settled: World) -> None:
    for name in OTHERS:
        load(settled, name)
    try:
        before = theirs(settled)
        settled.apply(CHANGE)
        settled.until(lambda: "sctp" in settled.ruleset(), "a policy is in force")
        settled.run("nft", "delete", "table", "inet", "tortie")
        settled.until(lambda: "sctp" in tables_of(settled), "our table is repaired")
        settled.kill()
        settled.start()
        assert theirs(settled) == before
    finally:
        remove(settled, *OTHERS)


def tables_of(world: World) -> str:
    return world.run("nft", "list", "ruleset")


def without_handles(ruleset: str) -> list[str]:
    """The table as text whose order and handles do not matter."""
    return sorted(line.split(" # handle")[0] for line in ruleset.splitlines())


def test_marks_of_others_outlive_our_policy(settled: World) -> None:
    load(settled, "kube-proxy")
    try:
        assert settled.reaches("client", "server")
        found = re.search(r"counter packets (\d+)", settled.run("nft", "list", "table", "ip", "kube-proxy"))
        assert found is not None and int(found[1]) > 0
    finally:
        remove(settled, "kube-proxy")


def test_after_a_flush_of_everything_ours_is_back_within_the_refresh(settled: World) -> None:
    before = without_handles(settled.ruleset())
    settled.run("nft", "flush", "ruleset")
    settled.until(lambda: "chain" in tables_of(settled), "the table is back", patience=1.5)
    assert without_handles(settled.ruleset()) == before
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")


LEFTOVERS = """
table inet tortie {
  set hosts4-s.leftover {
    type ipv4_addr
    elements = { 10.65.0.0 }
  }
  chain policy-in-leftover {
    ip saddr @hosts4-s.leftover counter drop
  }
  chain leftover {
    type filter hook forward priority -5; policy drop;
    jump policy-in-leftover
  }
}
table ip calico {
  chain cali-FORWARD {
    type filter hook forward priority 0;
    iifname "cali*" counter accept
  }
}
table ip nat {
  chain KUBE-SERVICES {
    ip daddr 10.96.0.1 tcp dport 443 counter dnat to 192.0.2.1:6443
  }
}
"""


def test_leftovers_in_our_table_go_at_the_start_and_tables_of_others_stay(settled: World, tmp_path: Path) -> None:
    before = without_handles(settled.ruleset())
    (tmp_path / "leftovers.nft").write_text(LEFTOVERS)
    settled.stop()
    settled.run("nft", "-f", str(tmp_path / "leftovers.nft"))
    others = [settled.run("nft", "-s", "-a", "list", "table", "ip", name) for name in ("calico", "nat")]
    try:
        assert not settled.reaches("client", "server"), "what was left is in force"
        settled.start()
        assert settled.reaches("client", "server")
        assert not settled.reaches("stranger", "server")
        assert without_handles(settled.ruleset()) == before
        assert [settled.run("nft", "-s", "-a", "list", "table", "ip", name) for name in ("calico", "nat")] == others
    finally:
        for name in ("calico", "nat"):
            settled.run("nft", "delete", "table", "ip", name)
