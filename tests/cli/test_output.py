"""Tables, ages and YAML as they are printed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.kinds import KINDS
from tortie.cli import output
from tortie.cli.columns import COLUMNS, age
from tortie.cli.formats import MEANINGS, PLAIN, WORDS
from tortie.cli.output import GAP, aligned, padded, squeezed
from tortie.cli.yaml_text import to_yaml

Run = Callable[..., Result]

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: a-tier-with-a-name-that-is-long, labels: {note: a-label-with-a-value-that-is-rather-long}}
spec: {order: 100, defaultAction: Pass}
"""


def test_columns_are_three_blanks_apart_and_rows_can_stand_alone() -> None:
    assert aligned(["A", "LONG"], [["xx", "1"]]) == "A    LONG\nxx   1"
    assert aligned(["A", "LONG"], [["xx", "1"], ["y", "2"]], header=False) == "xx   1\ny    2"


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 200), st.integers(0, 2))
def test_a_table_is_squeezed_as_far_as_it_must_be_and_names_never(widths: list[int], room: int, keep: int) -> None:
    narrow = squeezed(widths, room, keep)
    assert narrow[:keep] == widths[:keep]
    assert all(min(12, wide) <= width <= wide for width, wide in zip(narrow, widths, strict=True))
    needed = sum(narrow) + len(GAP) * (len(narrow) - 1)
    assert needed <= room or all(width <= 12 for width in narrow[keep:])
    assert needed == room or narrow == widths or needed > room


def test_a_cell_that_does_not_fit_ends_in_an_ellipsis() -> None:
    assert padded([["abcdef", "x"]], [4, 3]) == ["abc…   x"]


@pytest.mark.parametrize("columns", [40, 200])
def test_a_terminal_gets_what_fits_and_a_pipe_gets_all(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    run("apply", "-f", "-", text=TIER)
    whole = run("get", "tiers", "--show-labels").stdout
    assert "a-value-that-is-rather-long" in whole
    monkeypatch.setattr("tortie.cli.printers.terminal_width", lambda: columns)
    fitted = run("get", "tiers", "--show-labels").stdout
    assert ("a-tier-with-a-name-that-is-long" in fitted, "…" in fitted) == (True, columns == 40)
    assert "…" not in run("get", "tiers", "--show-labels", "-o", "wide").stdout


@pytest.mark.parametrize(
    ("name", "value", "plain"), [("NO_COLOR", "1", True), ("TERM", "dumb", True), ("TERM", "xterm", False)]
)
def test_headings_stand_out_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, plain: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv(name, value)
    assert (output.heading("X") == "X") is plain


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m5s"),
        (615, "10m"),
        (3_600, "1h"),
        (2 * 3_600 + 1_800, "2h30m"),
        (9 * 3_600, "9h"),
        (3 * 86_400 + 3_600, "3d1h"),
        (20 * 86_400, "20d"),
        (2 * 31_536_000 + 86_400, "2y1d"),
        (-5, "0s"),
    ],
)
def test_an_age_has_two_units_at_most(seconds: int, text: str) -> None:
    assert age("1970-01-02T00:00:00Z", 86_400 + seconds) == text


def test_the_age_of_what_has_no_time_is_unknown() -> None:
    assert (age(None, 0), age("yesterday", 0)) == ("", "")


@pytest.mark.parametrize("text", ["1e3", "0o7", "-1E5", "12:30", "no", "~", "0x1f", "1_000", "a: b", "\u2028", "# x"])
def test_yaml_quotes_what_another_reader_would_take_for_something_else(text: str) -> None:
    shown = to_yaml({"a": text})
    assert yaml.safe_load(shown) == {"a": text}
    assert shown[3] in "\"'"


@given(st.recursive(st.text(max_size=8) | st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=3)))
def test_yaml_is_read_back_as_it_was(value: object) -> None:
    assert yaml.safe_load(to_yaml({"a": value})) == {"a": value}


def test_every_kind_has_columns_and_every_format_a_meaning() -> None:
    assert KINDS.keys() == COLUMNS.keys()
    assert {word.partition("=")[0] for word in MEANINGS} == {word.rstrip("=") for word in WORDS}
    assert PLAIN.keys() <= MEANINGS.keys()
