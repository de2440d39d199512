"""The pytest plugin: files of statements are collected, each statement is a test; a fixture gives the assertions.

What it needs of Tortie is loaded when such a file or the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tortie.analysis.checks import Statement
    from tortie.testing.policies import Policies

DEFAULT = "*.tortie.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`tortie_files`: which files are collected."""
    parser.addini("tortie_files", "patterns of files that state what policies do", type="args", default=[DEFAULT])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file whose name fits."""
    patterns: list[str] = parent.config.getini("tortie_files")
    if any(file_path.match(one) for one in patterns):
        return _File.from_parent(parent, path=file_path)
    return None


@pytest.fixture
def tortie_policies() -> Callable[..., Policies]:
    """`tortie_policies("policies/")` gives `tortie.testing.Policies` of these files."""
    from tortie.testing.policies import Policies

    return Policies.read


class _Broken(Exception):
    """A statement that does not hold, and the packet against it; or a file that cannot be used."""


class _File(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        from tortie.base.errors import InvalidResource
        from tortie.testing.policies import Policies

        try:
            found = Policies.of_file(self.path)
            stated = found.stated()
        except InvalidResource as error:
            raise self.CollectError(str(error)) from error
        for number, statement in enumerate(stated):
            name = (
                statement.name
                if sum(one.name == statement.name for one in stated) == 1
                else f"{statement.name} #{number}"
            )
            yield _Item.from_parent(self, name=name, policies=found, statement=statement)


class _Item(pytest.Item):
    def __init__(self, *, policies: Policies, statement: Statement, **settings: Any) -> None:
        super().__init__(**settings)
        self._policies = policies
        self._statement = statement

    def runtest(self) -> None:
        from tortie.base.errors import InvalidResource

        try:
            outcome = self._policies.outcome(self._statement)
        except InvalidResource as error:
            raise _Broken(str(error)) from error
        if not outcome.holds:
            raise _Broken(outcome.against)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *more: Any, **settings: Any) -> Any:
        if isinstance(excinfo.value, _Broken):
            return f"{self._statement.name}\n  {excinfo.value}"
        return super().repr_failure(excinfo, *more, **settings)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
