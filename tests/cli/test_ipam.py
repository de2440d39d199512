"""`tortie ipam` on real records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from click.testing import Result

from tortie.base.clock import SystemClock
from tortie.cli import ipam
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest

Run = Callable[..., Result]

CLUSTER = """
{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n1}}
---
{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n2}}
---
{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: pool}, spec: {cidr: 10.0.0.0/24}}
"""

ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-web-eth0, namespace: shop}
spec:
  {orchestrator: k8s, node: n1, pod: web, endpoint: eth0, containerID: c1, interfaceName: cali1,
   ipNetworks: [ADDRESS/32]}
"""


@pytest.fixture
def assign(tmp_path: Path) -> Callable[[str], str]:
    """Takes an address for a handle."""

    async def take(handle: str) -> str:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        request = AssignRequest(node="n1", num4=1, handle=handle, attributes={"node": "n1", "pod": "web"})
        given = await Allocator(datastore, SystemClock(), Random(1)).auto_assign(request)
        await datastore.close()
        return given.v4[0].text

    return lambda handle: asyncio.run(take(handle))


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[[str], None]:
    """Puts something under a key that is no resource."""

    async def put(key: str) -> None:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        await datastore.put(key, b'{"kind": "WorkloadEndpoint", "spec": {"node": 7}, "strict_affinity": 7}')
        await datastore.close()

    return lambda key: asyncio.run(put(key))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipam, "READINGS_APART_SECONDS", 0)


@pytest.fixture
def used(run: Run, assign: Callable[[str], str]) -> str:
    """An address that an endpoint uses."""
    assert run("apply", "-f", "-", text=CLUSTER).exit_code == 0
    address = assign("net.c1")
    assert run("apply", "-f", "-", text=ENDPOINT.replace("ADDRESS", address)).exit_code == 0
    return address


def test_usage_is_shown_by_pool_and_block(run: Run, used: str) -> None:
    lines = run("ipam", "show").output.splitlines()
    assert lines[0].split("   ")[0] == "GROUPING"
    assert lines[1].split() == ["IP", "Pool", "10.0.0.0/24", "256", "1", "(0%)", "255", "(99%)", "0"]
    blocks = run("ipam", "show", "--show-blocks").output.splitlines()
    assert blocks[2].split()[:1] == ["Block"]
    assert blocks[2].split()[3:] == ["1", "(1%)", "63", "(98%)", "0"]
    (pool,) = json.loads(run("ipam", "show", "--show-blocks", "-o", "json").output)
    assert (pool["pool"], pool["inUse"], pool["free"], pool["coolingDown"]) == ("pool", 1, 255, 0)
    assert [(block["inUse"], block["free"]) for block in pool["blocks"]] == [(1, 63)]


def test_one_address_tells_who_holds_it_and_who_uses_it(run: Run, used: str) -> None:
    text = run("ipam", "show", "--ip", used).output
    assert f"{used} is in use, in pool pool" in text
    assert "Used by WorkloadEndpoint shop/n1-k8s-web-eth0" in text
    assert "handle: net.c1" in text
    assert "pod: web" in text
    assert run("ipam", "show", "--ip", "192.0.2.1").output == "192.0.2.1 is not assigned, in no pool\n"
    assert run("ipam", "show", "--ip", "web").exit_code == 1


