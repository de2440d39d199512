"""Running the command in this process, on a datastore of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tortie.cli.main import tortie

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("get", "nodes")` is `tortie get nodes`; `result.output` is what it printed, to both streams."""

    def invoke(*arguments: str, text: str | None = None) -> Result:
        environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
        return CliRunner().invoke(tortie, list(arguments), input=text, env=environment)

    return invoke
