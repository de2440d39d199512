"""IPAM plugins of others: what they are given, and what becomes of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tortie.base.addresses import Cidr
from tortie.cni import delegate as module
from tortie.cni.configuration import Dns, read_configuration
from tortie.cni.delegate import delegated_add, delegated_delete, delegated_status
from tortie.cni.errors import CniError
from tortie.cni.request import Request
from tortie.cni.result import ResultRoute

Make = Callable[..., Request]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A request whose IPAM plugin is the script given; it sees its input as file `in` and its variables as `env`."""

    def request(script: str, version: str = "1.1.0", **ipam: Any) -> Request:
        program = tmp_path / "ours"
        program.write_text(f"#!/bin/sh\ncat > {tmp_path}/in\nenv > {tmp_path}/env\n{script}\n")
        program.chmod(0o755)
        data = json.dumps({"cniVersion": version, "name": "net", "ipam": {"type": "ours", **ipam}}).encode()
        variables = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_PATH": f"/nonexistent:{tmp_path}"}
        return Request("ADD", "c1", "/x", "eth0", "", "", read_configuration(data), variables, {}, data)

    return request


def given(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "in").read_text())
    return found


async def test_addresses_routes_and_name_servers_are_taken_each_address_by_itself(make: Make) -> None:
    answer = {
        "ips": [{"address": "10.9.0.7/24", "gateway": "10.9.0.1"}, {"address": "fd09::7/64"}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.0.0.0/8", "gw": "10.9.0.2"}],
        "dns": {"nameservers": ["10.9.0.53"]},
    }
    found = await delegated_add(make(f"echo '{json.dumps(answer)}'"))
    assert found.addresses == (Cidr.host("10.9.0.7"), Cidr.host("fd09::7"))
    assert found.result_routes == (ResultRoute(Cidr(4, 0, 0)), ResultRoute(Cidr.parse("10.0.0.0/8"), "10.9.0.2"))
    assert found.dns == Dns(nameservers=("10.9.0.53",))


@pytest.mark.parametrize(
    ("version", "spoken"), [("0.2.0", "0.3.0"), ("0.3.1", "0.3.1"), ("1.0.0", "1.0.0"), ("1.1.0", "1.0.0")]
)
async def test_the_plugin_is_asked_in_a_version_that_older_ones_speak(
    make: Make, tmp_path: Path, version: str, spoken: str
) -> None:
    await delegated_delete(make("exit 0", version))
    assert given(tmp_path)["cniVersion"] == spoken
    assert "CNI_COMMAND=DEL" in (tmp_path / "env").read_text()


async def test_the_prefix_of_the_node_stands_for_its_name(make: Make, tmp_path: Path) -> None:
    ranges = [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}], [{"subnet": "10.1.0.0/16"}]]
    await delegated_delete(make("exit 0", ranges=ranges), ("10.244.1.0/24", "fd00:244:1::/64"))
    found = [one[0]["subnet"] for one in given(tmp_path)["ipam"]["ranges"]]
    assert found == ["10.244.1.0/24", "fd00:244:1::/64", "10.1.0.0/16"]
    with pytest.raises(CniError, match="this node has no IPv4 prefix"):
        await delegated_delete(make("exit 0", subnet="usePodCidr"), ("fd00::/64",))


async def test_the_plugins_own_error_is_handed_on(make: Make) -> None:
    answer = '{"code":105,"msg":"no room","details":"all of 10.9.0.0/24 is in use"}'
    with pytest.raises(CniError, match=r"ours failed: no room: all of 10\.9") as caught:
        await delegated_add(make(f"echo '{answer}'; exit 1"))
    assert caught.value.code == 105


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo nonsense", "cannot be read"),
        ('echo \'{"ips":[{"address":"x"}]}\'', "no address"),
        ("echo oops; exit 3", "oops"),
    ],
)
async def test_what_cannot_be_read_fails(make: Make, script: str, said: str) -> None:
    with pytest.raises(CniError, match=said) as caught:
        assert (await delegated_add(make(script))).addresses
    assert caught.value.code == 102


async def test_a_plugin_that_hangs_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with pytest.raises(CniError, match="did not end") as caught:
        await delegated_add(make("exec sleep 60"))
    assert caught.value.code == 11


async def test_only_plugins_that_know_the_question_are_asked_for_their_status(make: Make, tmp_path: Path) -> None:
    await delegated_status(make("""echo '{"supportedVersions":["1.0.0"]}'"""))
    assert "CNI_COMMAND=VERSION" in (tmp_path / "env").read_text()
    full = """[ $CNI_COMMAND = VERSION ] && { echo '{"supportedVersions":["1.0.0","1.1.0"]}'; exit 0; }
echo '{"code":50,"msg":"full"}'; exit 1"""
    with pytest.raises(CniError, match="full") as caught:
        await delegated_status(make(full))
    assert caught.value.code == 50


@pytest.mark.parametrize("name", ["../ours", "", "missing"])
async def test_a_plugin_is_a_name_in_the_runtimes_folders(make: Make, name: str) -> None:
    request = make("exit 0", type=name)
    with pytest.raises(CniError):
        await delegated_add(request)
