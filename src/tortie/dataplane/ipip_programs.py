"""IP in IP (RFC 2003) by two programs: one puts packets that leave by the tunnel's device into others, one takes them
out.

The device's neighbours carry the address of the node that packets go to, in their hardware addresses: the programs need
no table of routes. What comes in is taken out only where its source is a node. Pure.
"""

from __future__ import annotations

from tortie.base.addresses import Cidr
from tortie.dataplane.bpf.assembler import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    STACK,
    Arithmetic,
    Helper,
    Jump,
    Label,
    Line,
    Size,
    assemble,
    calculate,
    call,
    copy,
    jump,
    leave,
    load,
    load_map,
    move,
    number,
    store,
    store_bytes,
)

MAC_PREFIX = bytes((0x66, 0x04))
"""First bytes of hardware addresses that stand for nodes: locally administered, and of one station."""
DEVICE_MAC = MAC_PREFIX + bytes(4)

_OK, _DROP, _CONTINUE = 0, 2, -1
_PROTOCOL, _DATA, _DATA_END = 16, 76, 80
"""Places in struct __sk_buff."""
_IPV4 = number(bytes((0x08, 0x00)))
_ETHERNET, _HEADER = 14, 20
_TIME_TO_LIVE, _IPIP = 64, 4
_AT_ADDRESSES, _ENCAPSULATES_IPV4, _FIXED_SEGMENTS = 1, 2, 1
_FRAGMENTED = number(bytes((0x3F, 0xFF)))
_ARRIVING = 1


def mac_of(node: Cidr) -> str:
    """The hardware address that stands for a node, by its IPv4 address."""
    return (MAC_PREFIX + node.packed).hex(":")


def leaving(own: Cidr, parent: int) -> bytes:
    """For what leaves by the tunnel's device: it goes to a node by the device underneath.

    Args:
        own: this node's address, which outer packets come from.
        parent: index of the device that has it.
    """
    header = _HEADER + 4
    at = STACK, -header
    lines: list[Line] = [
        copy(R6, R1),
        *_with_packet(_ETHERNET + _HEADER, "drop"),
        load(Size.HALF, R4, R2, 0),
        jump("drop", Jump.NOT_EQUAL, R4, number=number(MAC_PREFIX)),
        load(Size.HALF, R4, R2, 12),
        jump("drop", Jump.NOT_EQUAL, R4, number=_IPV4),
        load(Size.WORD, R7, R2, 2),
        # Version and length, then the kind of service of the packet inside.
        *store_bytes(STACK, -header, bytes((0x45, 0, 0, 0, 0, 0, 0x40, 0, _TIME_TO_LIVE, _IPIP, 0, 0)) + own.packed),
        load(Size.BYTE, R4, R2, _ETHERNET + 1),
        store(Size.BYTE, *_place(at, 1), R4),
        # Its length and our 20 bytes: in the network's order by hand.
        load(Size.BYTE, R4, R2, _ETHERNET + 2),
        load(Size.BYTE, R5, R2, _ETHERNET + 3),
        *_twenty_more(),
        store(Size.BYTE, *_place(at, 2), R4),
        store(Size.BYTE, *_place(at, 3), R5),
        store(Size.WORD, *_place(at, 16), R7),
        *_checksum(at),
        store(Size.HALF, *_place(at, 10), R0),
        copy(R1, R6),
        move(R2, _HEADER),
        move(R3, _AT_ADDRESSES),
        move(R4, _ENCAPSULATES_IPV4 | _FIXED_SEGMENTS),
        call(Helper.ADJUST_ROOM),
        jump("drop", Jump.NOT_EQUAL, R0),
        *_write(_ETHERNET, at, _HEADER),
        jump("drop", Jump.NOT_EQUAL, R0),
        move(R1, parent),
        move(R2, 0),
        move(R3, 0),
        move(R4, 0),
        call(Helper.REDIRECT_NEIGHBOUR),
        leave(),
        Label("drop"),
        move(R0, _DROP),
        leave(),
    ]
    return assemble(lines)


