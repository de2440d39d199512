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
from tortie.api.shapes import Between, OneOf, Pattern, Shape

LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
"""A label of RFC 1123, without its limit of 63 characters."""

SUBDOMAIN = rf"{LABEL}(?:\.{LABEL})*"
"""Labels joined by dots."""

_QUALIFIED = rf"(?:{SUBDOMAIN}/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
_QUALIFIED_LENGTH = 253 + 1 + 63
SERVICE_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
"""A name of RFC 6335."""

_PORT_RANGE = re.compile(r"([0-9]{1,5}):([0-9]{1,5})")


class Format(msgspec.Struct, frozen=True):
    """A test of one value, the sentence that says what would pass it, and as much of it as can be said as data."""

    accepts: Callable[[Any], bool]
    expected: str
    shapes: tuple[Shape, ...] = ()


def one_of(*values: int | str) -> Format:
    """One of a few values, compared with their type."""
    return Format(lambda value: value in values, "one of " + ", ".join(map(str, values)), (OneOf(values),))


def between(low: int, high: int) -> Format:
    """A number from `low` to `high`, both included."""
    return Format(lambda value: low <= value <= high, f"a number from {low} to {high}", (Between(low, high),))


def pattern(expression: str, expected: str, limit: int | None = None) -> Format:
    """Text that a regular expression matches as a whole, and not longer than `limit` characters."""
    matches = re.compile(expression).fullmatch
    return Format(
        lambda text: (limit is None or len(text) <= limit) and matches(text) is not None,
        expected,
        (Pattern(expression, limit),),
    )


def in_any_case(*values: str) -> Format:
    """One of a few texts, upper and lower case alike."""
    known = {value.lower() for value in values}
    return Format(lambda value: value.lower() in known, "one of " + ", ".join(values), (OneOf(values, any_case=True),))


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
    prefix = text.rpartition("/")[0]
    return len(prefix) <= 253 and re.fullmatch(_QUALIFIED, text) is not None


def _is_dscp(value: int | str) -> bool:
    return 0 <= value <= 63 if isinstance(value, int) else value.upper() in DSCP_NAMES


PROTOCOLS_WITH_PORTS = frozenset({"TCP", "UDP", "SCTP", 6, 17, 132})
"""Protocols whose packets carry ports, in canonical spelling."""

