"""Kubernetes quantities: suffixes of both kinds, exponents, and rounding up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.convert.quantity import FACTORS, quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("100M", 100_000_000),
        ("4Gi", 2**32),
        ("1.5k", 1500),
        (".5k", 500),
        ("2.", 2),
        ("2e3", 2000),
        ("2E3", 2000),
        ("2E", 2 * 10**18),
        ("-1k", -1000),
        ("+3", 3),
        ("1500m", 2),
        ("1m", 1),
        ("1u", 1),
        ("5e-1", 1),
    ],
)
def test_quantities_are_whole_numbers(text: str, value: int) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "M", "1MB", "1 M", "1K", "1ki", "e3", "1e", "1e3k", "1e9999", "0x1", "1,5", "٣"])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)


@given(st.integers(0, 10**6), st.sampled_from(sorted(FACTORS)))
def test_a_suffix_multiplies(number: int, suffix: str) -> None:
    assert 0 <= quantity(f"{number}{suffix}") - number * FACTORS[suffix] < 1
