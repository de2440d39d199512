"""Where the datastore is and what is logged, told before the word or behind it; options win over variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tortie.base.logs import Logger
from tortie.cli.calicoctl import calicoctl
from tortie.cli.main import tortie

Run = Callable[..., Result]

TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}}"
POLICY = "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: db, namespace: shop}}"
NOBODY = "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec: {etcdEndpoints: 'http://127.0.0.1:1'}\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A file of calicoctl's that names an etcd where nothing listens."""
    path = tmp_path / "calicoctl.cfg"
    path.write_text(NOBODY)
    return str(path)


def test_a_file_that_is_named_wins_over_the_variable(run: Run, config: str) -> None:
    run("apply", "-f", "-", text=TIER)
    for words in (("get", "tiers", "-c", config), ("-c", config, "get", "tiers"), ("ipam", "-c", config, "show")):
        result = run(*words)
        assert (result.exit_code, result.stderr[:21]) == (3, "etcd at 127.0.0.1:1: "), words


def test_a_datastore_may_be_named_before_the_word(run: Run, tmp_path: Path, config: str) -> None:
    run("apply", "-f", "-", text=TIER)
    here = str(tmp_path / "datastore.db")
    elsewhere = str(tmp_path / "other.db")
    assert run("--datastore", here, "get", "tiers").exit_code == 0
    assert "other.db" in run("--datastore", elsewhere, "get", "tiers").stderr
    assert run("-c", config, "get", "tiers", "--datastore", here).exit_code == 0, "what stands behind the word is newer"
    assert "other.db" in run("datastore", "migrate", "--datastore", elsewhere, "lock").stderr


@pytest.mark.parametrize("words", [("get", "tiers"), ("version",)])
def test_two_places_at_once_are_wrong_usage(run: Run, config: str, words: tuple[str, ...]) -> None:
    result = run(*words, "-c", config, "--datastore", "a.db")
    assert result.exit_code == 2
    assert "--datastore and --config both say where the datastore is" in result.stderr


def test_a_namespace_before_the_word_is_that_of_what_names_none(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY)
    assert "db" in run("-n", "shop", "get", "np").stdout
    assert run("-n", "shop", "get", "np", "-n", "default").stdout == ""


def test_an_option_that_stands_before_its_word_is_told_where_it_belongs(run: Run) -> None:
    result = run("-o", "yaml", "get", "tiers")
    assert result.exit_code == 2
    assert "options of a command stand behind it: tortie COMMAND -o …" in result.stderr


@pytest.mark.parametrize(
    ("program", "asked", "told"),
    [
        (tortie, (), False),
        (tortie, ("-v",), True),
        (tortie, ("--log-level", "info"), True),
        (tortie, ("--log-level", "error"), False),
        (calicoctl, (), False),
        (calicoctl, ("-l", "info"), True),
        (calicoctl, ("-l", "panic"), False),
    ],
)
def test_what_is_logged_is_on_standard_error_only_when_asked_for(
    program: click.Command, asked: tuple[str, ...], told: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def report(found: object, ignore_missing: bool) -> None:
        Logger("room").info("something_happened", key="/a")

    monkeypatch.setattr("tortie.cli.get.report", report)
    environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    CliRunner().invoke(tortie, ["apply", "-f", "-"], input=TIER, env=environment)
    for words in ((*asked, "get", "tiers"), ("get", "tiers", *asked)):
        result = CliRunner().invoke(program, list(words), env=environment)
        assert "something_happened" not in result.stdout
        assert (" level=info event=something_happened key=/a" in result.stderr) is told, result.stderr
