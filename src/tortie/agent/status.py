"""What an agent says of itself, for people, tools and metrics."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tortie.bgp.status import SessionStatus


class TargetReport(msgspec.Struct, frozen=True):
    """One reconciler target.

    Args:
        name: which.
        state: `programmed`, `pending` or `failing`.
        reason: why, when failing.
        waiting: object to what it waits for.
        operations: kernel operations carried out since the agent's start.
        full_passes: whole comparisons with the kernel since then.
        failures: refused attempts since then.
    """

    name: str
    state: str
    reason: str = ""
    waiting: dict[str, str] = {}
    operations: int = 0
    full_passes: int = 0
    failures: int = 0


class AgentReport(msgspec.Struct, frozen=True):
    """One agent.

    Args:
        started: seconds since the epoch.
        live: the event loop answers; ready: the datastore was in sync and everything was programmed once.
        rejected: resources that cannot be used, by key, and why.
        bgp: sessions; empty when there is no BIRD.
    """

    node: str
    version: str
    pid: int
    started: float
    ready: bool
    in_sync: bool
    endpoints: int
    policies: int
    sets: int
    routes: int
    targets: Sequence[TargetReport]
    bgp: Sequence[SessionStatus] = ()
    bgp_problem: str = ""
    rejected: dict[str, str] = {}
