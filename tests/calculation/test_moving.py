"""Routes of endpoints on their way from host to host: every transition, and any interleaving of what is heard."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.calculation.moving import (
    ELEVATED,
    HESITATION,
    TRANSITIONS,
    UNROUTED,
    Awaited,
    Cause,
    Moves,
    Priorities,
    Stage,
)
from tortie.desired.delta import Delta
from tortie.desired.endpoints import Endpoint, EndpointId, Migration
from tortie.desired.policy import PolicyList
from tortie.desired.routes import Route

GUEST = EndpointId("vms", "guest")
A4, A6, OTHER = Cidr.host("10.65.0.1"), Cidr.host("fd65::1"), Cidr.host("10.65.0.2")
CONVERGENCE = Priorities().convergence
MAC = "02:00:00:00:00:07"


class Host:
    """The routes of one host, as a reconciler would keep them."""

    def __init__(self, elevated: Collection[Cidr] = ()) -> None:
        self.moves = Moves(elevated=elevated)
        self.routes: dict[Cidr, Route] = {}
        self.now = 0.0
        self.told = Migration.NONE
        self.is_there = False

    def __call__(self, delta: Delta) -> Delta:
        self.routes.update((one.destination, one) for one in delta.routes)
        for gone in delta.removed_routes:
            del self.routes[gone]
        return delta

    def put(self, part: Migration) -> Delta:
        fresh = tuple(Route(one, "cali1") for one in (A4, A6)) if not self.is_there else ()
        self.is_there, self.told = True, part
        endpoint = Endpoint(GUEST, "cali1", (A4, A6), PolicyList(), PolicyList(), MAC, migration=part)
        return self(self.moves.take(Delta(endpoints=(endpoint,), routes=fresh), self.now))

    def remove(self) -> Delta:
        if not self.is_there:
            return Delta()
        self.is_there = False
        return self(self.moves.take(Delta(removed_endpoints=(GUEST,), removed_routes=(A4, A6)), self.now))

    def announce(self) -> Delta:
        return self(self.moves.announced(GUEST, self.now))

    def wait(self, seconds: float) -> Delta:
        self.now += seconds
        return self(self.moves.elapsed(self.now))

    @property
    def stage(self) -> Stage:
        return self.moves.stages.get(GUEST, Stage.SETTLED)

    @property
    def metrics(self) -> set[int]:
        """Of both families; nothing where there is no route."""
        assert len(self.routes) in (0, 2)
        return {one.metric for one in self.routes.values()}


PLAYS: dict[Cause, Callable[[Host], Delta]] = {
    Cause.NO_PART: lambda host: host.put(Migration.NONE),
    Cause.SOURCE: lambda host: host.put(Migration.SOURCE),
    Cause.TARGET: lambda host: host.put(Migration.TARGET),
    Cause.ANNOUNCED: Host.announce,
    Cause.ELAPSED: lambda host: host.wait(CONVERGENCE),
}
WAYS: dict[Stage, tuple[Cause, ...]] = {
    Stage.SETTLED: (Cause.NO_PART,),
    Stage.LEAVING: (Cause.SOURCE,),
    Stage.WAITING: (Cause.TARGET,),
    Stage.DOUBTED: (Cause.TARGET, Cause.NO_PART),
    Stage.LIVE: (Cause.TARGET, Cause.ANNOUNCED),
    Stage.CONVERGING: (Cause.TARGET, Cause.ANNOUNCED, Cause.NO_PART),
}


def at(stage: Stage) -> Host:
    host = Host()
    for cause in WAYS[stage]:
        PLAYS[cause](host)
    assert host.stage is stage
    return host


@pytest.mark.parametrize(("stage", "cause"), list(itertools.product(Stage, Cause)), ids=lambda one: one.value)
def test_each_cause_leads_from_each_stage_where_the_table_says(stage: Stage, cause: Cause) -> None:
    host = at(stage)
    PLAYS[cause](host)
    expected = TRANSITIONS.get((stage, cause), stage)
    assert host.stage is expected
    metrics = set() if expected in UNROUTED else {512} if expected in ELEVATED else {1024}
    assert host.metrics == metrics
    assert {one.moving for one in host.routes.values()} <= {expected is not Stage.SETTLED}
    assert host.moves.awaited == ({GUEST: Awaited("cali1", MAC)} if expected in UNROUTED else {})


@pytest.mark.parametrize("stage", Stage, ids=lambda one: one.value)
def test_what_is_deleted_has_no_route_at_once_and_leaves_nothing_behind(stage: Stage) -> None:
    host = at(stage)
    host.remove()
    assert (host.routes, host.moves.stages, host.moves.awaited, host.moves.due) == ({}, {}, {}, float("inf"))
    host.put(Migration.NONE)
    assert (host.stage, host.metrics) == (Stage.SETTLED, {1024})


def test_a_migration_as_it_should_be() -> None:
    host = Host()
    host.put(Migration.TARGET)
    assert host.routes == {}
    host.announce()
    assert host.metrics == {512}
    host.put(Migration.NONE)
    host.wait(CONVERGENCE - 1)
    assert host.metrics == {512}
    host.wait(1)
    assert host.metrics == {1024}


def test_a_guest_that_was_not_heard_is_routed_to_when_its_migration_is_gone_for_a_moment() -> None:
    host = at(Stage.DOUBTED)
    host.wait(HESITATION / 2)
    assert host.routes == {}
    host.wait(HESITATION / 2)
    assert host.metrics == {512}


def test_a_cancelled_migration_never_had_a_route_whichever_of_the_two_is_deleted_first() -> None:
    host = at(Stage.WAITING)
    host.put(Migration.NONE)
    host.wait(HESITATION / 2)
    assert (host.routes, host.remove().routes, host.wait(CONVERGENCE).routes) == ({}, (), ())


def test_an_endpoint_that_is_known_before_its_migration_loses_its_route_again() -> None:
    host = Host()
    host.put(Migration.NONE)
    assert host.metrics == {1024}
    host.put(Migration.TARGET)
    assert host.routes == {}


def test_what_goes_back_at_once_is_of_normal_priority_at_once() -> None:
    host = at(Stage.CONVERGING)
    host.put(Migration.SOURCE)
    assert host.metrics == {1024}


@pytest.mark.parametrize(
    ("part", "stage"),
    [(Migration.TARGET, Stage.LIVE), (Migration.NONE, Stage.CONVERGING), (Migration.SOURCE, Stage.LEAVING)],
)
def test_what_the_kernel_preferred_when_the_agent_started_is_not_cut(part: Migration, stage: Stage) -> None:
    host = Host(elevated={A4, A6})
    delta = host.put(part)
    assert host.stage is stage
    assert {one.metric for one in delta.routes} == ({1024} if part is Migration.SOURCE else {512})
    host.remove()
    host.put(Migration.TARGET)
    assert host.stage is Stage.WAITING


def test_what_waited_when_the_agent_died_waits_on() -> None:
    host = Host(elevated={OTHER})
    host.put(Migration.TARGET)
    assert host.stage is Stage.WAITING


def test_what_the_kernel_preferred_counts_only_for_what_is_here_at_the_start() -> None:
    host = Host(elevated={A4, A6})
    host.moves.take(Delta(), 0)
    host.put(Migration.TARGET)
    assert host.stage is Stage.WAITING


def test_an_endpoint_of_another_name_at_the_same_interface_inherits_no_stage() -> None:
    host = at(Stage.CONVERGING)
    renamed = Endpoint(EndpointId("vms", "again"), "cali1", (A4, A6), PolicyList(), PolicyList())
    host(host.moves.take(Delta(endpoints=(renamed,), removed_endpoints=(GUEST,)), host.now))
    assert (host.metrics, host.moves.stages) == ({1024}, {})


def test_another_hardware_address_is_listened_for_from_then_on() -> None:
    host = at(Stage.WAITING)
    other = Endpoint(GUEST, "cali1", (A4, A6), PolicyList(), PolicyList(), "02::", migration=Migration.TARGET)
    host(host.moves.take(Delta(endpoints=(other,)), host.now))
    assert host.moves.awaited == {GUEST: Awaited("cali1", "02::")}


def test_other_priorities_count_at_once() -> None:
    host = at(Stage.LIVE)
    delta = host(host.moves.configure(Priorities({4: 900, 6: 901}, {4: 300, 6: 301}, 5)))
    assert {(one.destination.family, one.metric) for one in delta.routes} == {(4, 300), (6, 301)}
    host.put(Migration.NONE)
    host.wait(5)
    assert host.metrics == {900, 901}
    assert not host.moves.configure(Priorities({4: 900, 6: 901}, {4: 300, 6: 301}, 5))


def test_routes_of_others_are_told_as_they_are() -> None:
    moves = Moves()
    delta = Delta(routes=(Route(OTHER, "cali2"),))
    assert moves.take(delta, 0) == delta
    assert moves.take(Delta(removed_routes=(OTHER,)), 0) == Delta(removed_routes=(OTHER,))


class Cluster:
    """Two hosts, of which each hears of what the orchestrator does when it gets round to it, but in order."""

    def __init__(self) -> None:
        self.source, self.target = Host(), Host()
        self.source.put(Migration.NONE)
        self.late: dict[Host, list[Callable[[], object]]] = {self.source: [], self.target: []}
        self.runs_at: Host = self.source

    def orchestrate(self, step: str) -> None:
        one, other = self.late[self.source], self.late[self.target]
        match step:
            case "begin":
                one.append(lambda: self.source.put(Migration.SOURCE))
                other.append(lambda: self.target.put(Migration.TARGET))
            case "switch":
                self.runs_at = self.target
                other.append(self.target.announce)
            case "end":
                one.append(self.source.remove)
                other.append(lambda: self.target.put(Migration.NONE))
            case "cancel":
                one.append(lambda: self.source.put(Migration.NONE))
                other.append(lambda: self.target.put(Migration.NONE))
                other.append(self.target.remove)

    def hear(self, host: Host) -> None:
        if self.late[host]:
            self.late[host].pop(0)()

    def preferred(self) -> Host | None:
        """Whose route the rest of the network takes; the source's when there is nothing between them."""
        found = [host for host in (self.source, self.target) if host.routes]
        return min(found, key=lambda host: min(host.metrics), default=None)


