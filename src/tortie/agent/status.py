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
        drifts: those of them because somebody else changed what is ours.
        failures: refused attempts since then.
    """

    name: str
    state: str
    reason: str = ""
    waiting: dict[str, str] = {}
    operations: int = 0
    full_passes: int = 0
    drifts: int = 0
    failures: int = 0


class AgentReport(msgspec.Struct, frozen=True):
    """One agent.

    Args:
        started: seconds since the epoch.
        ready: the datastore was in sync, everything was programmed once, and workloads can be attached.
        delayed: what the start waits for; empty once the agent works.
        rejected: resources that cannot be used, by key, and why.
        bgp: sessions; empty when there is no BIRD.
    """

    node: str
    version: str
    pid: int
    started: float
    ready: bool
    in_sync: bool = False
    endpoints: int = 0
    host_endpoints: int = 0
    policies: int = 0
    sets: int = 0
    routes: int = 0
    targets: Sequence[TargetReport] = ()
    bgp: Sequence[SessionStatus] = ()
    bgp_problem: str = ""
    delayed: str = ""
    rejected: dict[str, str] = {}
