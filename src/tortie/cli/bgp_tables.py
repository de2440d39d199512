"""Sessions and routes of BGP, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tortie.bgp.route import RouteStatus
from tortie.bgp.status import SessionStatus
from tortie.cli.output import aligned

_PEER = ("PEER", "TYPE", "AS", "STATE", "SINCE", "RECEIVED", "ACCEPTED", "EXPORTED", "INFO")
_PEER_WIDE = (*_PEER[:-1], "NAME", "LOCAL AS", "ROUTER ID", "HOLD TIME", "INFO")
_ROUTE = ("", "PREFIX", "NEXT HOP", "FROM", "AS PATH", "ORIGIN", "LOCAL PREF", "COMMUNITIES", "WHY")
_ROUTE_WIDE = (*_ROUTE[:-1], "MED", "PREFERENCE", "REFLECTED", "SINCE", "WHY")

Found = Mapping[str, Sequence[SessionStatus]]
"""Sessions by node; the node is empty where only a daemon was asked."""


def sessions_of_nodes(found: Found) -> list[dict[str, Any]]:
    """For machines."""
    return [
        {
            **({"node": node} if node else {}),
            **msgspec.to_builtins(one),
            "type": one.type,
            "received": one.received,
            "established": one.established,
        }
        for node, held in found.items()
        for one in held
    ]


def peers_table(found: Found, *, wide: bool = False) -> str:
    """For people; a column of nodes only where there are several."""
    headings = _PEER_WIDE if wide else _PEER
    several = len(found) > 1
    rows = [
        [*([node] if several else []), *_peer(one, wide=wide)] for node, held in found.items() for one in _sorted(held)
    ]
    return aligned([*(["NODE"] if several else []), *headings], rows) if rows else "No BGP sessions are configured."


def routes_table(found: Sequence[RouteStatus], *, wide: bool = False) -> str:
    """For people; what is used has a star."""
    if not found:
        return "BIRD knows no such route."
    rows = [_route(one, wide=wide) for one in found]
    return aligned(_ROUTE_WIDE if wide else _ROUTE, rows)


def _sorted(held: Sequence[SessionStatus]) -> list[SessionStatus]:
    return sorted(held, key=lambda one: (one.family, one.name))


def _peer(one: SessionStatus, *, wide: bool) -> list[str]:
    counts = [str(number) if one.established else "-" for number in (one.received, one.imported, one.exported)]
    more = [one.name, str(one.local_as or "-"), one.neighbor_id or "-", f"{one.hold_time} s" if one.hold_time else "-"]
    state = [one.peer, one.type or "-", str(one.peer_as), one.state, one.since.partition(".")[0]]
    return [*state, *counts, *(more if wide else []), one.info or "-"]


def _route(one: RouteStatus, *, wide: bool) -> list[str]:
    hops = ", ".join(one.next_hops) or one.kind
    communities = " ".join((*one.communities, *one.large_communities))
    row = [
        "*" if one.best else "",
        one.prefix,
        hops,
        one.protocol,
        one.as_path or "-",
        one.origin or "-",
        _number(one.local_preference),
        communities or "-",
    ]
    reflected = f"by {' '.join(one.clusters)}, first {one.originator}" if one.originator else "-"
    more = [_number(one.med), str(one.preference), reflected, one.since.partition(".")[0]]
    return [*row, *(more if wide else []), one.why or "-"]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