moments = st.lists(st.sampled_from(["source hears", "target hears", "a moment"]), max_size=12)


@given(st.sampled_from(["end", "cancel"]), st.lists(moments, min_size=4, max_size=4))
def test_however_slowly_hosts_hear_the_guest_has_a_route_and_in_the_end_where_it_runs(
    outcome: str, pauses: list[list[str]]
) -> None:
    cluster = Cluster()
    script = ["begin", "switch", "end"] if outcome == "end" else ["begin", "cancel"]
    for step, pause in zip(["", *script], pauses, strict=False):
        cluster.orchestrate(step)
        for moment in pause:
            if moment == "a moment":
                cluster.source.wait(HESITATION / 100)
                cluster.target.wait(HESITATION / 100)
            else:
                cluster.hear(cluster.source if moment == "source hears" else cluster.target)
            assert cluster.preferred() is not None or cluster.late[cluster.target]
            if outcome == "cancel":
                assert not cluster.target.routes
    while any(cluster.late.values()):
        cluster.hear(cluster.source)
        cluster.hear(cluster.target)
    assert cluster.preferred() is cluster.runs_at
    for host in (cluster.source, cluster.target):
        host.wait(CONVERGENCE)
        host.wait(CONVERGENCE)
        assert host.stage is Stage.SETTLED
        assert host.metrics == ({1024} if host is cluster.runs_at else set())


causes = st.lists(
    st.sampled_from([*PLAYS.values(), Host.remove, lambda host: host.wait(HESITATION), lambda host: host.wait(0)]),
    max_size=15,
)


@given(causes)
def test_after_any_history_and_a_while_the_part_that_is_played_says_everything(
    history: list[Callable[[Host], Delta]],
) -> None:
    host = Host()
    for play in history:
        play(host)
        expected = set() if not host.is_there or host.stage in UNROUTED else {512} if host.stage in ELEVATED else {1024}
        assert host.metrics == expected
    for _ in range(2):
        host.wait(CONVERGENCE)
    if not host.is_there:
        assert host.routes == {}
    elif host.told is not Migration.TARGET:
        assert host.metrics == {1024}
    else:
        assert host.stage in (Stage.WAITING, Stage.LIVE)
