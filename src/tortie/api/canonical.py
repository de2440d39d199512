"""One spelling for each value: protocols, ports, AS numbers and prefixes as they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from tortie.api.prefixes import is_masked, read_prefix
from tortie.api.rules import EntityRule, Port, Protocol, Rule

PROTOCOLS = ("TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite")
"""Names of protocols, as stored; readers accept any case."""

_BY_LOWER_CASE = {name.lower(): name for name in PROTOCOLS}
_DOTTED = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})")
_NO_SIDE = EntityRule()


def number_or_text(value: int | str) -> int | str:
    """Decimal digits given as text become a number; everything else stays."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20 else value


def protocol(value: Protocol) -> Protocol:
    """`tcp` becomes `TCP`, `"6"` becomes 6; what is unknown stays for validation to refuse."""
    value = number_or_text(value)
    return _BY_LOWER_CASE.get(value.lower(), value) if isinstance(value, str) else value


def as_number(value: int | str) -> int | str:
    """`"64512"` and the dotted `1.10` (two 16-bit halves) become a number; what is neither stays."""
    value = number_or_text(value)
    dotted = _DOTTED.fullmatch(value) if isinstance(value, str) else None
    if dotted is None:
        return value
    high, low = int(dotted[1]), int(dotted[2])
    return high << 16 | low if high < 1 << 16 and low < 1 << 16 else value


def prefix(text: str) -> str:
    """The shortest lower-case spelling of a masked prefix; anything else stays."""
    interface = read_prefix(text)
    return text if interface is None or "/" not in text or not is_masked(interface) else str(interface.network)


def rules(given: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rules with canonical protocols and ports; the same object when nothing changes."""
    changed = tuple(_rule(one) for one in given)
    return given if all(old is new for old, new in zip(given, changed, strict=True)) else changed


def _rule(given: Rule) -> Rule:
    changed = msgspec.structs.replace(
        given,
        protocol=None if given.protocol is None else protocol(given.protocol),
        not_protocol=None if given.not_protocol is None else protocol(given.not_protocol),
        source=_side(given.source),
        destination=_side(given.destination),
    )
    return given if changed == given else changed


def _side(given: EntityRule) -> EntityRule:
    if given == _NO_SIDE:
        return given
    changed = msgspec.structs.replace(given, ports=_ports(given.ports), not_ports=_ports(given.not_ports))
    return given if changed == given else changed


def _ports(given: Iterable[Port]) -> tuple[Port, ...]:
    return tuple(number_or_text(port) for port in given)
