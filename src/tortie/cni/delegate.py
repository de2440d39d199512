"""Addresses from another plugin (`ipam.type`: host-local, static, dhcp, ...), executed as the specification delegates
(version 1.1.0, section 4)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.cni.configuration import Dns
from tortie.cni.errors import (
    DELEGATE_FAILED,
    INVALID_NETWORK_CONFIG,
    TRY_AGAIN_LATER,
    CniError,
)
from tortie.cni.request import Request
from tortie.cni.result import ResultRoute

PATIENCE = 30.0
"""Seconds that the plugin may take."""

POD_PREFIXES = {"usePodCidr": 4, "usePodCidrIPv6": 6}
"""Values of `subnet` that stand for the prefix that this node has of Kubernetes, and its family."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIRST_WITH_STATUS = "1.1.0"
_SPOKEN = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")


class GivenAddress(msgspec.Struct, frozen=True):
    """An address of the plugin's result."""

    address: str
    gateway: str = ""


class GivenRoute(msgspec.Struct, frozen=True):
    """A route of the plugin's result."""

    dst: str
    gw: str = ""


class Given(msgspec.Struct, frozen=True):
    """The result of the plugin's ADD."""

    ips: tuple[GivenAddress, ...] = ()
    routes: tuple[GivenRoute, ...] = ()
    dns: Dns = Dns()

    @property
    def addresses(self) -> tuple[Cidr, ...]:
        """Each of full length: workloads are routed to, whatever subnet the plugin has in mind. Raises CniError."""
        try:
            return tuple(Cidr.host(one.address) for one in self.ips)
        except ValueError as error:
            raise CniError(DELEGATE_FAILED, "the IPAM plugin gave what is no address", str(error)) from error

    @property
    def result_routes(self) -> tuple[ResultRoute, ...]:
        """Raises CniError."""
        try:
            return tuple(ResultRoute(Cidr.parse(one.dst), one.gw) for one in self.routes)
        except ValueError as error:
            raise CniError(DELEGATE_FAILED, "the IPAM plugin gave what is no route", str(error)) from error


class _Versions(msgspec.Struct, frozen=True):
    known: tuple[str, ...] = msgspec.field(default=(), name="supportedVersions")


class Failure(msgspec.Struct, frozen=True):
    """A plugin's error."""

    code: int = DELEGATE_FAILED
    msg: str = ""
    details: str = ""


async def delegated_add(request: Request, prefixes: Sequence[str] = ()) -> Given:
    """Have the plugin give addresses; `prefixes` are those that this node has of Kubernetes. Raises CniError."""
    output = await _execute("ADD", request, prefixes)
    try:
        return msgspec.json.decode(output, type=Given)
    except msgspec.MsgspecError as error:
        raise CniError(
            DELEGATE_FAILED, f"the answer of {request.config.ipam.type} cannot be read", str(error)
        ) from error


async def delegated_delete(request: Request, prefixes: Sequence[str] = ()) -> None:
    """Have the plugin take them back; one that has none is content. Raises CniError."""
    await _execute("DEL", request, prefixes)


async def delegated_check(request: Request, prefixes: Sequence[str] = ()) -> None:
    """Have the plugin look whether it knows of them. Raises CniError."""
    await _execute("CHECK", request, prefixes)


async def delegated_status(request: Request, prefixes: Sequence[str] = ()) -> None:
    """Have the plugin say whether it can work, if it knows the question. Raises CniError."""
    output = await _execute("VERSION", request, prefixes)
    try:
        versions = msgspec.json.decode(output, type=_Versions).known
    except msgspec.MsgspecError as error:
        raise CniError(DELEGATE_FAILED, f"the versions of {request.config.ipam.type} cannot be read") from error
    if _FIRST_WITH_STATUS in versions:
        await _execute("STATUS", request, prefixes)


async def _execute(command: str, request: Request, prefixes: Sequence[str]) -> bytes:
    program = _find(request)
    process = await asyncio.create_subprocess_exec(
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), **request.variables, "CNI_COMMAND": command},
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate(_configuration(request, command, prefixes))
    except TimeoutError as error:
        raise CniError(TRY_AGAIN_LATER, f"{program.name} did not end within {PATIENCE:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _failed(program, output)
    return output


def _find(request: Request) -> Path:
    name = request.config.ipam.type
    if not _NAME.fullmatch(name):
        raise CniError(INVALID_NETWORK_CONFIG, f"ipam.type {name!r} is no name of a plugin")
    folders = request.variables.get("CNI_PATH", "").split(":")
    for folder in filter(None, folders):
        if os.access(path := Path(folder) / name, os.X_OK):
            return path
    searched = f"there is none in CNI_PATH ({', '.join(folders)}); to use the cluster's pools leave ipam.type out"
    raise CniError(INVALID_NETWORK_CONFIG, f"the IPAM plugin {name} was not found", searched)


def _configuration(request: Request, command: str, prefixes: Sequence[str]) -> bytes:
    """As it came, in a version that plugins of Debian 12 speak, with prefixes in the place of their words."""
    if command == "STATUS":
        return request.data
    config: dict[str, Any] = msgspec.json.decode(request.data)
    version = config.get("cniVersion", "")
    config["cniVersion"] = version if version in _SPOKEN else _SPOKEN[0 if version < _SPOKEN[0] else -1]
    config["ipam"] = _filled_in(config["ipam"], prefixes)
    return msgspec.json.encode(config)


def _filled_in(value: Any, prefixes: Sequence[str]) -> Any:
    match value:
        case dict():
            return {
                name: _pod_prefix(one, prefixes)
                if name == "subnet" and isinstance(one, str) and one in POD_PREFIXES
                else _filled_in(one, prefixes)
                for name, one in value.items()
            }
        case list():
            return [_filled_in(one, prefixes) for one in value]
        case _:
            return value


def _pod_prefix(word: str, prefixes: Sequence[str]) -> str:
    family = POD_PREFIXES[word]
    for prefix in prefixes:
        if (":" in prefix) == (family == 6):
            return prefix
    raise CniError(
        INVALID_NETWORK_CONFIG, f"{word}: this node has no IPv{family} prefix", "see status.podCIDRs of its Node"
    )


def _failed(program: Path, output: bytes) -> CniError:
    try:
        found = msgspec.json.decode(output, type=Failure)
    except msgspec.MsgspecError:
        found = Failure(details=output.decode(errors="replace").strip()[:500])
    details = ": ".join(filter(None, (found.msg, found.details)))
    return CniError(found.code, f"the IPAM plugin {program.name} failed", details)
