"""What texts and numbers of resources must look like: one predicate and one sentence for each format."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from tortie.api import canonical
from tortie.api.canonical import PROTOCOLS
from tortie.api.durations import nanoseconds
from tortie.api.prefixes import is_masked, is_port_number, read_peer, read_prefix

LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
"""A label of RFC 1123, without its limit of 63 characters."""

SUBDOMAIN = rf"{LABEL}(?:\.{LABEL})*"
"""Labels joined by dots."""

_QUALIFIED = rf"(?:(?P<prefix>{SUBDOMAIN})/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
SERVICE_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
"""A name of RFC 6335."""

_PORT_RANGE = re.compile(r"([0-9]{1,5}):([0-9]{1,5})")


class Format(msgspec.Struct, frozen=True):
    """A test of one value, and the sentence that says what would pass it."""

    accepts: Callable[[Any], bool]
    expected: str


def one_of(*values: int | str) -> Format:
    """One of a few values, compared with their type."""
    return Format(lambda value: value in values, "one of " + ", ".join(map(str, values)))


def between(low: int, high: int) -> Format:
    """A number from `low` to `high`, both included."""
    return Format(lambda value: low <= value <= high, f"a number from {low} to {high}")


def pattern(expression: str, expected: str, limit: int | None = None) -> Format:
    """Text that a regular expression matches as a whole, and not longer than `limit` characters."""
    matches = re.compile(expression).fullmatch
    return Format(lambda text: (limit is None or len(text) <= limit) and matches(text) is not None, expected)


def in_any_case(*values: str) -> Format:
    """One of a few texts, upper and lower case alike."""
    known = {value.lower() for value in values}
    return Format(lambda value: value.lower() in known, "one of " + ", ".join(values))


def _are_numeric_ports(value: int | str) -> bool:
    value = canonical.number_or_text(value)
    return _is_port(value) and (isinstance(value, int) or _PORT_RANGE.fullmatch(value) is not None)


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _is_port(value: int | str) -> bool:
    value = canonical.number_or_text(value)
    if isinstance(value, int):
        return is_port_number(value)
    limits = _PORT_RANGE.fullmatch(value)
    if limits is not None:
        return 1 <= int(limits[1]) <= int(limits[2]) <= 65535
    return re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", value) is not None


def _is_protocol(value: int | str) -> bool:
    value = canonical.protocol(value)
    return value in PROTOCOLS if isinstance(value, str) else 1 <= value <= 255


def _is_prefix(length: bool | None, masked: bool, families: Collection[int] = (4, 6)) -> Callable[[str], bool]:
    """A test for addresses; `length` says whether a prefix length must (True) or must not (False) be given."""

    def accepts(text: str) -> bool:
        interface = read_prefix(text)
        if interface is None or interface.version not in families:
            return False
        return (length is None or ("/" in text) is length) and (not masked or is_masked(interface))

    return accepts


def _is_single_address(text: str) -> bool:
    interface = read_prefix(text)
    return interface is not None and interface.network.prefixlen == interface.max_prefixlen


def is_community(text: str) -> bool:
    """`aa:nn` of 16 bits each, or `aa:nn:mm` of 32 bits each (RFC 1997, RFC 8092)."""
    parts = text.split(":")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 10 for part in parts):
        return False
    return len(parts) in (2, 3) and all(int(part) < (1 << 16 if len(parts) == 2 else 1 << 32) for part in parts)


def _is_wireguard_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _is_as_number(value: int | str) -> bool:
    value = canonical.as_number(value)
    return isinstance(value, int) and 0 <= value < 1 << 32


def _is_qualified(text: str) -> bool:
    match = re.fullmatch(_QUALIFIED, text)
    return match is not None and len(match["prefix"] or "") <= 253


def _is_dscp(value: int | str) -> bool:
    return 0 <= value <= 63 if isinstance(value, int) else value.upper() in DSCP_NAMES


PROTOCOLS_WITH_PORTS = frozenset({"TCP", "UDP", "SCTP", 6, 17, 132})
"""Protocols whose packets carry ports, in canonical spelling."""

DSCP_NAMES = frozenset(
    ["DF", "EF", *(f"AF{level}{drop}" for level in "1234" for drop in "123"), *(f"CS{level}" for level in range(7))]
)
"""Names of differentiated services code points."""

NAME = pattern(SUBDOMAIN, "lower-case letters, digits, '-' and '.', 253 characters at most", 253)
TIER_NAME = pattern(LABEL, "lower-case letters, digits and '-', without dots, 63 characters at most", 63)
GLOBAL_POLICY_NAME = pattern(
    rf"{LABEL}(?:\.{LABEL})?", "lower-case letters, digits, '-' and at most one '.', 253 characters at most", 253
)
POLICY_NAME = pattern(rf"{LABEL}(?:\.{LABEL})?|(?:knp|ossg)\.default\.{SUBDOMAIN}", GLOBAL_POLICY_NAME.expected, 253)
LABEL_KEY = Format(_is_qualified, "63 letters, digits, '-', '_', '.' at most, after an optional domain and '/'")
LABEL_VALUE = pattern(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
    "63 characters at most: letters, digits, '-', '_', '.', beginning and ending with a letter or digit",
    63,
)
ANNOTATION_KEY = Format(lambda text: _is_qualified(text.lower()), LABEL_KEY.expected)
PORT_NAME = pattern(r"[a-zA-Z0-9_.-]{1,128}", "1 to 128 letters, digits, '_', '.', '-'")
INTERFACE = pattern(r"[a-zA-Z0-9_.-]{1,15}", "1 to 15 letters, digits, '_', '.', '-'")
HOST_INTERFACE = pattern(r"\*|[a-zA-Z0-9_.-]{1,15}", f"* or {INTERFACE.expected}")
INTERFACE_GLOB = pattern(r"[a-zA-Z0-9_.*-]{1,15}", "1 to 15 letters, digits, '_', '.', '-', '*'")
INTERFACE_FILTER = pattern(
    r"[a-zA-Z0-9:._+-]{1,15}", "1 to 15 letters, digits, ':', '.', '_', '-', and '+' for any rest"
)
INTERFACE_PATTERN = pattern(
    r"(?!\*$)[a-zA-Z0-9_.*-]{1,15}", "1 to 15 letters, digits, '_', '.', '-', '*', not '*' alone"
)
CONTAINER_ID = pattern(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?", "letters, digits and '-'")
DURATION = Format(lambda text: nanoseconds(text) is not None, "a duration such as 30s, 1m30s or 2h")
DURATION_OR_AUTO = Format(lambda text: text == "Auto" or DURATION.accepts(text), f"{DURATION.expected}, or Auto")
REGEX = Format(_is_regex, "a regular expression")
SWITCHES = pattern(
    r"(?:[a-zA-Z0-9_-]+=(?:true|false|),)*(?:[a-zA-Z0-9_-]+=(?:true|false|))?", "a list such as A=true,B=false,C="
)
ASSIGNMENTS = pattern(r"(?:[a-zA-Z0-9_-]+=[^=,]+(?:,|$))*", "a list such as A=enabled,B=5")
MAC = pattern(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", "a MAC address such as ee:ee:ee:ee:ee:ee")
HTTP_PATH = pattern(r"/[^?# ]*", "a path that begins with '/' and holds no '?', '#' or space", 1024)
WIREGUARD_KEY = Format(_is_wireguard_key, "32 bytes in base64")
AS_NUMBER = Format(_is_as_number, "a number from 0 to 4294967295, or two halves such as 1.10")
COMMUNITY = Format(is_community, "aa:nn of 16 bits each, or aa:nn:mm of 32 bits each")
DSCP = Format(_is_dscp, "a number from 0 to 63, or a name such as EF, AF41, CS1")
PORT = Format(_is_port, "a number from 1 to 65535, a range low:high, or the name of a port")
NUMERIC_PORTS = Format(_are_numeric_ports, "a number from 1 to 65535, or a range low:high")
SERVICE_PORT = Format(
    lambda value: is_port_number(value) if isinstance(value, int) else SERVICE_PORT_NAME.fullmatch(value) is not None,
    "a number from 1 to 65535, or the name of a port: 15 lower-case letters, digits and '-' at most",
)
PROTOCOL = Format(_is_protocol, f"a number from 1 to 255 or one of {', '.join(PROTOCOLS)}")
PROTOCOL_WITH_PORTS = Format(
    lambda value: canonical.protocol(value) in PROTOCOLS_WITH_PORTS, "one of TCP, UDP, SCTP, 6, 17, 132"
)
ADDRESS = Format(_is_prefix(length=False, masked=False), "an IPv4 or IPv6 address")
IPV4_ADDRESS = Format(_is_prefix(length=False, masked=False, families=[4]), "an IPv4 address")
IPV6_ADDRESS = Format(_is_prefix(length=False, masked=False, families=[6]), "an IPv6 address")
IPV4_INTERFACE = Format(_is_prefix(length=None, masked=False, families=[4]), "an IPv4 address such as 10.0.0.5/24")
IPV6_INTERFACE = Format(_is_prefix(length=None, masked=False, families=[6]), "an IPv6 address such as fd00::5/64")
PREFIX = Format(_is_prefix(length=None, masked=False), "a prefix such as 10.0.0.0/8, or an address")
MASKED = Format(_is_prefix(length=None, masked=True), "a prefix without host bits, such as 10.0.0.0/8, or an address")
RULE_NET = Format(_is_prefix(length=True, masked=True), "a prefix without host bits, such as 10.0.0.0/8 or 10.1.2.3/32")
IPV4_NET = Format(_is_prefix(length=True, masked=True, families=[4]), "an IPv4 prefix without host bits")
IPV6_NET = Format(_is_prefix(length=True, masked=True, families=[6]), "an IPv6 prefix without host bits")
SINGLE_ADDRESS = Format(_is_single_address, "one address, such as 10.0.0.1/32 or fd00::1/128")
PEER = Format(lambda text: read_peer(text) is not None, "an address, or one with a port: 10.0.0.1:179, [fd00::1]:179")
NOT_EVERYTHING = Format(
    lambda text: RULE_NET.accepts(text) and not text.endswith("/0"), f"{RULE_NET.expected}; /0 would match nothing"
)
