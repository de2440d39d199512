"""Stable hashes: the same on every node, in every release, for the same text."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode


def unique_id(prefix: str, content: str) -> str:
    """`prefix:` and the unpadded URL-safe base64 of SHA-224 over `prefix:content`.

    The identity of an IP set, from the canonical text that defines it.
    """
    digest = hashlib.sha224(f"{prefix}:{content}".encode()).digest()
    return f"{prefix}:{urlsafe_b64encode(digest).decode().rstrip('=')}"


def short_hash(content: str | bytes, length: int = 16) -> str:
    """Hexadecimal digits of BLAKE2b, for names of kernel objects."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(data, digest_size=32).hexdigest()[:length]


def hash64(content: str | bytes) -> int:
    """A 64-bit identity, never 0."""
    data = content.encode() if isinstance(content, str) else content
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1
