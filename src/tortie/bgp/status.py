"""What BIRD says of its sessions, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tortie.bgp.control import BirdControl, ReplyLine

_PROTOCOL_LINE = 1002
_DETAIL_LINE = 1006
_NEIGHBOR = re.compile(r"^Neighbor address:\s*(\S+)")
_NEIGHBOR_AS = re.compile(r"^Neighbor AS:\s*([0-9]{1,10})\b")
_ROUTES = re.compile(r"^Routes:\s*([0-9]{1,18}) imported, (?:[0-9]+ filtered, )?([0-9]{1,18}) exported")


class SessionStatus(msgspec.Struct, frozen=True):
    """One BGP session.

    Args:
        name: as configured.
        peer: the neighbour's address.
        peer_as: its AS number (0 when not told).
        state: BIRD's BGP state, such as Established, Active, Connect, Passive.
        since: when it entered that state, as BIRD prints it.
        info: the last error, if any.
        imported, exported: routes.
    """

    name: str
    peer: str
    peer_as: int
    state: str
    since: str
    info: str
    imported: int
    exported: int

    @property
    def established(self) -> bool:
        """Whether routes are being exchanged."""
        return self.state == "Established"


def sessions(control: BirdControl) -> list[SessionStatus]:
    """All BGP sessions of a running daemon, sorted by name. Raises Unavailable, BirdRefused."""
    return parse_protocols(control.command("show protocols all"))


def parse_protocols(lines: Sequence[ReplyLine]) -> list[SessionStatus]:
    """Sessions out of the answer to `show protocols all`; what is not understood is left at its default."""
    found: list[SessionStatus] = []
    summary: list[str] = []
    details: list[str] = []
    for line in [*lines, ReplyLine(_PROTOCOL_LINE, "")]:
        if line.code == _PROTOCOL_LINE:
            if len(summary) >= 2 and summary[1] == "BGP":
                found.append(_session(summary, details))
            summary, details = line.text.split(None, 6), []
        elif line.code == _DETAIL_LINE:
            details.append(line.text.strip())
    return sorted(found, key=lambda session: session.name)


def _session(summary: list[str], details: list[str]) -> SessionStatus:
    # name, protocol, table, state, since (one or two words), BGP state and error
    words = [*summary, "", "", "", "", "", ""]
    since, rest = words[4], " ".join(words[5:]).strip()
    first, _, info = rest.partition(" ")
    if re.fullmatch(r"[\d:.]+", first):
        since, rest = f"{since} {first}", info.strip()
        first, _, info = rest.partition(" ")
    return SessionStatus(
        name=words[0],
        peer=_first(_NEIGHBOR, details) or "",
        peer_as=int(_first(_NEIGHBOR_AS, details) or 0),
        state=first or words[3],
        since=since,
        info=info.strip(),
        imported=int(_first(_ROUTES, details) or 0),
        exported=int(_first(_ROUTES, details, 2) or 0),
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str], group: int = 1) -> str | None:
    matches = (pattern.match(line) for line in lines)
    return next((match[group] for match in matches if match), None)
