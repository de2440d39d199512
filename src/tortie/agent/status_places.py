"""Where statuses of endpoints are kept: keys of the datastore, and files that CNI plugins wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec

from tortie.base.errors import NotFound, Unavailable
from tortie.base.files import write_atomically
from tortie.datastore.contract import Datastore
from tortie.datastore.statuskeys import (
    WorkloadStatusKey,
    host_endpoint_status_prefix,
    parse_status_key,
    workload_status_prefix,
)
from tortie.desired.endpoints import Endpoint

FOLDER = "endpoint-status"

_UNESCAPED = "$&+=:@"
"""What may stand in a segment of a URL's path besides letters, digits and -_.~ (RFC 3986), as Go escapes it."""
_SEPARATOR = " "


class StatusFile(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a file says of a workload endpoint; addresses are prefixes of full length."""

    iface_name: str = ""
    mac: str = ""
    ipv4_nets: tuple[str, ...] = ()
    ipv6_nets: tuple[str, ...] = ()


class StatusKeys:
    """The keys of one host's endpoints.

    Args:
        refusal: why nothing may be written now; empty when it may.
    """

    def __init__(self, datastore: Datastore, region: str, host: str, refusal: Callable[[], str]) -> None:
        self._datastore = datastore
        self._prefixes = (workload_status_prefix(region, host), host_endpoint_status_prefix(host))
        self._refusal = refusal

    async def read(self) -> dict[str, bytes]:
        """All that are there. Raises Unavailable."""
        self._ask()
        listings = [await self._datastore.list(prefix) for prefix in self._prefixes]
        return {one.key: one.value for listing in listings for one in listing.items if parse_status_key(one.key)}

    async def put(self, name: str, value: bytes) -> None:
        """Write one. Raises Unavailable."""
        self._ask()
        await self._datastore.put(name, value)

    async def remove(self, name: str) -> None:
        """Take one away. Raises Unavailable."""
        self._ask()
        with contextlib.suppress(NotFound):
            await self._datastore.delete(name)

    def _ask(self) -> None:
        if refusal := self._refusal():
            raise Unavailable(refusal)


class StatusFiles:
    """The files of one host's workload endpoints. A plugin that sees one knows that policy stands."""

    def __init__(self, prefix: Path) -> None:
        self._folder = prefix / FOLDER

    async def read(self) -> dict[str, bytes]:
        """All that are there, and what a killed agent did not finish. Raises Unavailable."""
        return await asyncio.to_thread(self._read)

    async def put(self, name: str, value: bytes) -> None:
        """Write one. Raises Unavailable."""
        await asyncio.to_thread(_translated, partial(write_atomically, self._folder / name, value, 0o644))

    async def remove(self, name: str) -> None:
        """Take one away. Raises Unavailable."""
        await asyncio.to_thread(_translated, partial((self._folder / name).unlink, missing_ok=True))

    def _read(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        _translated(lambda: found.update(self._files()))
        return found

    def _files(self) -> Iterator[tuple[str, bytes]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name.count(_SEPARATOR) == 2 and path.is_file():
                yield path.name, path.read_bytes()


def file_name(key: WorkloadStatusKey) -> str:
    """The name of an endpoint's file."""
    parts: Sequence[str] = (key.orchestrator, key.workload, key.endpoint)
    return _SEPARATOR.join(quote(part, safe=_UNESCAPED) for part in parts)


def file_content(endpoint: Endpoint) -> bytes:
    """What an endpoint's file says."""
    nets = {family: tuple(str(one) for one in endpoint.addresses if one.family == family) for family in (4, 6)}
    return msgspec.json.encode(StatusFile(endpoint.interface, endpoint.mac, nets[4], nets[6]))


def _translated(work: Callable[[], object]) -> None:
    """Do it; what is the disk's fault may be otherwise later."""
    try:
        work()
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}") from error
