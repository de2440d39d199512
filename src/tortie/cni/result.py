"""Answers to the runtime, in the version of the specification that it speaks."""

from __future__ import annotations

from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.cni.configuration import Dns
from tortie.cni.errors import INCOMPATIBLE_VERSION, CniError

SUPPORTED_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""Versions of the specification, oldest first, as the plugin also answers to VERSION."""

_ONE_ADDRESS_A_FAMILY = ("0.1.0", "0.2.0")
_FIRST_OF_VERB = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


class ResultRoute(msgspec.Struct, frozen=True):
    """A route of the workload, as results name it; the gateway may be empty."""

    destination: Cidr
    gateway: str = ""


class Attachment(msgspec.Struct, frozen=True):
    """A wired workload: both interface names and hardware addresses, and its addresses.

    Args:
        routes: those that the runtime shall hear of.
        dns: name servers, handed through.
    """

    host_interface: str
    host_mac: str
    interface: str
    mac: str
    netns: str
    addresses: tuple[Cidr, ...]
    mtu: int = 0
    routes: tuple[ResultRoute, ...] = ()
    dns: Dns = Dns()


def check_version(version: str, command: str = "") -> None:
    """Raises CniError for a version that we do not speak, or that does not know the command."""
    if version not in SUPPORTED_VERSIONS:
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"CNI version {version} is not supported",
            f"use one of {', '.join(SUPPORTED_VERSIONS)}",
        )
    first = _FIRST_OF_VERB.get(command, SUPPORTED_VERSIONS[0])
    if is_before(version, first):
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"{command} does not exist in CNI version {version}",
            f"use {first} or later as cniVersion",
        )


def is_before(version: str, other: str) -> bool:
    """Whether a supported version is older than another."""
    return SUPPORTED_VERSIONS.index(version) < SUPPORTED_VERSIONS.index(other)


def success(attachment: Attachment, version: str) -> bytes:
    """The result of ADD."""
    dns = msgspec.to_builtins(attachment.dns)
    if version in _ONE_ADDRESS_A_FAMILY:
        return msgspec.json.encode({"cniVersion": version, **_by_family(attachment), "dns": dns})
    result: dict[str, Any] = {
        "cniVersion": version,
        "interfaces": _interfaces(attachment, version),
        "ips": [_address(address, version) for address in attachment.addresses],
        "dns": dns,
    }
    if attachment.routes:
        result["routes"] = [_route(route) for route in attachment.routes]
    return msgspec.json.encode(result)


def failure(error: CniError, version: str) -> bytes:
    """The result of a failed call."""
    return msgspec.json.encode(
        {
            "cniVersion": version if version in SUPPORTED_VERSIONS else SUPPORTED_VERSIONS[-1],
            "code": error.code,
            "msg": error.message,
            "details": error.details,
        }
    )


def _interfaces(attachment: Attachment, version: str) -> list[dict[str, Any]]:
    mtu = {"mtu": attachment.mtu} if attachment.mtu and not is_before(version, "1.1.0") else {}
    return [
        {"name": attachment.host_interface, "mac": attachment.host_mac, **mtu},
        {"name": attachment.interface, "mac": attachment.mac, **mtu, "sandbox": attachment.netns},
    ]


def _address(address: Cidr, version: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": str(address), "interface": 1}
    if is_before(version, "1.0.0"):
        entry["version"] = str(address.family)
    return entry


def _by_family(attachment: Attachment) -> dict[str, Any]:
    """Those versions know one address of each family."""
    found: dict[str, Any] = {}
    for address in attachment.addresses:
        routes = [_route(route) for route in attachment.routes if route.destination.family == address.family]
        entry = {"ip": str(address), **({"routes": routes} if routes else {})}
        found.setdefault(f"ip{address.family}", entry)
    return found


def _route(route: ResultRoute) -> dict[str, str]:
    return {"dst": str(route.destination), **({"gw": route.gateway} if route.gateway else {})}
