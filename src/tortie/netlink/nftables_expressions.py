"""Expressions of nf_tables rules, packed (linux/netfilter/nf_tables.h).

A rule is a sequence of these joined. Registers are the 4-byte ones, numbered from `REGISTER`; a value
of n bytes takes the next n/4 of them. Values of the packet are in network order, those of the
kernel (marks, conntrack states) in host order.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache

from tortie.netlink.wire import attribute, be16, be32, be64, nested, text

REGISTER = 8
"""The first 4-byte register, NFT_REG32_00; there are 16."""
VERDICT_REGISTER = 0
_PORT_REGISTER = REGISTER + 14
_AF = {4: 2, 6: 10}

NETWORK = 1
TRANSPORT = 2

_LIST_ELEMENT = 1
_NAME = 1
_DATA = 2
_DATA_VALUE = 1
_DATA_VERDICT = 2
_VERDICT_CODE = 1
_VERDICT_CHAIN = 2
_LOOKUP_INVERTED = 1
_LIMIT_INVERTED = 1
_LIMIT_PACKETS = 0
_SPECIFIED, _FULLY_RANDOM = 1 << 1, 1 << 4
_ICMPX_UNREACHABLE, _TCP_RESET, _PORT_UNREACHABLE = 2, 1, 1


class Meta(IntEnum):
    """Keys of `meta`: mark and interface indexes in host order, names as 16 bytes."""

    MARK = 3
    IIFNAME = 6
    OIFNAME = 7
    NFTRACE = 12
    NFPROTO = 15
    L4PROTO = 16


class Conntrack(IntEnum):
    """Keys of `ct`: 4-byte bit fields in host order."""

    STATE = 0
    STATUS = 2
    MARK = 3


class Operator(IntEnum):
    """Comparisons of `cmp`."""

    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    LESS_OR_EQUAL = 3
    GREATER = 4
    GREATER_OR_EQUAL = 5


class Verdict(IntEnum):
    """What an immediate verdict or the data of a verdict map does."""

    DROP = 0
    ACCEPT = 1
    JUMP = -3
    GOTO = -4
    RETURN = -5


def expression(name: str, *attributes: bytes) -> bytes:
    """One expression by its kernel name."""
    return nested(_LIST_ELEMENT, text(_NAME, name), nested(_DATA, *attributes))


def value(kind: int, data: bytes) -> bytes:
    """An attribute that holds a literal value."""
    return nested(kind, attribute(_DATA_VALUE, data))


def verdict_data(kind: int, code: Verdict, chain: str = "") -> bytes:
    """An attribute that holds a verdict; `chain` for jump and goto."""
    target = text(_VERDICT_CHAIN, chain) if chain else b""
    return nested(kind, nested(_DATA_VERDICT, attribute(_VERDICT_CODE, struct.pack(">i", code)), target))


def payload(base: int, offset: int, length: int, register: int = REGISTER) -> bytes:
    """Load bytes of a header; the rule does not match when the packet is too short."""
    return expression("payload", be32(1, register), be32(2, base), be32(3, offset), be32(4, length))


def set_payload(base: int, offset: int, length: int, checksum: int = 0, register: int = REGISTER) -> bytes:
    """Store a register into a header; `checksum` is where the header's own checksum is, 0 if it has none."""
    where = be32(2, base) + be32(3, offset) + be32(4, length) + be32(5, register)
    return expression("payload", where, be32(6, 1) + be32(7, checksum) if checksum else b"")


def meta(key: Meta, register: int = REGISTER) -> bytes:
    """Load what the kernel knows of the packet."""
    return expression("meta", be32(1, register), be32(2, key))


def set_meta(key: Meta, register: int = REGISTER) -> bytes:
    """Store a register, such as into the mark."""
    return expression("meta", be32(2, key), be32(3, register))


def conntrack(key: Conntrack, register: int = REGISTER) -> bytes:
    """Load a field of the packet's conntrack entry."""
    return expression("ct", be32(1, register), be32(2, key))


@lru_cache(4096)
def compare(data: bytes, operator: Operator = Operator.EQUAL, register: int = REGISTER) -> bytes:
    """Match when the register compares so with `data`, over the length of `data`."""
    return expression("cmp", be32(1, register), be32(2, operator), value(3, data))


def in_range(first: bytes, last: bytes, inverted: bool = False, register: int = REGISTER) -> bytes:
    """Match when the register is between `first` and `last`, both included, as big-endian numbers."""
    return expression("range", be32(1, register), be32(2, int(inverted)), value(3, first), value(4, last))


def bitwise(mask: bytes, xor: bytes, register: int = REGISTER) -> bytes:
    """Replace the register by (register & mask) ^ xor."""
    length = be32(3, len(mask))
    return expression("bitwise", be32(1, register), be32(2, register), length, value(4, mask), value(5, xor))


def lookup(set_name: str, inverted: bool = False, register: int = REGISTER, set_id: int = 0) -> bytes:
    """Match when the registers are (not) in a set; `set_id` names a set of the same batch."""
    return expression(
        "lookup",
        text(1, set_name),
        be32(2, register),
        be32(4, set_id) if set_id else b"",
        be32(5, _LOOKUP_INVERTED) if inverted else b"",
    )


