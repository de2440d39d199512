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
_STATE = re.compile(r"^BGP state:\s*(\S+)")
_LOCAL_AS = re.compile(r"^Local AS:\s*([0-9]{1,10})\b")
_NEIGHBOR_ID = re.compile(r"^Neighbor ID:\s*(\S+)")
_HOLD_TIME = re.compile(r"^Hold timer:\s*[0-9.]+/([0-9]{1,6})\b")
_DESCRIPTION = re.compile(r"^Description:\s*(.+)")
_ROUTES = re.compile(r"^Routes:\s*([0-9]{1,18}) imported, (?:([0-9]{1,18}) filtered, )?([0-9]{1,18}) exported")
_REBOOT = re.compile(r"^Last reboot on (.+)")
_RECONFIGURATION = re.compile(r"^Last reconfiguration on (.+)")
_ROUTER_ID = re.compile(r"^Router ID is (\S+)")
_VERSION = re.compile(r"^BIRD (\S+)")

TYPES = {"Mesh": "NodeMesh", "Global": "GlobalPeer", "Node": "NodePeer"}
"""What a session is there for, as CalicoNodeStatus calls it, by the first word of its name."""


class SessionStatus(msgspec.Struct, frozen=True):
    """One BGP session.

    Args:
        name: as configured.
        peer: the neighbour's address.
        peer_as: its AS number (0 when not told).
        state: BIRD's BGP state, such as Established, Active, Connect, Passive.
        since: when it entered that state, as BIRD prints it.
        info: the last error, or why it is not started, if any.
        imported, exported: routes.
        filtered: routes that were received and not accepted.
        local_as: the AS number that the neighbour sees (0 when not told).
        neighbor_id: the neighbour's router id, once it is known.
        hold_time: seconds after which a silent neighbour is given up (0 when not established).
    """

    name: str
    peer: str
    peer_as: int
    state: str
    since: str
    info: str
    imported: int
    exported: int
    filtered: int = 0
    local_as: int = 0
    neighbor_id: str = ""
    hold_time: int = 0

    @property
    def family(self) -> int:
        """Of the routes that it carries."""
        return 6 if ":" in self.peer else 4

    @property
    def received(self) -> int:
        """Routes that the neighbour sent, accepted or not."""
        return self.imported + self.filtered

    @property
    def internal(self) -> bool:
        """Whether both ends are of one AS."""
        return self.local_as == self.peer_as

    @property
    def type(self) -> str:
        """NodeMesh, GlobalPeer or NodePeer; empty for a session of others."""
        return TYPES.get(self.name.partition("_")[0], "")

    @property
    def established(self) -> bool:
        """Whether routes are being exchanged."""
        return self.state == "Established"


def sessions(control: BirdControl) -> list[SessionStatus]:
    """All BGP sessions of a running daemon, sorted by name. Raises Unavailable, BirdRefused."""
    return parse_protocols(control.command("show protocols all"))


class DaemonStatus(msgspec.Struct, frozen=True):
    """The daemon itself; times are as it prints them."""

    version: str = ""
    router_id: str = ""
    booted: str = ""
    configured: str = ""


def daemon(control: BirdControl) -> DaemonStatus:
    """What a running daemon says of itself. Raises Unavailable, BirdRefused."""
    return parse_daemon(control.command("show status"))


def parse_daemon(lines: Sequence[ReplyLine]) -> DaemonStatus:
    """The answer to `show status`; what is not understood is left empty."""
    texts = [line.text.strip() for line in lines]
    return DaemonStatus(
        version=_first(_VERSION, texts) or "",
        router_id=_first(_ROUTER_ID, texts) or "",
        booted=_first(_REBOOT, texts) or "",
        configured=_first(_RECONFIGURATION, texts) or "",
    )


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
        state=first or _first(_STATE, details) or words[3],
        since=since,
        info=info.strip() or _first(_DESCRIPTION, details) or "",
        imported=int(_first(_ROUTES, details) or 0),
        exported=int(_first(_ROUTES, details, 3) or 0),
        filtered=int(_first(_ROUTES, details, 2) or 0),
        local_as=int(_first(_LOCAL_AS, details) or 0),
        neighbor_id=_first(_NEIGHBOR_ID, details) or "",
        hold_time=int(_first(_HOLD_TIME, details) or 0),
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str], group: int = 1) -> str | None:
    matches = (pattern.match(line) for line in lines)
    return next((match[group] for match in matches if match), None)