DSCP_NAMES = frozenset(
    ["DF", "EF", *(f"AF{level}{drop}" for level in "1234" for drop in "123"), *(f"CS{level}" for level in range(7))]
)
"""Names of differentiated services code points."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]+"
_ADDRESS = rf"{_IPV4}|{_IPV6}"
_IPV4_LENGTH = r"/(?:[12]?[0-9]|3[0-2])"
_IPV6_LENGTH = r"/(?:[1-9]?[0-9]|1[01][0-9]|12[0-8])"
_DIGITS = r"[0-9]{1,19}"
_PORT_RANGE_TEXT = r"[0-9]{1,5}:[0-9]{1,5}"
_PORT_NAME = r"[a-zA-Z0-9_.-]{1,128}"
_INTERFACE = r"[a-zA-Z0-9_.-]{1,15}"
_DURATION = r"0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+"
_PORT_NUMBER = Between(1, 65535)

NAME = pattern(SUBDOMAIN, "lower-case letters, digits, '-' and '.', 253 characters at most", 253)
TIER_NAME = pattern(LABEL, "lower-case letters, digits and '-', without dots, 63 characters at most", 63)
NAMESPACE_NAME = TIER_NAME
GLOBAL_POLICY_NAME = pattern(
    rf"{LABEL}(?:\.{LABEL})?", "lower-case letters, digits, '-' and at most one '.', 253 characters at most", 253
)
POLICY_NAME = pattern(rf"{LABEL}(?:\.{LABEL})?|(?:knp|ossg)\.default\.{SUBDOMAIN}", GLOBAL_POLICY_NAME.expected, 253)
LABEL_KEY = Format(
    _is_qualified,
    "63 letters, digits, '-', '_', '.' at most, after an optional domain and '/'",
    (Pattern(_QUALIFIED, _QUALIFIED_LENGTH),),
)
LABEL_VALUE = pattern(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
    "63 characters at most: letters, digits, '-', '_', '.', beginning and ending with a letter or digit",
    63,
)
ANNOTATION_KEY = Format(
    lambda text: text.isascii() and _is_qualified(text.lower()),
    LABEL_KEY.expected,
    (Pattern(_QUALIFIED.replace("a-z0-9", "A-Za-z0-9"), _QUALIFIED_LENGTH),),
)
PORT_NAME = pattern(_PORT_NAME, "1 to 128 letters, digits, '_', '.', '-'")
INTERFACE = pattern(_INTERFACE, "1 to 15 letters, digits, '_', '.', '-'")
HOST_INTERFACE = pattern(rf"\*|{_INTERFACE}", f"* or {INTERFACE.expected}")
INTERFACE_GLOB = pattern(r"[a-zA-Z0-9_.*-]{1,15}", "1 to 15 letters, digits, '_', '.', '-', '*'")
INTERFACE_FILTER = pattern(
    r"[a-zA-Z0-9:._+-]{1,15}", "1 to 15 letters, digits, ':', '.', '_', '-', and '+' for any rest"
)
INTERFACE_PATTERN = pattern(
    r"[a-zA-Z0-9_.-][a-zA-Z0-9_.*-]{0,14}|\*[a-zA-Z0-9_.*-]{1,14}",
    "1 to 15 letters, digits, '_', '.', '-', '*', not '*' alone",
)
CONTAINER_ID = pattern(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?", "letters, digits and '-'")
DURATION = Format(
    lambda text: nanoseconds(text) is not None, "a duration such as 30s, 1m30s or 2h", (Pattern(_DURATION),)
)
DURATION_OR_AUTO = Format(
    lambda text: text == "Auto" or DURATION.accepts(text),
    f"{DURATION.expected}, or Auto",
    (Pattern(rf"Auto|{_DURATION}"),),
)
REGEX = Format(_is_regex, "a regular expression")
SWITCHES = pattern(
    r"(?:[a-zA-Z0-9_-]+=(?:true|false|),)*(?:[a-zA-Z0-9_-]+=(?:true|false|))?", "a list such as A=true,B=false,C="
)
ASSIGNMENTS = pattern(r"(?:[a-zA-Z0-9_-]+=[^=,]+(?:,|$))*", "a list such as A=enabled,B=5")
MAC = pattern(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", "a MAC address such as ee:ee:ee:ee:ee:ee")
HTTP_PATH = pattern(r"/[^?# ]*", "a path that begins with '/' and holds no '?', '#' or space", 1024)
WIREGUARD_KEY = Format(_is_wireguard_key, "32 bytes in base64", (Pattern(r"[A-Za-z0-9+/]{43}="),))
AS_NUMBER = Format(
    _is_as_number,
    "a number from 0 to 4294967295, or two halves such as 1.10",
    (Between(0, 2**32 - 1), Pattern(rf"{_DIGITS}|[0-9]{{1,5}}\.[0-9]{{1,5}}")),
)
COMMUNITY = Format(
    is_community,
    "aa:nn of 16 bits each, or aa:nn:mm of 32 bits each",
    (Pattern(r"[0-9]{1,10}:[0-9]{1,10}(?::[0-9]{1,10})?"),),
)
DSCP = Format(
    _is_dscp,
    "a number from 0 to 63, or a name such as EF, AF41, CS1",
    (Between(0, 63), OneOf(tuple(sorted(DSCP_NAMES)), any_case=True)),
)
PORT = Format(
    _is_port,
    "a number from 1 to 65535, a range low:high, or the name of a port",
    (_PORT_NUMBER, Pattern(rf"{_PORT_RANGE_TEXT}|{_PORT_NAME}")),
)
NUMERIC_PORTS = Format(
    _are_numeric_ports,
    "a number from 1 to 65535, or a range low:high",
    (_PORT_NUMBER, Pattern(rf"{_PORT_RANGE_TEXT}|{_DIGITS}")),
)
SERVICE_PORT = Format(
    lambda value: is_port_number(value) if isinstance(value, int) else SERVICE_PORT_NAME.fullmatch(value) is not None,
    "a number from 1 to 65535, or the name of a port: 15 lower-case letters, digits and '-' at most",
    (_PORT_NUMBER, Pattern(r"[a-z0-9]+(?:-[a-z0-9]+)*", 15)),
)
PROTOCOL = Format(
    _is_protocol,
    f"a number from 1 to 255 or one of {', '.join(PROTOCOLS)}",
    (Between(1, 255), OneOf(PROTOCOLS, any_case=True), Pattern(_DIGITS)),
)
PROTOCOL_WITH_PORTS = Format(
    lambda value: canonical.protocol(value) in PROTOCOLS_WITH_PORTS,
    "one of TCP, UDP, SCTP, 6, 17, 132",
    (OneOf((6, 17, 132)), OneOf(("TCP", "UDP", "SCTP"), any_case=True), Pattern(_DIGITS)),
)
ADDRESS = Format(_is_prefix(length=False, masked=False), "an IPv4 or IPv6 address", (Pattern(_ADDRESS),))
IPV4_ADDRESS = Format(
    _is_prefix(length=False, masked=False, families=[4]),
    "an IPv4 address",
    (Pattern(_IPV4),),
)
IPV6_ADDRESS = Format(
    _is_prefix(length=False, masked=False, families=[6]),
    "an IPv6 address",
    (Pattern(_IPV6),),
)
IPV4_INTERFACE = Format(
    _is_prefix(length=None, masked=False, families=[4]),
    "an IPv4 address such as 10.0.0.5/24",
    (Pattern(rf"{_IPV4}(?:{_IPV4_LENGTH})?"),),
)
IPV6_INTERFACE = Format(
    _is_prefix(length=None, masked=False, families=[6]),
    "an IPv6 address such as fd00::5/64",
    (Pattern(rf"{_IPV6}(?:{_IPV6_LENGTH})?"),),
)
_PREFIX_SHAPE = Pattern(rf"{_IPV4}(?:{_IPV4_LENGTH})?|{_IPV6}(?:{_IPV6_LENGTH})?")
_NET_SHAPE = Pattern(rf"{_IPV4}{_IPV4_LENGTH}|{_IPV6}{_IPV6_LENGTH}")
PREFIX = Format(
    _is_prefix(length=None, masked=False),
    "a prefix such as 10.0.0.0/8, or an address",
    (_PREFIX_SHAPE,),
)
MASKED = Format(
    _is_prefix(length=None, masked=True),
    "a prefix without host bits, such as 10.0.0.0/8, or an address",
    (_PREFIX_SHAPE,),
)
RULE_NET = Format(
    _is_prefix(length=True, masked=True),
    "a prefix without host bits, such as 10.0.0.0/8 or 10.1.2.3/32",
    (_NET_SHAPE,),
)
IPV4_NET = Format(
    _is_prefix(length=True, masked=True, families=[4]),
    "an IPv4 prefix without host bits",
    (Pattern(rf"{_IPV4}{_IPV4_LENGTH}"),),
)
IPV6_NET = Format(
    _is_prefix(length=True, masked=True, families=[6]),
    "an IPv6 prefix without host bits",
    (Pattern(rf"{_IPV6}{_IPV6_LENGTH}"),),
)
SINGLE_ADDRESS = Format(
    _is_single_address,
    "one address, such as 10.0.0.1/32 or fd00::1/128",
    (Pattern(rf"{_IPV4}(?:/32)?|{_IPV6}(?:/128)?"),),
)
PEER = Format(
    lambda text: read_peer(text) is not None,
    "an address, or one with a port: 10.0.0.1:179, [fd00::1]:179",
    (Pattern(rf"(?:{_IPV4}|\[(?:{_ADDRESS})\]):[0-9]{{1,5}}|{_ADDRESS}"),),
)
NOT_EVERYTHING = Format(
    lambda text: RULE_NET.accepts(text) and not text.endswith("/0"),
    f"{RULE_NET.expected}; /0 would match nothing",
    (_NET_SHAPE,),
)
