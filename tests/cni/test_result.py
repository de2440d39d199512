"""Answers in every version of the specification, as its tables have them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.cni.configuration import Dns
from tortie.cni.errors import CniError
from tortie.cni.result import SUPPORTED_VERSIONS, Attachment, ResultRoute, check_version, failure, is_before, success

ATTACHMENT = Attachment(
    host_interface="cali1",
    host_mac="ee:ee:ee:ee:ee:ee",
    interface="eth0",
    mac="0a:00:00:00:00:01",
    netns="/run/netns/x",
    addresses=(Cidr.host("10.65.0.1"), Cidr.host("fd00::1")),
    mtu=1450,
    routes=(ResultRoute(Cidr(4, 0, 0), "169.254.1.1"), ResultRoute(Cidr(6, 0, 0))),
    dns=Dns(nameservers=("10.96.0.10",), search=("cluster.local",)),
)
ROUTES = [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0"}]
DNS = {"nameservers": ["10.96.0.10"], "search": ["cluster.local"]}
HOST = {"name": "cali1", "mac": "ee:ee:ee:ee:ee:ee"}
WORKLOAD = {"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/x"}
ADDRESSES = [{"address": "10.65.0.1/32", "interface": 1}, {"address": "fd00::1/128", "interface": 1}]
VERSIONED = [{**ADDRESSES[0], "version": "4"}, {**ADDRESSES[1], "version": "6"}]

BY_FAMILY = {
    "ip4": {"ip": "10.65.0.1/32", "routes": [ROUTES[0]]},
    "ip6": {"ip": "fd00::1/128", "routes": [ROUTES[1]]},
    "dns": DNS,
}
LISTED = {"interfaces": [HOST, WORKLOAD], "ips": VERSIONED, "dns": DNS, "routes": ROUTES}
EXPECTED: dict[str, dict[str, Any]] = {
    "0.1.0": BY_FAMILY,
    "0.2.0": BY_FAMILY,
    "0.3.0": LISTED,
    "0.3.1": LISTED,
    "0.4.0": LISTED,
    "1.0.0": {**LISTED, "ips": ADDRESSES},
    "1.1.0": {
        **LISTED,
        "ips": ADDRESSES,
        "interfaces": [{**HOST, "mtu": 1450}, {**WORKLOAD, "mtu": 1450}],
    },
}


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_add_is_answered_in_the_form_of_the_version(version: str) -> None:
    assert json.loads(success(ATTACHMENT, version)) == {"cniVersion": version, **EXPECTED[version]}


def test_old_versions_know_one_address_of_each_family() -> None:
    addresses = (*ATTACHMENT.addresses, Cidr.host("10.65.0.2"))
    several = msgspec.structs.replace(ATTACHMENT, addresses=addresses, routes=())
    found = json.loads(success(several, "0.2.0"))
    assert (found["ip4"], found["ip6"]) == ({"ip": "10.65.0.1/32"}, {"ip": "fd00::1/128"})


@pytest.mark.parametrize(
    ("version", "answered"), [("0.4.0", "0.4.0"), ("1.1.0", "1.1.0"), ("7.0", "1.1.0"), ("", "1.1.0")]
)
def test_failures_have_code_message_and_details_in_a_version_that_we_speak(version: str, answered: str) -> None:
    found = json.loads(failure(CniError(7, "no name", "add one"), version))
    assert found == {"cniVersion": answered, "code": 7, "msg": "no name", "details": "add one"}


@pytest.mark.parametrize(
    ("command", "first"), [("ADD", "0.1.0"), ("DEL", "0.1.0"), ("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")]
)
def test_each_command_is_taken_from_its_first_version_on(command: str, first: str) -> None:
    for version in SUPPORTED_VERSIONS:
        if is_before(version, first):
            with pytest.raises(CniError, match=f"use {first}") as caught:
                check_version(version, command)
            assert caught.value.code == 1
        else:
            check_version(version, command)
