"""What a runtime asks, read from what the plugin hands over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.cni.configuration import Dns
from tortie.cni.errors import CniError
from tortie.cni.request import parse


def packed(config: object = None, **variables: str) -> bytes:
    defaults = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "3fa9c1",
        "CNI_NETNS": "/run/netns/x",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
    }
    body = {"cniVersion": "1.0.0", "name": "net"} if config is None else config
    entries = b"\0".join(f"{name}={value}".encode() for name, value in (defaults | variables).items())
    return entries + b"\0\0" + (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_kubernetes_pod_is_known_by_namespace_and_name() -> None:
    request = parse(packed())
    assert (request.namespace, request.pod, request.workload) == ("shop", "web-0", "shop/web-0")
    assert request.handle == "net.3fa9c1"


def test_a_container_without_a_pod_is_known_by_its_id() -> None:
    for arguments in ("K8S_POD_NAME=", "IgnoreUnknown=1;K8S_POD_NAME=web", "K8S_POD_NAMESPACE=shop"):
        request = parse(packed(CNI_ARGS=arguments))
        assert (request.namespace, request.pod, request.workload) == ("", "", "3fa9c1")


def test_labels_and_addresses_come_from_the_conventions() -> None:
    config = {
        "name": "net",
        "args": {"cni": {"labels": [{"key": "role", "value": "web"}], "ips": ["10.65.0.9"]}},
        "runtimeConfig": {"ips": ["fd00::9/64"]},
        "ipam": {"assign_ipv4": "true", "assign_ipv6": "false"},
        "unknown": {"is": "ignored"},
    }
    request = parse(packed(config))
    assert request.labels == {"role": "web"}
    assert request.requested_addresses == (Cidr.host("fd00::9"), Cidr.host("10.65.0.9"))
    assert request.wants(4)
    assert not request.wants(6)


def test_del_needs_no_namespace_but_add_does() -> None:
    assert parse(packed(CNI_COMMAND="DEL", CNI_NETNS="")).netns == ""
    with pytest.raises(CniError, match="CNI_NETNS"):
        parse(packed(CNI_NETNS=""))


@pytest.mark.parametrize(
    ("variables", "config", "code"),
    [
        ({"CNI_CONTAINERID": "../x"}, None, 4),
        ({"CNI_CONTAINERID": ""}, None, 4),
        ({"CNI_IFNAME": "a/b"}, None, 4),
        ({"CNI_IFNAME": "much-too-long-for-linux"}, None, 4),
        ({}, b"{", 6),
        ({}, {"cniVersion": "1.0.0"}, 7),
        ({}, {"name": 5}, 7),
    ],
)
def test_what_is_malformed_is_refused_with_the_specifications_code(
    variables: dict[str, str], config: object, code: int
) -> None:
    with pytest.raises(CniError) as caught:
        parse(packed(config, **variables))
    assert caught.value.code == code


@given(st.binary())
def test_any_bytes_give_a_request_or_an_answerable_error(data: bytes) -> None:
    try:
        parse(data)
    except CniError as error:
        assert error.code


def test_labels_of_every_orchestrator_are_taken_the_runtimes_over_the_networks() -> None:
    config = {
        "name": "net",
        "args": {
            "cni": {"labels": [{"key": "a", "value": "conventions"}, {"key": "b", "value": "conventions"}]},
            "org.apache.mesos": {"network_info": {"labels": {"labels": [{"key": "m", "value": "mesos"}]}}},
        },
        "runtimeConfig": {"labels": {"b": "runtime"}},
    }
    nomad = "NOMAD_JOB_ID=shop;NOMAD_GROUP_NAME=web;NOMAD_NAMESPACE=default;K8S_POD_NAME=one"
    assert parse(packed(config, CNI_ARGS=nomad)).labels == {
        "nomad/job": "shop",
        "nomad/group": "web",
        "nomad/namespace": "default",
        "tortie/container": "one",
        "m": "mesos",
        "a": "conventions",
        "b": "runtime",
    }


def test_addresses_of_the_argument_are_requested_too_and_none_twice() -> None:
    config = {"name": "net", "runtimeConfig": {"ips": ["10.65.0.9"], "mac": "02:00:00:00:00:AA"}}
    request = parse(packed(config, CNI_ARGS="IP=10.65.0.9;MAC=02:00:00:00:00:bb"))
    assert request.requested_addresses == (Cidr.host("10.65.0.9"),)
    assert request.requested_mac == "02:00:00:00:00:aa"
    assert parse(packed({"name": "net"}, CNI_ARGS="MAC=02:00:00:00:00:bb")).requested_mac == "02:00:00:00:00:bb"


@pytest.mark.parametrize("command", ["GC", "STATUS", "VERSION"])
def test_commands_about_no_container_need_none(command: str) -> None:
    assert parse(packed(CNI_COMMAND=command, CNI_CONTAINERID="", CNI_IFNAME="", CNI_NETNS="")).command == command


def test_name_servers_of_the_runtime_go_before_those_of_the_network_and_of_its_ipam() -> None:
    given, network = Dns(nameservers=("1.1.1.1",)), {"nameservers": ["2.2.2.2"]}
    asked = {"servers": ["3.3.3.3"], "searches": ["local"]}
    assert parse(packed({"name": "net"})).dns(given) == given
    assert parse(packed({"name": "net", "dns": network})).dns(given) == Dns(nameservers=("2.2.2.2",))
    both = parse(packed({"name": "net", "dns": network, "runtimeConfig": {"dns": asked}}))
    assert both.dns(given) == Dns(nameservers=("3.3.3.3",), search=("local",))
