"""The agent's own look at its host, now and then: errors of the checks that `tortie doctor` makes, for its report."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from concurrent.futures import Executor

from tortie.agent.host_checks import Finding, State, Surroundings, host_findings
from tortie.agent.settings import Settings
from tortie.base.clock import Clock

SECONDS = 60.0
"""Between two looks."""


class HostWatch:
    """What was found last."""

    def __init__(self) -> None:
        self._found: Collection[Finding] = ()

    @property
    def problems(self) -> Iterator[str]:
        """What is wrong and would mend it, in words."""
        for one in self._found:
            yield f"{one.check}: {one.cause} ({one.evidence}): {one.fix}"

    async def run(self, executor: Executor, settings: Settings, clock: Clock) -> None:
        """Look until cancelled.

        Args:
            executor: whose thread is in the host's network namespace.
        """
        where = Surroundings(
            prefix=settings.interface_prefix,
            run_directory=settings.run_directory,
            speaks_bgp=settings.bird_directory is not None,
        )
        spared = () if settings.ip_forwarding == "Enabled" else ("forwarding",)
        while True:
            found = await asyncio.get_running_loop().run_in_executor(executor, host_findings, where)
            self._found = [one for one in found if one.state is State.ERROR and one.check not in spared]
            await clock.sleep(SECONDS)
