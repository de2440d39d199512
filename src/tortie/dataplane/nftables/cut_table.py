"""Table `inet tortie-cut`: flows that were cut. It drops what both ends still send of them, and is there only while
there are such flows.

Forgetting a connection is not enough: the next packet of the end that may still begin one would make it anew, and
what the other end sends would pass as an answer.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError
from tortie.dataplane.nftables.matches import of_family
from tortie.dataplane.nftables.sets import IPV4, IPV6, PROTOCOL, SERVICE
from tortie.netlink.batch import Request
from tortie.netlink.conntrack import Tuple
from tortie.netlink.nftables import (
    INET,
    Hook,
    SetDeclaration,
    Table,
    add_elements,
    delete_table,
    element,
    new_chain,
    new_rule,
    new_set,
    new_table,
)
from tortie.netlink.nftables_batch import commit
from tortie.netlink.nftables_dump import parse_elements, read_elements, read_table
from tortie.netlink.nftables_expressions import (
    NETWORK,
    REGISTER,
    TRANSPORT,
    Meta,
    Verdict,
    counter,
    lookup,
    meta,
    payload,
    verdict,
)
from tortie.netlink.socket import NetlinkSocket

TABLE = Table(INET, "tortie-cut")

_BITS = 6
_SETS = {4: "flows4", 6: "flows6"}
_ADDRESS = {4: 4, 6: 16}
_SOURCE_OFFSET = {4: 12, 6: 8}
_DECLARATIONS = {
    family: SetDeclaration(
        ((kind << _BITS | kind) << 3 * _BITS) | PROTOCOL << 2 * _BITS | SERVICE << _BITS | SERVICE,
        2 * _ADDRESS[family] + 12,
    )
    for family, kind in ((4, IPV4), (6, IPV6))
}
# Behind the marks of those who watch, before policy.
_HOOKS = {"forward": Hook(2, -1), "input": Hook(1, -1), "output": Hook(3, -1)}


def read_cut(socket: NetlinkSocket) -> set[Tuple]:
    """The flows that are in the table. Raises KernelError."""
    if read_table(socket, TABLE) is None:
        return set()
    try:
        return {
            _flow(one.key, family)
            for family, name in _SETS.items()
            for one in parse_elements(read_elements(socket, TABLE, name))
            if len(one.key) == _DECLARATIONS[family].key_length
        }
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return set()
        raise


def write_cut(socket: NetlinkSocket, flows: Collection[Tuple]) -> None:
    """Make the table anew with these flows, each as its first packet was forwarded, in one transaction.

    Raises:
        KernelError: nothing was changed.
    """
    requests = [new_table(TABLE), delete_table(TABLE)]
    if flows:
        requests += _table(flows)
    commit(socket, requests)


def _table(flows: Collection[Tuple]) -> Iterator[Request]:
    yield new_table(TABLE)
    for family, name in _SETS.items():
        yield new_set(TABLE, name, _DECLARATIONS[family])
        yield from add_elements(TABLE, name, [element(_key(one)) for one in flows if one.source.family == family])
    for chain, hook in _HOOKS.items():
        yield new_chain(TABLE, chain, hook)
        for family, name in _SETS.items():
            for ends in ((0, 1), (1, 0)):
                loads = of_family(family).expressions + _load(family, *ends)
                yield new_rule(TABLE, chain, loads + lookup(name) + counter() + verdict(Verdict.DROP))


def _load(family: int, first: int, second: int) -> bytes:
    """Addresses, protocol and ports: as they stand in the packet, or with its ends exchanged."""
    size = _ADDRESS[family]
    words = size // 4
    protocol = REGISTER + 2 * words
    return b"".join(
        (
            payload(NETWORK, _SOURCE_OFFSET[family] + first * size, size, REGISTER),
            payload(NETWORK, _SOURCE_OFFSET[family] + second * size, size, REGISTER + words),
            meta(Meta.L4PROTO, protocol),
            payload(TRANSPORT, 2 * first, 2, protocol + 1),
            payload(TRANSPORT, 2 * second, 2, protocol + 2),
        )
    )


def _key(flow: Tuple) -> bytes:
    ports = b"".join(one.to_bytes(2, "big") + bytes(2) for one in (flow.source_port, flow.destination_port))
    return flow.source.packed + flow.destination.packed + bytes((flow.protocol, 0, 0, 0)) + ports


def _flow(key: bytes, family: int) -> Tuple:
    size = _ADDRESS[family]
    source, destination, rest = key[:size], key[size : 2 * size], key[2 * size :]
    ports = (int.from_bytes(rest[4:6], "big"), int.from_bytes(rest[8:10], "big"))
    return Tuple(Cidr.from_bytes(source), Cidr.from_bytes(destination), rest[0], *ports)