def test_an_address_tells_its_history_in_one_screen(
    run: Run, used: str, assign: Callable[[str], str], tmp_path: Path
) -> None:
    text = run("ipam", "show", used).output
    assert "Held by pod web on node n1\nSince 20" in text
    assert "Because a workload was attached by CNI\nUsed by WorkloadEndpoint shop/n1-k8s-web-eth0" in text
    assert "Nobody held it before, since its block was made." in text
    run("delete", "workloadendpoint", "n1-k8s-web-eth0", "-n", "shop")
    assert "Used by nothing that is known" in run("ipam", "show", used).output
    run("ipam", "configure", "--ip-cooldown-seconds=1")
    assert run("ipam", "release", "--ip", used).exit_code == 0
    freed = run("ipam", "show", used).output
    assert "is not assigned, and cooling down since 20" in freed
    before = freed.splitlines()[freed.splitlines().index("Before:") + 1 :]
    assert before[0].split() == ["SINCE", "RELEASED", "HELD", "BY", "HANDLE"]
    assert before[1].endswith("pod web on node n1   net.c1")
    plain = json.loads(run("ipam", "show", used, "-o", "json").output)
    assert [tenure["attributes"]["handle"] for tenure in plain["before"]] == ["net.c1"]
    assert plain["before"][0]["releasedAt"].startswith("20")

    async def compact() -> None:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        await datastore.compact((await datastore.list("")).revision)
        await datastore.close()

    asyncio.run(compact())
    assert "the datastore has forgotten" in run("ipam", "show", used).output


def test_usage_is_counted_by_pool_node_and_namespace(run: Run, used: str) -> None:
    text = run("ipam", "usage").output
    assert [line.split() for line in text.splitlines()] == [
        ["POOL", "CIDR", "BLOCKS", "IPS", "TOTAL", "IN", "USE", "COOLING", "DOWN", "RESERVED", "FREE", "USED"],
        ["pool", "10.0.0.0/24", "1", "256", "1", "0", "0", "255", "0%"],
        [],
        ["NODE", "FAMILY", "BLOCKS", "IPS", "TOTAL", "IN", "USE", "BORROWED", "LENT", "FREE"],
        ["n1", "IPv4", "1", "64", "1", "0", "0", "63"],
        [],
        ["NAMESPACE", "FAMILY", "IN", "USE"],
        ["-", "IPv4", "1"],
    ]
    (node,) = json.loads(run("ipam", "usage", "--by", "node", "-o", "json").output)
    assert (node["node"], node["inUse"], node["free"]) == ("n1", 1, 63)
    assert set(json.loads(run("ipam", "usage", "-o", "json").output)) == {"pool", "node", "namespace"}


def test_addresses_that_cool_down_are_told_apart_from_those_in_use(run: Run, used: str) -> None:
    assert run("ipam", "configure", "--ip-cooldown-seconds=3600").exit_code == 0
    assert run("ipam", "release", "--ip", used, "--force").exit_code == 0
    assert run("ipam", "show").output.splitlines()[1].split()[4:] == ["0", "(0%)", "255", "(99%)", "1"]
    (pool,) = json.loads(run("ipam", "show", "-o", "json").output)
    assert (pool["inUse"], pool["coolingDown"], pool["free"]) == (0, 1, 255)
    assert f"{used} is not assigned, and cooling down since 20" in run("ipam", "show", "--ip", used).output
    assert json.loads(run("ipam", "show", "--ip", used, "-o", "json").output)["state"] == "cooling down"
    run("delete", "workloadendpoint", "n1-k8s-web-eth0", "-n", "shop")
    checked = run("ipam", "check", "--show-all-ips")
    assert checked.exit_code == 0
    assert "0 addresses held, 1 cooling down," in checked.output
    assert "nobody, cooling down since 20" in checked.output


def test_of_a_block_that_cannot_be_read_nothing_is_claimed(run: Run, used: str, spoil: Callable[[str], None]) -> None:
    key = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.128-26"
    spoil(key)
    shown = run("ipam", "show", "--ip", used)
    assert shown.exit_code == 1
    assert f"{used} may be in use or not, in pool pool" in shown.output
    assert f"is stored under {key}, but cannot be read" in shown.output
    assert json.loads(run("ipam", "show", "--ip", used, "-o", "json").output)["state"] == "unknown"
    usage = run("ipam", "show", "--show-blocks").output
    assert usage.splitlines()[1].split()[4:] == ["0", "(0%)", "192", "(75%)", "0", "64"]
    assert f"is stored under {key}, but cannot be read" in usage
    checked = run("ipam", "check")
    assert checked.exit_code == 1
    assert key in checked.output
    assert "do not delete it" in checked.output
    assert "release the affinity" not in checked.output
    assert "found 1 problems" in checked.output
    released = run("ipam", "release", "--ip", used, "--force")
    assert released.exit_code == 1
    assert f"is stored under {key}, but cannot be read" in released.output


