"""Waiting for the BGP sessions of a lab."""

from __future__ import annotations

import time

from tortie.agent.client import ask
from tortie.base.errors import Unavailable
from tortie.lab.lab import Lab

_LOOK_AGAIN = 0.05


def wait_established(lab: Lab, patience: float = 30.0) -> None:
    """Wait until every host has a session to every other, in each family, and all are established.

    Raises:
        Unavailable: some are not after `patience` seconds; names the hosts.
    """
    deadline = time.monotonic() + patience
    while waiting := [host.name for host in lab.topology.hosts if not _is_established(lab, host.name)]:
        if time.monotonic() > deadline:
            raise Unavailable(f"no BGP sessions after {patience:g} s on {', '.join(waiting)}; see `tortie lab status`")
        time.sleep(_LOOK_AGAIN)


def _is_established(lab: Lab, host: str) -> bool:
    try:
        found = ask(lab.place(host).directory).bgp
    except Unavailable:
        return False
    wanted = sum(len(other.addresses) for other in lab.topology.hosts if other.name != host)
    return len(found) == wanted and all(session.established for session in found)
