"""All that one look at a BGP daemon tells."""

from __future__ import annotations

import msgspec

from tortie.bgp.route import RouteStatus
from tortie.bgp.status import DaemonStatus, SessionStatus


class Speaker(msgspec.Struct, frozen=True):
    """A daemon that answered: itself, its sessions, and its routes if they were asked for."""

    daemon: DaemonStatus
    sessions: tuple[SessionStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()
