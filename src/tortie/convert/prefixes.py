"""Prefixes as Kubernetes policies spell them."""

from __future__ import annotations

from tortie.base.addresses import Cidr
from tortie.convert.converted import Unconvertible


def prefix(text: str, path: str) -> Cidr:
    """A prefix with its length; host bits are masked away.

    Args:
        path: where the text stands.

    Raises:
        Unconvertible: it is none, or has no length.
    """
    try:
        cidr = Cidr.parse(text)
    except ValueError as error:
        raise Unconvertible(path, f"{text!r} is not a prefix", "write it as 10.0.0.0/8 or fd00::/8") from error
    if "%" in text or not text.partition("/")[2].isdigit():
        raise Unconvertible(path, f"{text!r} has no prefix length", "write it as 10.0.0.0/8 or fd00::/8")
    return cidr
