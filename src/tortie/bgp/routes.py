"""What BIRD says of its routes, as data: all that it learned, the best of each prefix, and why that one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from tortie.base.addresses import Cidr
from tortie.bgp.control import BirdControl, ReplyLine
from tortie.bgp.decision import reason
from tortie.bgp.route import RouteStatus
from tortie.bgp.status import sessions

_ROUTE = re.compile(
    r"^(?P<prefix>\S+)?\s+(?P<kind>unicast|blackhole|unreachable|prohibit) "
    r"\[(?P<protocol>\S+) (?P<since>[^\]]*?)(?: from (?P<sender>[^\s\]]+))?\] "
    r"(?P<best>\* )?\((?P<preference>\d{1,10})(?:/(?P<metric>\d{1,10}|[-?]))?\)"
)
_ATTRIBUTE = re.compile(r"^([A-Za-z_.]+): ?(.*)$")
_COMMUNITY = re.compile(r"\((\d+(?:, ?\d+){1,2})\)")
_NEXT_HOP = re.compile(r"^(via \S+ on \S+|dev \S+)")


class Question(msgspec.Struct, frozen=True):
    """Which routes.

    Args:
        where: an address, for the routes that a packet to it would take, or a prefix, for all inside it.
        sender: a session's name: only what it brought.
        receiver: a session's name: only what is sent to it, and no other route counts as best.
        rejected: what was received and not accepted, instead of what was.
        best: only routes that are used.
    """

    where: Cidr | None = None
    sender: str = ""
    receiver: str = ""
    rejected: bool = False
    best: bool = False

    def command(self) -> str:
        """As BIRD understands it."""
        words = ["show route"]
        if self.where is not None:
            words.append(f"for {self.where.text}" if self.where.is_host else f"in {self.where}")
        words.append("all")
        words += ["filtered"] if self.rejected else []
        words += ["primary"] if self.best else []
        words += [f"protocol {self.sender}"] if self.sender else []
        words += [f"export {self.receiver}"] if self.receiver else []
        return " ".join(words)


def routes(control: BirdControl, question: Question) -> list[RouteStatus]:
    """The routes of a running daemon, sorted by prefix, the best of each first. Raises Unavailable, BirdRefused."""
    internal = {one.name for one in sessions(control) if one.internal}
    learned = parse_routes(control.command(question.command()))
    found = [msgspec.structs.replace(route, internal=route.protocol in internal) for route in learned]
    # Only among all routes of a prefix can be told why one of them is the best.
    is_whole = not (question.sender or question.receiver or question.rejected or question.best)
    return list(_explained(found)) if is_whole else found


def parse_routes(lines: Sequence[ReplyLine]) -> list[RouteStatus]:
    """Routes out of the answer to `show route all`; what is not understood is left at its default."""
    found: list[RouteStatus] = []
    prefix = ""
    head: re.Match[str] | None = None
    rest: list[str] = []
    for line in [*lines, ReplyLine(0, "")]:
        text = line.text
        match = _ROUTE.match(text)
        if head is not None and (match or not text.startswith("\t")):
            found.append(_route(prefix, head, rest))
            head = None
        if match:
            prefix, head, rest = match["prefix"] or prefix, match, []
        elif head is not None:
            rest.append(text.strip())
    return sorted(found, key=_order)


def _order(route: RouteStatus) -> tuple[bool, Cidr | None, bool]:
    try:
        return False, Cidr.parse(route.prefix), not route.best
    except ValueError:
        return True, None, not route.best


def _explained(found: Sequence[RouteStatus]) -> Iterator[RouteStatus]:
    for _, group in groupby(found, key=lambda route: route.prefix):
        rivals = list(group)
        for route in rivals:
            yield msgspec.structs.replace(route, why=reason(route, rivals))


def _route(prefix: str, head: re.Match[str], rest: Sequence[str]) -> RouteStatus:
    attributes = {match[1]: match[2].strip() for text in rest if (match := _ATTRIBUTE.match(text))}
    metric = head["metric"] or ""
    return RouteStatus(
        prefix=prefix,
        kind=head["kind"],
        protocol=head["protocol"],
        since=head["since"],
        best=bool(head["best"]),
        preference=int(head["preference"]),
        next_hops=tuple(match[1] for text in rest if (match := _NEXT_HOP.match(text))),
        source=attributes.get("Type", "").partition(" ")[0],
        origin=attributes.get("BGP.origin", ""),
        as_path=attributes.get("BGP.as_path", ""),
        local_preference=_number(attributes.get("BGP.local_pref")),
        med=_number(attributes.get("BGP.med")),
        communities=_communities(attributes.get("BGP.community", "")),
        large_communities=_communities(attributes.get("BGP.large_community", "")),
        originator=attributes.get("BGP.originator_id", ""),
        clusters=tuple(attributes.get("BGP.cluster_list", "").split()),
        metric=int(metric) if metric.isdigit() else None,
        bgp_next_hop=attributes.get("BGP.next_hop", ""),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _communities(text: str) -> tuple[str, ...]:
    return tuple(match.replace(",", ":").replace(" ", "") for match in _COMMUNITY.findall(text))