def test_settings_that_cannot_be_read_say_so_and_are_written_anew(
    run: Run, used: str, spoil: Callable[[str], None], assign: Callable[[str], str]
) -> None:
    spoil("/calico/ipam/v2/config")
    shown = run("ipam", "show", "--show-configuration")
    assert shown.exit_code == 1
    assert "is stored under /calico/ipam/v2/config, but cannot be read" in shown.output
    assert "write the settings anew with `tortie ipam configure`" in shown.output
    healed = run("ipam", "configure", "--strictaffinity=true")
    assert healed.exit_code == 0, healed.output
    assert "warning: the settings that were stored could not be read" in healed.stderr
    assert "StrictAffinity                 true" in run("ipam", "show", "--show-configuration").output
    assert assign("net.c2")


def test_settings_are_shown_and_changed_and_contradictions_refused(run: Run) -> None:
    assert run("ipam", "configure", "--strictaffinity=true", "--max-blocks-per-host=4").exit_code == 0
    shown = run("ipam", "show", "--show-configuration").output
    assert "StrictAffinity                 true" in shown
    assert "MaxBlocksPerHost               4" in shown
    refused = run("ipam", "configure", "--strictaffinity=false")
    assert refused.exit_code == 1
    assert "maxBlocksPerHost needs strict_affinity" in refused.output
    assert run("ipam", "configure").exit_code == 2


def test_sound_records_pass(run: Run, used: str) -> None:
    result = run("ipam", "check")
    assert result.exit_code == 0
    assert result.output.endswith("Check complete; found 0 problems.\n")
    assert used in run("ipam", "check", "--show-all-ips").output


def test_a_leak_is_reported_and_released_from_the_report(
    run: Run, used: str, assign: Callable[[str], str], tmp_path: Path
) -> None:
    leaked = assign("net.gone")
    report = tmp_path / "report.json"
    result = run("ipam", "check", "-o", str(report))
    assert result.exit_code == 1
    assert "leaked-address" in result.output
    assert [leak["address"] for leak in json.loads(report.read_text())["leaks"]] == [leaked]

    unlocked = run("ipam", "release", "--from-report", str(report))
    assert unlocked.exit_code == 1
    assert "tortie datastore migrate lock" in unlocked.output
    assert run("datastore", "migrate", "lock").exit_code == 0
    released = run("ipam", "release", "--from-report", str(report))
    assert released.output == "Released 1 addresses; 0 were no longer as reported\n"
    assert run("ipam", "check").exit_code == 0
    again = run("ipam", "release", "--from-report", str(report))
    assert again.output.startswith("Released 0 addresses; 1 were no longer as reported\n")


def test_while_a_user_of_addresses_cannot_be_read_nothing_is_called_a_leak(
    run: Run, used: str, spoil: Callable[[str], None], tmp_path: Path
) -> None:
    spoil("/calico/resources/v3/projectcalico.org/workloadendpoints/shop/n1-k8s-web-eth0")
    checked = run("ipam", "check", "-o", str(tmp_path / "report.json"))
    assert checked.exit_code == 1
    assert "WorkloadEndpoint shop/n1-k8s-web-eth0" in checked.output
    assert "cannot be read, so nobody can tell which addresses it uses" in checked.output
    assert not (tmp_path / "report.json").exists()


def test_an_address_in_use_without_a_record_is_harmful(run: Run, used: str) -> None:
    refused = run("ipam", "release", "--ip", used)
    assert refused.exit_code == 1
    assert "is in use by WorkloadEndpoint shop/n1-k8s-web-eth0" in refused.output
    assert run("ipam", "release", "--ip", used, "--force").output == f"Successfully released IP address {used}\n"
    result = run("ipam", "check")
    assert result.exit_code == 1
    assert "harmful    unrecorded-address" in result.output


