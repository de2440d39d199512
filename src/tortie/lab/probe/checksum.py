"""Checksums of hand-made packets: CRC-32C (RFC 9260 appendix A) and the Internet checksum (RFC 1071)."""

from __future__ import annotations

import struct

_POLYNOMIAL = 0x82F63B78


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_entry(value) for value in range(256))


def crc32c(data: bytes) -> int:
    """CRC-32C, reflected, as SCTP carries it in little-endian order."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def internet_checksum(data: bytes) -> int:
    """One's complement of the one's complement sum of 16-bit words in network order."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
