"""Maps from addresses to addresses, for floating ones; they are there only while some are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tortie.dataplane.nftables.sets import IPV4, IPV6, SetKind
from tortie.desired.network import FloatingAddress
from tortie.netlink.nftables import SetDeclaration

FLOATING_MAPS: Mapping[int, str] = MappingProxyType({4: "floating4", 6: "floating6"})
"""From external to internal addresses, by family."""
HAIRPIN_MAPS: Mapping[int, str] = MappingProxyType({4: "hairpin4", 6: "hairpin6"})
"""From internal addresses, twice, to external ones: of who calls itself."""

ADDRESS_MAPS: Mapping[str, SetKind] = MappingProxyType(
    {
        kind.field: kind
        for kind in (
            SetKind("floating4", 4, 8, SetDeclaration(IPV4, 4, data=(IPV4, 4))),
            SetKind("floating6", 6, 32, SetDeclaration(IPV6, 16, data=(IPV6, 16))),
            SetKind("hairpin4", 4, 12, SetDeclaration(IPV4 << 6 | IPV4, 8, data=(IPV4, 4))),
            SetKind("hairpin6", 6, 48, SetDeclaration(IPV6 << 6 | IPV6, 32, data=(IPV6, 16))),
        )
    }
)
"""By name; a record is key and value."""


def address_records(kind: SetKind, floating: Iterable[FloatingAddress]) -> bytes:
    """Sorted; of several external addresses of an internal one, the lowest is that of who calls itself."""
    found: dict[bytes, bytes] = {}
    for one in sorted(floating):
        external, internal = one.external.packed, one.internal.packed
        if one.external.family == kind.family:
            key, value = (external, internal) if kind.field in FLOATING_MAPS.values() else (internal * 2, external)
            found.setdefault(key, value)
    return b"".join(sorted(key + value for key, value in found.items()))
