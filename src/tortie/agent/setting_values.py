"""Readers of setting values: flags, numbers, times and names; each raises ValueError saying what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address

_DIGITS = re.compile(r"[0-9]{1,5}")
_REGION = re.compile(r"[a-z0-9]([-a-z0-9]{0,44}[a-z0-9])?")
_WORDS = {True: ("true", "yes", "y", "t", "1"), False: ("false", "no", "n", "f", "0")}
_MOST_SECONDS = 10**6
"""More than any of these times is meant to be; etcd refuses lifetimes that are much longer."""


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these, in any case."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"use one of {', '.join(choices)}")

    return parse


def port(text: str) -> int:
    """A port, or 0 for none."""
    if not _DIGITS.fullmatch(text) or int(text) > 65535:
        raise ValueError("use a port from 1 to 65535, or 0 for none")
    return int(text)


def burst(text: str) -> int:
    """A number of messages."""
    if not _DIGITS.fullmatch(text) or int(text) > 9999:
        raise ValueError("use a number from 0 to 9999")
    return int(text)


def group(text: str) -> int | None:
    """A group of nflog, or nothing."""
    if text and (not _DIGITS.fullmatch(text) or int(text) > 65535):
        raise ValueError("use a number from 0 to 65535, or nothing")
    return int(text) if text else None


def flag(text: str) -> bool:
    """Yes or no, in the words that Felix knows."""
    for meaning, words in _WORDS.items():
        if text.lower() in words:
            return meaning
    raise ValueError("use true or false")


def positive_seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < float("inf"):
        raise ValueError("use a number of seconds above 0")
    return value


def seconds(text: str) -> float:
    """A time, or 0 for none."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _MOST_SECONDS:
        raise ValueError(f"use a number of seconds from 0 to {_MOST_SECONDS}")
    return value


def optional_seconds(text: str) -> float | None:
    """A time, 0 for none, or nothing."""
    return seconds(text) if text else None


def whole_seconds(text: str) -> int:
    """A time of at least a second."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MOST_SECONDS:
        raise ValueError(f"use a whole number of seconds from 1 to {_MOST_SECONDS}")
    return int(text)


def region(text: str) -> str:
    """A region of OpenStack (a DNS label of up to 46 characters), or nothing."""
    if text and not _REGION.fullmatch(text):
        raise ValueError("use up to 46 of the letters a to z, digits and dashes, as in neutron.conf")
    return text


def router_id(text: str) -> str:
    """A BGP identity: a dotted quad, `hash`, or nothing. Raises ValueError."""
    if text in ("", "hash"):
        return text
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("use a dotted quad such as 10.0.0.1, hash, or nothing") from None


def route_priority(text: str) -> int:
    """A metric of the kernel, below what BGP can carry."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < (1 << 31) - 1:
        raise ValueError("use a number from 1 to 2147483646")
    return int(text)
