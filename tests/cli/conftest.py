"""Running the command in this process, on a datastore of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tortie.cli.main import application

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("get", "nodes")` is `tortie get nodes`; `result.output` is what it printed, to both streams."""

    def invoke(*arguments: str, text: str | None = None) -> Result:
        environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
        return CliRunner().invoke(application(arguments), list(arguments), input=text, env=environment)

    return invoke
