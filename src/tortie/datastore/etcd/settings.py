"""Where etcd is and how to be let in, and the errors of who wrote it down wrongly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.limits import MAX_REQUEST_BYTES

PAGE_KEYS = 10_000
"""Keys in one page of a listing: 10,000 workload endpoints are about 8 MB.

A server counts all keys that are left for every page, so that pages of half the size cost it almost
twice the time (measured with 250,000 keys).
"""

_ENDPOINT = re.compile(r"(https?)://((?:\[[0-9a-fA-F:.%]+\]|[^\s/:?#\[\]]+):[0-9]+)/?")
_PEM = "-----BEGIN "


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one etcd cluster.

    Args:
        endpoints: URLs with ports, `http://…` or `https://…`; tried in this order.
        username, password: both or none.
        ca: certificate authority that must have signed the servers' certificates; none is the common public ones.
        certificate, key: what we show to servers that ask for it; both or none.
            `ca`, `certificate` and `key` are names of files, or their contents (PEM).
        timeout: seconds for one operation with all its attempts; a watch gives up when etcd is away that long.
        dial_timeout: seconds to reach one endpoint.
        keepalive: seconds of silence after which a connection is tested (etcd allows no fewer than 5).
        keepalive_timeout: seconds to answer that test.
        page_keys: keys in one page of a listing.
        max_request_bytes: largest write, as set by the servers' option of that name.
    """

    endpoints: Sequence[str]
    username: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    timeout: float = 10.0
    dial_timeout: float = 3.0
    keepalive: float = 10.0
    keepalive_timeout: float = 5.0
    page_keys: int = PAGE_KEYS
    max_request_bytes: int = MAX_REQUEST_BYTES

    def __repr__(self) -> str:
        """Endpoints and user only: what is printed or logged holds no secret."""
        return f"EtcdSettings(endpoints={list(self.endpoints)}, username={self.username!r})"


class Endpoint(msgspec.Struct, frozen=True):
    """One server: host and port, and whether to speak TLS to it."""

    address: str
    is_secure: bool


class Identity(msgspec.Struct, frozen=True):
    """Contents of the files for TLS; None where nothing was given."""

    ca: bytes | None
    certificate: bytes | None
    key: bytes | None


def read_endpoints(settings: EtcdSettings) -> Sequence[Endpoint]:
    """The servers to try, checked with all other settings.

    Raises:
        InvalidResource: what must be corrected.
    """
    problems = [
        *_endpoint_problems(settings),
        *_pair_problems(settings),
        *_text_problems(settings),
        *_timeout_problems(settings),
    ]
    if problems:
        raise InvalidResource(*problems)
    found = [_ENDPOINT.fullmatch(endpoint.strip()) for endpoint in settings.endpoints]
    return [Endpoint(match[2], match[1] == "https") for match in found if match]


def read_identity(settings: EtcdSettings) -> Identity:
    """What TLS needs, from files or from the settings themselves.

    Raises:
        InvalidResource: a file cannot be read or is no PEM.
    """
    return Identity(*(_read_pem(name, getattr(settings, name)) for name in ("ca", "certificate", "key")))


def _endpoint_problems(settings: EtcdSettings) -> list[Problem]:
    if not settings.endpoints:
        return [_problem("endpoints", "no endpoint is given", "such as http://127.0.0.1:2379")]
    return [
        _problem(f"endpoints[{index}]", f"{endpoint!r} is no URL with a port", "such as https://etcd-1.example:2379")
        for index, endpoint in enumerate(settings.endpoints)
        if not _ENDPOINT.fullmatch(endpoint.strip()) or not _is_text(endpoint)
    ]


def _pair_problems(settings: EtcdSettings) -> list[Problem]:
    return [
        _problem(second, f"{first} and {second} belong together", "give both or none")
        for first, second in (("username", "password"), ("certificate", "key"))
        if bool(getattr(settings, first)) != bool(getattr(settings, second))
    ]


def _text_problems(settings: EtcdSettings) -> list[Problem]:
    """Of what may come from an environment, in whatever encoding."""
    return [
        _problem(name, "is not text in UTF-8", "write it anew in a terminal that uses UTF-8")
        for name in ("username", "password")
        if not _is_text(getattr(settings, name))
    ]


def _is_text(value: str) -> bool:
    """Whether it can be sent: bytes that were no text have no encoding."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _timeout_problems(settings: EtcdSettings) -> list[Problem]:
    return [
        _problem(name, "must be more than zero")
        for name in ("timeout", "dial_timeout", "keepalive", "keepalive_timeout", "page_keys", "max_request_bytes")
        if getattr(settings, name) <= 0
    ]


def _read_pem(name: str, given: str) -> bytes | None:
    if not given:
        return None
    content = given.encode() if _PEM in given else _read_file(name, given)
    if _PEM.encode() not in content:
        raise InvalidResource(_problem(name, f"{given}: is no PEM"))
    return content


def _read_file(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidResource(_problem(name, f"{path}: {error.strerror}")) from error


def _problem(path: str, problem: str, remedy: str = "") -> Problem:
    return Problem("etcd settings", path, problem, remedy)
