"""Name service for the demonstration: dnsmasq in a workload, and real questions to it (RFC 1035)."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping

from tortie.lab.lab import Lab
from tortie.netlink.namespace import inside

_HEADER = struct.Struct(">6H")
_RECURSION_DESIRED = 0x0100
_IN = 1
_PATIENCE = 0.4

TYPES = {4: 1, 6: 28}
"""Record types A and AAAA."""


def start(lab: Lab, workload: str, names: Mapping[str, Iterable[str]]) -> None:
    """Start dnsmasq in a workload; it knows these names and asks nobody. Raises OSError when it is not installed."""
    argv = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file="]
    argv += [f"--host-record={name},{','.join(addresses)}" for name, addresses in names.items()]
    lab.run_in_workload(workload, "dnsmasq", argv)


def question(name: str, family: int, number: int) -> bytes:
    """A query for a name's addresses of one family."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + labels + struct.pack(">2H", TYPES[family], _IN)


def answer(data: bytes, number: int) -> str:
    """The last address of a response, or empty when it is none to this question, or names none."""
    if len(data) < _HEADER.size:
        return ""
    identity, flags, _, answers, _, _ = _HEADER.unpack_from(data)
    if identity != number or not flags & 0x8000 or not answers:
        return ""
    for length in (16, 4):
        if data[-length - 2 : -length] == struct.pack(">H", length):
            return str(ipaddress.ip_address(data[-length:]))
    return ""


def ask_all(lab: Lab, sources: Iterable[str], server: str, name: str) -> dict[str, str]:
    """Every source asks the server at once; the address that each was told, empty for those without answer."""
    family = 6 if ":" in server else 4
    waiting: dict[socket.socket, tuple[str, int]] = {}
    for source in sources:
        number = int.from_bytes(os.urandom(2), "big")
        with inside(lab.namespace(source)):
            one = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        one.sendto(question(name, family, number), (server, 53))
        waiting[one] = (source, number)
    told = {source: "" for source, _ in waiting.values()}
    deadline = time.monotonic() + _PATIENCE
    while waiting and (left := deadline - time.monotonic()) > 0:
        for one in select.select(list(waiting), [], [], left)[0]:
            source, number = waiting.pop(one)
            told[source] = _received(one, number)
            one.close()
    for one in waiting:
        one.close()
    return told


def _received(one: socket.socket, number: int) -> str:
    try:
        return answer(one.recv(2048), number)
    except OSError:
        return ""
