"""Flow records as collectors of the field write them, one JSON object a line: who talked to whom, and its fate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.calculation.protocols import protocol_number

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_ALIASES = {
    "source_ip": "source_address",
    "src_ip": "source_address",
    "dest_ip": "dest_address",
    "dst_ip": "dest_address",
    "proto": "protocol",
    "num_connections_started": "connections_started",
    "num_flows": "connections_started",
}
"""Other names of fields, by collector."""


class Peer(msgspec.Struct, frozen=True):
    """One end of a flow.

    Args:
        name: of a workload or pod; one that ends in `*` stands for all that begin so; `-` is unknown.
        address: empty when the collector left it out.
    """

    namespace: str = ""
    name: str = ""
    address: str = ""

    @property
    def text(self) -> str:
        """As people write it."""
        named = "/".join(one for one in (self.namespace, self.name) if one not in ("", "-"))
        return named or self.address or "somebody"


class FlowRecord(msgspec.Struct, frozen=True):
    """What happened.

    Args:
        port: destination; None where the protocol has none.
        action: Allow or Deny, or empty.
        count: connections that were begun, at least one.
    """

    source: Peer
    destination: Peer
    protocol: int
    port: int | None = None
    action: str = ""
    count: int = 1

    @property
    def text(self) -> str:
        """From whom to whom."""
        return f"{self.source.text} → {self.destination.text}"


def read_flows(lines: Iterable[str], file: str) -> list[FlowRecord]:
    """All records.

    Raises:
        InvalidResource: with every line that cannot be read.
    """
    found: list[FlowRecord] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found += [_record(one) for one in _objects(json.loads(line))]
        except (ValueError, TypeError, RecursionError) as error:
            remedy = "write one JSON object a line, with source_name, source_namespace, dest_name, dest_namespace, "
            problems.append(
                Problem("flow", "", f"{error}", f"{remedy}protocol, dest_port, source_address", file, number, 1)
            )
    if problems:
        raise InvalidResource(*problems)
    return found


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """A record, a list of records, or a page of them as `items`."""
    many = value.get("items", [value]) if isinstance(value, dict) else value
    if not isinstance(many, list) or not all(isinstance(one, dict) for one in many):
        raise ValueError("is no record of a flow")
    for one in many:
        yield {_name(key): each for key, each in _flat(one).items()}


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """With what stands under `key` and `flow` beside the rest."""
    found = dict(record)
    for name in ("flow", "Flow", "key", "Key"):
        inner = found.pop(name, None)
        if isinstance(inner, dict):
            found |= _flat(inner)
    return found


def _name(key: str) -> str:
    snake = _WORD.sub("_", key).lower()
    return _ALIASES.get(snake, snake)


def _record(values: Mapping[str, Any]) -> FlowRecord:
    protocol = values.get("protocol")
    if protocol in (None, ""):
        raise ValueError("has no protocol")
    port = int(values.get("dest_port") or 0)
    if not 0 <= port < 1 << 16:
        raise ValueError(f"dest_port {port} is no port")
    return FlowRecord(
        source=_peer(values, "source"),
        destination=_peer(values, "dest"),
        protocol=protocol_number(str(protocol)),
        port=port or None,
        action=str(values.get("action") or ""),
        count=max(1, int(values.get("connections_started") or 1)),
    )


def _peer(values: Mapping[str, Any], side: str) -> Peer:
    address = str(values.get(f"{side}_address") or "")
    if address:
        address = Cidr.host(address).text
    found = Peer(str(values.get(f"{side}_namespace") or ""), str(values.get(f"{side}_name") or ""), address)
    if not (found.name or found.address):
        raise ValueError(f"says neither {side}_name nor {side}_address")
    return msgspec.structs.replace(found, namespace="" if found.namespace == "-" else found.namespace)