def map_lookup(map_name: str, result: int = VERDICT_REGISTER, register: int = REGISTER) -> bytes:
    """Load the data of a map, or carry out its verdict; does not match when the key is absent."""
    return expression("lookup", text(1, map_name), be32(2, register), be32(3, result))


def immediate(data: bytes, register: int = REGISTER) -> bytes:
    """Load a literal."""
    return expression("immediate", be32(1, register), value(2, data))


def verdict(code: Verdict, chain: str = "") -> bytes:
    """End the rule with a verdict."""
    return expression("immediate", be32(1, VERDICT_REGISTER), verdict_data(2, code, chain))


def counter(packets: int = 0, octets: int = 0) -> bytes:
    """Count packets and bytes that get this far, starting from the given figures."""
    return expression("counter", be64(1, octets), be64(2, packets))


def log(prefix: str, group: int | None = None, snaplen: int = 0, level: int | None = None) -> bytes:
    """Log with a prefix of up to 127 bytes: to an nflog group, or to the kernel's log when `group` is None.

    `level` is one of syslog, for the kernel's log only; it is warning when not given.
    """
    destination = be16(1, group) if group is not None else b"" if level is None else be32(5, level)
    length = be32(3, snaplen) if group is not None and snaplen else b""
    return expression("log", destination, text(2, prefix), length)


def limit(rate: int, seconds: int, burst: int, over: bool = False) -> bytes:
    """Match while packets stay within (or, with `over`, beyond) `rate` per so many seconds."""
    flags = be32(5, _LIMIT_INVERTED) if over else b""
    return expression("limit", be64(1, rate), be64(2, seconds), be32(3, burst), be32(4, _LIMIT_PACKETS), flags)


def connection_limit(count: int, over: bool = False) -> bytes:
    """Match while no more than `count` connections (or, with `over`, more) came this far and are not closed."""
    return expression("connlimit", be32(1, count), be32(2, _LIMIT_INVERTED) if over else b"")


def add_to_set(set_name: str, state: bytes, register: int = REGISTER) -> bytes:
    """Make an element of a register unless it is there, and then ask its state, an expression, whether it matches."""
    # An expression comes wrapped as an item of a list; here it stands by itself.
    return expression("dynset", text(1, set_name), be32(3, 0), be32(4, register), nested(7, state[4:]))


def fib(result: int, flags: int, register: int = REGISTER) -> bytes:
    """Load a result of a routing look-up (NFT_FIB_RESULT_*, NFTA_FIB_F_*)."""
    return expression("fib", be32(1, register), be32(2, result), be32(3, flags))


def notrack() -> bytes:
    """Keep the packet out of conntrack; in raw chains only."""
    return expression("notrack")


def masquerade(ports: tuple[int, int] | None = None) -> bytes:
    """Translate the source to the address of the interface that the packet leaves by, with a random port.

    `ports` are the first and last that may be taken; only for protocols that have ports.
    """
    loaded, registers = _ports(ports, (2, 3))
    return loaded + expression("masq", be32(1, _nat_flags(ports)), registers)


def source_translation(family: int, register: int = REGISTER, ports: tuple[int, int] | None = None) -> bytes:
    """Translate the source to the address in a register, with a random port; `ports` as in `masquerade`."""
    loaded, registers = _ports(ports, (5, 6))
    flags = be32(7, _nat_flags(ports))
    return loaded + expression("nat", be32(1, 0), be32(2, _AF[family]), be32(3, register), registers, flags)


def destination_translation(family: int, register: int = REGISTER, port: int = 0) -> bytes:
    """Translate the destination to the address in a register and, if one is given, to a port."""
    loaded, registers = _ports((port, port) if port else None, (5, 6))
    return loaded + expression("nat", be32(1, 1), be32(2, _AF[family]), be32(3, register), registers)


def reject(reset: bool = False) -> bytes:
    """Drop the packet and tell its sender: port unreachable, or, with `reset`, a reset of TCP."""
    if reset:
        return expression("reject", be32(1, _TCP_RESET), attribute(2, b"\0"))
    return expression("reject", be32(1, _ICMPX_UNREACHABLE), attribute(2, bytes((_PORT_UNREACHABLE,))))


def _ports(ports: tuple[int, int] | None, attributes: tuple[int, int]) -> tuple[bytes, bytes]:
    """What loads two ports into the last registers, and the attributes that say so."""
    if ports is None:
        return b"", b""
    registers = (_PORT_REGISTER, _PORT_REGISTER + 1)
    loaded = b"".join(
        immediate(port.to_bytes(2, "big"), register) for port, register in zip(ports, registers, strict=True)
    )
    return loaded, b"".join(be32(kind, one) for kind, one in zip(attributes, registers, strict=True))


def _nat_flags(ports: tuple[int, int] | None) -> int:
    return _FULLY_RANDOM | (_SPECIFIED if ports else 0)


def host32(number: int) -> bytes:
    """Four bytes in host order, for marks and conntrack states."""
    return struct.pack("=I", number)
