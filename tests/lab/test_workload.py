"""Workloads are attached as a container runtime does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tortie.lab.lab import Lab
from tortie.lab.topology import Topology
from tortie.lab.workload import CniAttacher, PluginFailed

pytestmark = pytest.mark.kernel

PLUGIN = """#!/bin/sh
config=$(cat)
{ env | grep ^CNI_; echo "NETNS $(readlink /proc/self/ns/net)"; echo "$config"; } >> DIRECTORY/calls
[ -e DIRECTORY/fail ] && { echo '{"code": 11, "msg": "no address left"}'; exit 1; }
[ $CNI_COMMAND = ADD ] && echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "cali123"},
  {"name": "eth0", "sandbox": "x"}], "ips": [{"address": "10.9.0.1/32", "interface": 1}, {"address": "fd00::9/128"}]}'
exit 0
"""


@pytest.fixture
def attacher(tmp_path: Path) -> CniAttacher:
    """A plugin that writes down how it was called."""
    plugin = tmp_path / "plugin"
    plugin.write_text(PLUGIN.replace("DIRECTORY", str(tmp_path)))
    plugin.chmod(0o755)
    return CniAttacher(plugin, lambda host: {"cniVersion": "1.0.0", "name": "lab", "socket": f"/run/{host.name}"})


def test_the_plugin_is_called_from_the_hosts_namespace_with_what_a_kubelet_gives(
    topology: Topology, attacher: CniAttacher, tmp_path: Path
) -> None:
    with Lab(topology, attacher=attacher) as lab:
        host = lab.exec("h1", ["readlink", "/proc/self/ns/net"]).stdout.strip()
        found = lab.attachment("w1")
        called = (tmp_path / "calls").read_text()
    assert (found.host, found.addresses, found.interface) == ("h1", ("10.9.0.1", "fd00::9"), "cali123")
    assert f"NETNS {host}" in called
    assert f"CNI_CONTAINERID={found.container_id}" in called
    assert f"CNI_NETNS={topology.workload_namespace('w1')}" in called
    assert "K8S_POD_NAMESPACE=default;K8S_POD_NAME=w1;" in called
    assert '"socket":"/run/h1"' in called


def test_a_move_deletes_at_the_old_host_and_asks_for_the_same_addresses_at_the_new(
    topology: Topology, attacher: CniAttacher, tmp_path: Path
) -> None:
    with Lab(topology, attacher=attacher) as lab:
        before = lab.attachment("w1").container_id
        (tmp_path / "calls").unlink()
        lab.move("w1", "h2")
        called = (tmp_path / "calls").read_text()
    configs = [json.loads(line) for line in called.splitlines() if line.startswith("{")]
    assert [one["socket"] for one in configs] == ["/run/h1", "/run/h2"]
    assert configs[1]["runtimeConfig"] == {"ips": ["10.9.0.1", "fd00::9"]}
    assert f"CNI_CONTAINERID={before}" in called.partition("CNI_COMMAND=ADD")[0]


def test_a_failed_plugin_is_an_error_with_what_it_said(
    topology: Topology, attacher: CniAttacher, tmp_path: Path
) -> None:
    with Lab(topology, attacher=attacher) as lab:
        (tmp_path / "fail").touch()
        with pytest.raises(PluginFailed, match="no address left"):
            lab.detach("w1")
        assert lab.attachment("w1").host == "h1"


def test_a_directly_attached_workload_is_a_neighbour_from_the_first_packet_on(topology: Topology) -> None:
    with Lab(topology) as lab:
        listed = lab.exec("h1", ["ip", "neigh", "show", "nud", "permanent"]).stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == ["10.65.0.1", "fd00:65::1"]