def test_two_endpoints_with_one_address_are_found(run: Run, used: str) -> None:
    other = ENDPOINT.replace("ADDRESS", used).replace("web", "api")
    assert run("apply", "-f", "-", text=other).exit_code == 0
    assert "shared-address" in run("ipam", "check").output


def test_a_pool_is_split_while_locked_and_addresses_stay(run: Run, used: str) -> None:
    assert "is not locked" in run("ipam", "split", "2", "--name", "pool").output
    run("datastore", "migrate", "lock")
    assert "smaller than its blocks" in run("ipam", "split", "8", "--name", "pool").output
    result = run("ipam", "split", "2", "--cidr", "10.0.0.0/24")
    assert result.output == "ippool pool-0 created with 10.0.0.0/25\nippool pool-1 created with 10.0.0.128/25\n"
    names = [line.split()[0] for line in run("get", "ippools").output.splitlines()[1:]]
    assert names == ["pool-0", "pool-1"]
    assert run("ipam", "check").exit_code == 0


def test_claims_and_settings_are_shown_as_they_really_are(run: Run, used: str, spoil: Callable[[str], None]) -> None:
    name = "n1-10-0-0-128-26"
    assert [line.split()[0] for line in run("get", "blockaffinities").output.splitlines()[1:]] == [name]
    shown = json.loads(run("get", "blockaffinity", name, "-o", "json").output)
    assert shown["spec"] == {
        "state": "confirmed",
        "node": "n1",
        "type": "host",
        "cidr": "10.0.0.128/26",
        "deleted": False,
    }
    assert "does not exist" in run("get", "blockaffinity", "n2-10-0-0-0-26").output
    assert json.loads(run("get", "ipamconfig", "default", "-o", "json").output)["spec"]["strictAffinity"] is False
    run("ipam", "configure", "--strictaffinity=true")
    assert json.loads(run("get", "ipamconfig", "-o", "json").output)["items"][0]["spec"]["strictAffinity"] is True
    spoil("/calico/ipam/v2/config")
    unreadable = run("get", "ipamconfig", "default")
    assert unreadable.exit_code == 1
    assert "is stored under /calico/ipam/v2/config, but cannot be read" in unreadable.output
    spoil("/calico/ipam/v2/host/n1/ipv4/block/10.0.0.128-26")
    assert run("get", "blockaffinities").exit_code == 0


def test_a_node_whose_block_cannot_be_read_is_not_deleted_in_part(
    run: Run, used: str, spoil: Callable[[str], None]
) -> None:
    spoil("/calico/ipam/v2/assignment/ipv4/block/10.0.0.128-26")
    refused = run("delete", "node", "n1")
    assert refused.exit_code == 1
    assert refused.stderr.endswith("nothing was written\n")
    assert "n1-k8s-web-eth0" in run("get", "workloadendpoints", "-A").stdout


def test_what_to_release_must_be_said(run: Run, used: str) -> None:
    assert run("ipam", "release").exit_code == 2
    assert "is not an address" in run("ipam", "release", "--ip", "10.0.0.0/8").output


def test_a_file_that_is_no_report_is_refused(run: Run, used: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    result = run("ipam", "release", "--from-report", str(tmp_path / "other.json"))
    assert result.exit_code == 1
    assert "is not a report" in result.output


def test_a_report_that_is_not_there_is_said_so(run: Run, tmp_path: Path) -> None:
    result = run("ipam", "release", "--from-report", str(tmp_path / "nope"))
    assert result.stderr.startswith(f"{tmp_path}/nope: cannot be read: No such file or directory (name a file that")


def test_a_pool_that_cannot_be_read_is_told_once(run: Run, store_value: Callable[[str, bytes], None]) -> None:
    store_value("/calico/resources/v3/projectcalico.org/ippools/broken", b'{"kind"')
    for words in (("ipam", "show"), ("ipam", "check")):
        told = run(*words).stderr
        assert told.count("warning: IPPool broken is stored, but cannot be read: ") == 1, words
