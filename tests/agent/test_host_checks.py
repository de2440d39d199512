"""Each check of a host fails for the thing it is there for, done for real in a network namespace where that can be."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tortie.agent import host_checks
from tortie.agent.host_checks import CHECKS, Finding, State, Surroundings, host_findings, kernel_findings
from tortie.agent.host_watch import HostWatch
from tortie.netlink.namespace import anonymous_namespace, inside

HERE = Surroundings()


@pytest.fixture
def namespace() -> Iterator[None]:
    """Nothing but a loopback, seen by this thread."""
    descriptor = anonymous_namespace()
    try:
        with inside(descriptor):
            yield
    finally:
        os.close(descriptor)


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def set_sysctl(name: str, value: str) -> None:
    Path("/proc/sys", *name.split(".")).write_text(value)


def mended(finding: Finding) -> None:
    """Do as the finding says."""
    run("sh", "-c", finding.fix)


@pytest.mark.kernel
@pytest.mark.usefixtures("namespace")
def test_forwarding_that_is_off_is_an_error_and_the_remedy_mends_it() -> None:
    set_sysctl("net.ipv4.ip_forward", "0")
    finding = host_checks.forwarding(HERE)
    assert (finding.state, "net.ipv4.ip_forward = 0" in finding.evidence) == (State.ERROR, True)
    mended(finding)
    assert host_checks.forwarding(HERE).state is State.OK


@pytest.mark.kernel
@pytest.mark.usefixtures("namespace")
def test_strict_reverse_path_filtering_is_told_and_the_remedy_mends_it() -> None:
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "cali0")
    set_sysctl("net.ipv4.conf.all.rp_filter", "0")
    set_sysctl("net.ipv4.conf.up0.rp_filter", "0")
    assert host_checks.reverse_path(HERE).state is State.OK
    for name in ("up0", "all"):
        set_sysctl("net.ipv4.conf.up0.rp_filter", "0")
        set_sysctl(f"net.ipv4.conf.{name}.rp_filter", "1")
        finding = host_checks.reverse_path(HERE)
        assert (finding.state, "up0" in finding.evidence) == (State.WARNING, True)
        mended(finding)
        assert host_checks.reverse_path(HERE).state is State.OK


@pytest.mark.kernel
@pytest.mark.usefixtures("namespace")
def test_tunnels_that_are_too_wide_are_an_error_and_the_remedy_mends_it() -> None:
    run("ip", "link", "add", "eth9", "mtu", "1500", "type", "veth", "peer", "name", "eth8")
    run("ip", "link", "set", "eth9", "up")
    assert host_checks.mtu(HERE).state is State.OK
    run("ip", "link", "add", "vxlan.calico", "mtu", "1500", "type", "vxlan", "id", "7", "dstport", "4789")
    run("ip", "link", "set", "vxlan.calico", "up")
    finding = host_checks.mtu(HERE)
    assert finding.state is State.ERROR
    assert "vxlan.calico has 1500" in finding.evidence
    mended(finding)
    assert host_checks.mtu(HERE).state is State.OK


@pytest.mark.kernel
@pytest.mark.usefixtures("namespace")
def test_tables_of_others_that_drop_by_default_are_told() -> None:
    chain = "type filter hook forward priority 0; policy"
    run("nft", f"table inet tortie {{ chain ours {{ {chain} drop; }}; }}")
    run("nft", f"table ip other {{ chain c1 {{ {chain} accept; }}; }}")
    assert host_checks.foreign_tables(HERE).state is State.OK
    run("nft", f"table ip firewall {{ chain c1 {{ {chain} drop; }}; }}")
    finding = host_checks.foreign_tables(HERE)
    assert (finding.state, finding.evidence) == (State.WARNING, "ip firewall c1")
    mended(finding)


@pytest.mark.kernel
@pytest.mark.usefixtures("namespace")
def test_somebody_else_on_the_port_of_bgp_is_an_error() -> None:
    assert host_checks.bgp_port(HERE).state is State.OK
    with socket.create_server(("127.0.0.1", 179)):
        finding = host_checks.bgp_port(HERE)
        without = host_checks.bgp_port(Surroundings(speaks_bgp=False))
    assert without.state is State.OK, "another speaker may have it"
    assert finding.state is State.ERROR
    assert "listening: " in finding.evidence


@pytest.mark.kernel
def test_the_kernel_of_this_machine_does_what_is_required() -> None:
    assert [one for one in kernel_findings() if one.state is State.ERROR] == []


def made_up(folder: Path, files: dict[str, str]) -> Surroundings:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Surroundings(proc=folder / "proc", etc=folder / "etc", run_directory=folder / "run" / "tortie")


@pytest.mark.parametrize(
    ("used", "state"), [("10", State.OK), ("80", State.WARNING), ("95", State.ERROR), ("100", State.ERROR)]
)
def test_a_table_of_connections_that_fills_is_told(tmp_path: Path, used: str, state: State) -> None:
    folder = "proc/sys/net/netfilter/nf_conntrack"
    finding = host_checks.conntrack_table(made_up(tmp_path, {f"{folder}_count": used, f"{folder}_max": "100\n"}))
    assert finding.state is state
    assert ("nf_conntrack_max=200" in finding.fix) is (state is not State.OK)


def test_a_network_manager_that_was_told_nothing_is_told_by_the_remedy(tmp_path: Path) -> None:
    where = made_up(tmp_path, {"proc/7/comm": "bash\n", "etc/NetworkManager/NetworkManager.conf": "[main]\n"})
    assert host_checks.network_manager(where).state is State.OK
    made_up(tmp_path, {"proc/8/comm": "NetworkManager\n", "etc/NetworkManager/conf.d/x.conf": ""})
    finding = host_checks.network_manager(where)
    assert finding.state is State.WARNING
    run("sh", "-c", finding.fix.partition(" && ")[0])
    assert host_checks.network_manager(where).state is State.OK


def test_a_clock_that_nobody_keeps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_checks, "_clock_state", lambda: 0x2041)
    assert host_checks.clock(HERE).state is State.WARNING
    monkeypatch.setattr(host_checks, "_clock_state", lambda: 0x2001)
    assert host_checks.clock(HERE).state is State.OK


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = Surroundings(run_directory=tmp_path / "not" / "there")
    assert host_checks.disk(where).state is State.OK
    monkeypatch.setattr(host_checks, "_LEAST_BYTES", 1 << 80)
    assert host_checks.disk(where).state is State.ERROR


def test_old_kernels_with_tunnels_are_told_of_their_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_checks.checksum_offload(HERE).state is State.OK
    vxlan = host_checks.Link(7, "vxlan.calico", "vxlan", up=True)
    monkeypatch.setattr(host_checks.links, "list_links", lambda _: [vxlan])
    monkeypatch.setattr(host_checks.os, "uname", lambda: os.uname_result(("Linux", "h", "5.4.0-1-amd64", "", "")))
    finding = host_checks.checksum_offload(HERE)
    assert (finding.state, finding.fix) == (State.WARNING, "ethtool -K vxlan.calico tx-checksum-ip-generic off")


def test_what_cannot_be_looked_at_is_unknown(tmp_path: Path) -> None:
    findings = host_findings(Surroundings(proc=tmp_path / "none", etc=tmp_path, run_directory=tmp_path))
    assert [one.check for one in findings] == [name for name, _ in CHECKS]
    assert {one.state for one in findings if one.check in ("reverse path filter", "NetworkManager")} == {State.UNKNOWN}


def test_the_agent_tells_of_errors_alone() -> None:
    watch = HostWatch()
    error = Finding("forwarding", State.ERROR, "nothing is forwarded", "ip_forward = 0", "sysctl -w …")
    watch._found = [error]
    assert list(watch.problems) == ["forwarding: nothing is forwarded (ip_forward = 0): sysctl -w …"]
    assert msgspec.to_builtins(error)["state"] == "error"
