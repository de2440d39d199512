"""`tortie version --poll`: what the cluster says of itself, again whenever it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec
import pytest
from click.testing import Result

from tortie.api.clusterinformation import ClusterInformation, ClusterInformationSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.base.errors import Unavailable
from tortie.cli.version import follow
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.migration import INFORMATION
from tortie.datastore.resources import ResourceStore
from tortie.selector.check import selector_problem

Run = Callable[..., Result]


class Script(SystemClock):
    """A clock on which something happens in each wait; after the last, who waits is interrupted."""

    def __init__(self, *steps: Callable[[], Awaitable[object]]) -> None:
        self._steps = list(steps)
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        if not self._steps:
            raise asyncio.CancelledError
        await self._steps.pop(0)()


async def test_each_line_is_shown_when_it_changes_and_again_after_an_outage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResourceStore(EmbeddedDatastore.open_memory(), SystemClock(), selector_problem)
    spec = ClusterInformationSpec(calico_version="v3.31", cluster_type="k8s", cluster_guid="1")
    information = ClusterInformation(metadata=Metadata(name=INFORMATION.name), spec=spec)
    newer = msgspec.structs.replace(information, spec=msgspec.structs.replace(spec, calico_version="v3.32"))

    async def refuse(key: ResourceKey) -> NoReturn:
        raise Unavailable("etcd: away")

    async def go_away() -> None:
        monkeypatch.setattr(store, "get", refuse)

    async def come_back() -> None:
        monkeypatch.undo()

    clock = Script(
        lambda: store.apply(information), lambda: asyncio.sleep(0), lambda: store.apply(newer), go_away, come_back
    )
    with pytest.raises(asyncio.CancelledError):
        await follow(store, 60.0, clock)
    shown = capsys.readouterr()
    assert shown.err == "etcd: away\n"
    assert [line.split()[-1] for line in shown.out.splitlines()] == [
        "initialized",
        *("v3.31", "k8s", "1", "ready"),
        "v3.32",
        *("v3.32", "k8s", "1", "ready"),
    ]
    assert clock.waited == [60.0] * 6


def test_what_is_no_duration_is_refused(run: Run) -> None:
    result = run("version", "--poll", "often")
    assert result.exit_code == 2
    assert "such as 30s" in result.stderr
