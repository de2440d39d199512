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


class DatastoreReport(msgspec.Struct, frozen=True):
    """The datastore, as the agent sees it.

    Args:
        place: its file, or the URLs of etcd.
        state: `starting`, `reading`, `in sync`, `unavailable` or `locked`.
        problem: why, when it cannot be worked with. The kernel stays as it is then.
    """

    place: str = ""
    state: str = "starting"
    problem: str = ""


class AgentReport(msgspec.Struct, frozen=True):
    """One agent.

    Args:
        started: seconds since the epoch.
        ready: the datastore was in sync, everything was programmed once, and the plugin is served. An agent stays
            ready while its datastore or BIRD is away: what runs is routed and filtered, and `problems` says so.
        delayed: what the start waits for; empty once the agent works.
        problems: what is not as it should be, and what comes of it; empty when all is well.
        narrow_paths: addresses of other nodes that packets of full size do not reach.
        rejected: resources that cannot be used, by key, and why.
        bgp: sessions; empty when there is no BIRD.
        bird_socket: where BIRD answers; empty when there is none.
        moving: endpoints on their way from or to another host, and how far each is: `leaving`, `waiting`, `doubted`,
            `live` or `converging`.
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
    narrow_paths: int = 0
    targets: Sequence[TargetReport] = ()
    bgp: Sequence[SessionStatus] = ()
    bgp_problem: str = ""
    bird_socket: str = ""
    delayed: str = ""
    datastore: DatastoreReport = DatastoreReport()
    problems: Sequence[str] = ()
    rejected: dict[str, str] = {}
    moving: dict[str, str] = {}


def reasons(report: AgentReport) -> list[str]:
    """What keeps an agent from being ready, and what is wrong although it is, for the text of its readiness."""
    return [*([report.delayed] if report.delayed and not report.ready else []), *report.problems]
