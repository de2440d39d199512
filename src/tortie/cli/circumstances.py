"""What a command that writes finds around it, and leaves behind, that people must know: locks, imports, lost values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tortie.api.clusterinformation import ClusterInformation
from tortie.base.errors import NotPermitted, Unavailable
from tortie.cli.personality import program
from tortie.cli.plan import Plan, Step
from tortie.cli.writing import Outcomes
from tortie.datastore.identity import legible_guid
from tortie.datastore.reading import INFORMATION, ResourceReader, UnreadableResource


@contextlib.contextmanager
def before_the_first_write() -> Iterator[None]:
    """Of an outage here it is certain what it left undone."""
    try:
        yield
    except Unavailable as error:
        raise (NotPermitted if isinstance(error, NotPermitted) else Unavailable)(
            f"{error}\nnothing was written"
        ) from error


async def warnings_before(reader: ResourceReader, plan: Plan) -> list[str]:
    """What keeps agents from carrying out what is about to be written."""
    if not plan.steps or any(step.key == INFORMATION for step in plan.steps):
        return []
    try:
        information = await reader.get(INFORMATION)
    except UnreadableResource as error:
        return [f"{error}; agents change nothing until then"]
    if isinstance(information, ClusterInformation) and information.spec.datastore_ready is False:
        return [
            "the datastore is locked (datastoreReady is false): agents take no notice of what is written until "
            f"`{program()} datastore migrate unlock`"
        ]
    return []


def warnings_after(plan: Plan, outcomes: Outcomes) -> Iterator[str]:
    """What was lost with what was written over or deleted."""
    steps = {step.key: step for step in plan.steps}
    for one in outcomes.written:
        if one.unreadable:
            done = "deleted" if one.outcome == "deleted" else "replaced"
            rest = " alone: what belonged to it stays" if done == "deleted" and one.key.kind in _OWNERS else ""
            yield f"{one.key}: what was stored could not be read ({one.unreadable}), and is {done}{rest}"
        if one.outcome == "deleted" and one.key == INFORMATION:
            yield _lost_identity(steps[one.key])


_OWNERS = ("Node", "IPPool")


def _lost_identity(step: Step) -> str:
    guid = ""
    if isinstance(step.before, ClusterInformation):
        guid = step.before.spec.cluster_guid
    elif step.unreadable:
        guid = legible_guid(step.unreadable.stored.value)
    return (
        f"{INFORMATION}: the cluster's identity goes with it, clusterGUID {guid or 'unknown'}; the next write makes "
        "another, unless it is applied again with this one"
    )
