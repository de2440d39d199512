"""Answers to the runtime, in the version of the specification that it speaks."""

from __future__ import annotations

from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.cni.errors import INCOMPATIBLE_VERSION, CniError

SUPPORTED_VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
"""Versions of the specification, as the plugin also answers to VERSION."""


class Attachment(msgspec.Struct, frozen=True):
    """A wired workload: both interface names and hardware addresses, and its addresses."""

    host_interface: str
    host_mac: str
    interface: str
    mac: str
    netns: str
    addresses: tuple[Cidr, ...]
    mtu: int = 0


def check_version(version: str) -> None:
    """Raises CniError for a version that we do not speak."""
    if version not in SUPPORTED_VERSIONS:
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"CNI version {version} is not supported",
            f"use one of {', '.join(SUPPORTED_VERSIONS)}",
        )


def success(attachment: Attachment, version: str) -> bytes:
    """The result of ADD."""
    result = {
        "cniVersion": version,
        "interfaces": [
            {"name": attachment.host_interface, "mac": attachment.host_mac},
            {"name": attachment.interface, "mac": attachment.mac, "sandbox": attachment.netns},
        ],
        "ips": [_address(address, version) for address in attachment.addresses],
        "dns": {},
    }
    return msgspec.json.encode(result)


def _address(address: Cidr, version: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": str(address), "interface": 1}
    if version != "1.0.0":
        entry["version"] = str(address.family)
    return entry


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
