"""Where the agent's datastore is: what its own settings, Felix's and Calico's say about it, as one location."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.etcd.settings import EtcdSettings, read_endpoints
from tortie.datastore.location import Location, find_location, misspelt

COMMAND_LINE, ENVIRONMENT, CONFIGURATION_FILE, DEFAULT = "command line", "environment", "configuration file", "default"

_LAYERS = (COMMAND_LINE, ENVIRONMENT, CONFIGURATION_FILE)
_OTHERS = ("datastore_type", "etcd_endpoints", "etcd_addr")
"""Rows besides `datastore` that tell where it is."""

_ACCESS = {
    "etcd_username": "ETCD_USERNAME",
    "etcd_password": "ETCD_PASSWORD",
    "etcd_ca_cert_file": "ETCD_CA_CERT_FILE",
    "etcd_cert_file": "ETCD_CERT_FILE",
    "etcd_key_file": "ETCD_KEY_FILE",
}
"""Rows that tell how to be let in, and the variable that says the same to every command."""

_DISCOVERY = "ETCD_DISCOVERY_SRV"
_HIDDEN = "(hidden)"
_CREDENTIALS = re.compile(r"(?<=://)[^/@,]*@")
_PEM = "-----BEGIN "


class Origin(msgspec.Struct, frozen=True):
    """An effective value, as text, and where it came from."""

    value: str
    source: str


def find(origins: Mapping[str, Origin], environment: Mapping[str, str], timeout: float) -> tuple[Location, Origin]:
    """Where the datastore is, by the effective rows of the table, and what says so.

    `datastore` decides unless a stronger source names etcd. A file for calicoctl is not looked at: it may hold
    what an operator may do, and an agent may not.

    Args:
        environment: of the process, for what no row is about.
        timeout: seconds after which etcd counts as away.

    Raises:
        InvalidResource: what must be corrected.
    """
    said, origin = _by_datastore(origins) or _by_others(origins)
    _refuse_credentials(origin)
    access = {variable: origins[row].value for row, variable in _ACCESS.items()}
    discovery = environment.get(f"CALICO_{_DISCOVERY}") or environment.get(_DISCOVERY, "")
    location = find_location({**said, **access, _DISCOVERY: discovery}, None)
    if isinstance(location, EtcdSettings):
        read_endpoints(location)
        location = msgspec.structs.replace(location, timeout=timeout)
    elif origin.source == DEFAULT and (problems := misspelt(environment)):
        raise InvalidResource(*problems)
    return location, origin


def shown(origin: Origin, is_secret: bool) -> Origin:
    """What people may see of it."""
    if origin.value and (is_secret or _PEM in origin.value):
        return Origin(_HIDDEN, origin.source)
    return Origin(_CREDENTIALS.sub(f"{_HIDDEN}@", origin.value), origin.source)


def _by_datastore(origins: Mapping[str, Origin]) -> tuple[dict[str, str], Origin] | None:
    datastore = origins["datastore"]
    strongest = min(_layer(origins[row]) for row in _OTHERS)
    if _layer(datastore) > strongest:
        return None
    return {} if datastore.source == DEFAULT else {"TORTIE_DATASTORE": datastore.value}, datastore


def _by_others(origins: Mapping[str, Origin]) -> tuple[dict[str, str], Origin]:
    kind, endpoints, address = (origins[row] for row in _OTHERS)
    if not endpoints.value:
        url = f"{origins['etcd_scheme'].value.lower()}://{address.value}"
        endpoints = Origin(url, kind.source if address.source == DEFAULT else address.source)
    return {"DATASTORE_TYPE": kind.value, "ETCD_ENDPOINTS": endpoints.value}, endpoints


def _layer(origin: Origin) -> int:
    """How strong a source is; the lowest is the strongest."""
    for number, layer in enumerate(_LAYERS):
        if origin.source.startswith(layer):
            return number
    return len(_LAYERS)


def _refuse_credentials(origin: Origin) -> None:
    if _CREDENTIALS.search(origin.value):
        remedy = "leave them out, and set etcd_username and etcd_password"
        raise InvalidResource(Problem(origin.source, "datastore", "a URL holds a user or a password", remedy))
