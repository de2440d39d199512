"""What BIRD says of its sessions, for the agent's report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tortie.base.errors import Unavailable
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.bgp.status import SessionStatus, sessions


async def bgp_sessions(control_socket: Path | None) -> tuple[Sequence[SessionStatus], str]:
    """The sessions, and why they are not known; nothing where there is no BIRD."""
    if control_socket is None:
        return (), ""
    try:
        return await asyncio.to_thread(_sessions, control_socket), ""
    except (Unavailable, BirdRefused) as error:
        return (), str(error)


def problems_of_bird(problem: str) -> list[str]:
    """The same for people."""
    return [f"BIRD does not answer, routes of other hosts may be missing: {problem}"] if problem else []


def _sessions(control_socket: Path) -> list[SessionStatus]:
    with BirdControl(control_socket) as control:
        return sessions(control)