def arriving(own: Cidr, device: int, sources: int) -> bytes:
    """For what arrives by the device underneath: what a node sends to this one arrives by the tunnel's device.

    Args:
        own: this node's address.
        device: index of the tunnel's.
        sources: descriptor of the map of who may send.
    """
    whole = _ETHERNET + 2 * _HEADER
    lines: list[Line] = [
        copy(R6, R1),
        load(Size.WORD, R4, R1, _PROTOCOL),
        jump("others", Jump.NOT_EQUAL, R4, number=_IPV4),
        *_with_packet(whole, "short"),
        jump("look"),
        Label("short"),
        copy(R1, R6),
        move(R2, whole),
        call(Helper.PULL_DATA),
        *_with_packet(whole, "others"),
        Label("look"),
        load(Size.BYTE, R4, R2, _ETHERNET + 9),
        jump("others", Jump.NOT_EQUAL, R4, number=_IPIP),
        load(Size.WORD, R4, R2, _ETHERNET + 16),
        move(R5, number(own.packed)),
        # Words are loaded without a sign.
        *_without_sign(R5),
        jump("others", Jump.NOT_EQUAL, R4, by=R5),
        load(Size.BYTE, R4, R2, _ETHERNET),
        jump("others", Jump.NOT_EQUAL, R4, number=0x45),
        load(Size.HALF, R4, R2, _ETHERNET + 6),
        calculate(Arithmetic.AND, R4, number=_FRAGMENTED),
        jump("others", Jump.NOT_EQUAL, R4),
        load(Size.BYTE, R4, R2, _ETHERNET + _HEADER),
        calculate(Arithmetic.RIGHT, R4, number=4),
        jump("drop", Jump.NOT_EQUAL, R4, number=4),
        load(Size.WORD, R4, R2, _ETHERNET + 12),
        store(Size.WORD, STACK, -4, R4),
        move(R4, 32),
        store(Size.WORD, STACK, -8, R4),
        *load_map(R1, sources),
        copy(R2, STACK),
        calculate(Arithmetic.ADD, R2, number=-8),
        call(Helper.MAP_LOOKUP),
        jump("drop", Jump.EQUAL, R0),
        copy(R1, R6),
        move(R2, -_HEADER),
        move(R3, _AT_ADDRESSES),
        move(R4, _FIXED_SEGMENTS),
        call(Helper.ADJUST_ROOM),
        jump("drop", Jump.NOT_EQUAL, R0),
        *store_bytes(STACK, -8, DEVICE_MAC),
        *_write(0, (STACK, -8), len(DEVICE_MAC)),
        move(R1, device),
        move(R2, _ARRIVING),
        call(Helper.REDIRECT),
        leave(),
        Label("drop"),
        move(R0, _DROP),
        leave(),
        Label("others"),
        move(R0, _CONTINUE),
        leave(),
    ]
    return assemble(lines)


def _with_packet(length: int, otherwise: str) -> list[Line]:
    """R2 is where the packet begins, if so many bytes of it can be read."""
    return [
        load(Size.WORD, R2, R6, _DATA),
        load(Size.WORD, R3, R6, _DATA_END),
        copy(R4, R2),
        calculate(Arithmetic.ADD, R4, number=length),
        jump(otherwise, Jump.GREATER, R4, by=R3),
    ]


def _twenty_more() -> list[Line]:
    """R4 and R5, high and low byte of a length, for one that is 20 bytes more."""
    return [
        calculate(Arithmetic.ADD, R5, number=_HEADER),
        copy(R8, R5),
        calculate(Arithmetic.RIGHT, R8, number=8),
        calculate(Arithmetic.ADD, R4, by=R8),
    ]


def _checksum(at: tuple[int, int]) -> list[Line]:
    """R0 is that of the header (RFC 1071), in which it is still 0."""
    fold: list[Line] = [
        copy(R1, R0),
        calculate(Arithmetic.RIGHT, R1, number=16),
        calculate(Arithmetic.AND, R0, number=0xFFFF),
        calculate(Arithmetic.ADD, R0, by=R1),
    ]
    return [
        move(R1, 0),
        move(R2, 0),
        copy(R3, at[0]),
        calculate(Arithmetic.ADD, R3, number=at[1]),
        move(R4, _HEADER),
        move(R5, 0),
        call(Helper.CSUM_DIFF),
        *fold,
        *fold,
        calculate(Arithmetic.XOR, R0, number=0xFFFF),
    ]


def _write(offset: int, at: tuple[int, int], length: int) -> list[Line]:
    """Bytes of the stack into the packet; R0 is 0 when that was done."""
    return [
        copy(R1, R6),
        move(R2, offset),
        copy(R3, at[0]),
        calculate(Arithmetic.ADD, R3, number=at[1]),
        move(R4, length),
        move(R5, 0),
        call(Helper.STORE_BYTES),
    ]


def _without_sign(register: int) -> list[Line]:
    return [
        calculate(Arithmetic.LEFT, register, number=32),
        calculate(Arithmetic.RIGHT, register, number=32),
    ]


def _place(at: tuple[int, int], offset: int) -> tuple[int, int]:
    return at[0], at[1] + offset
