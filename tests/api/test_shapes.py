"""What passes the test of a format fits its shapes, and every tool can read their expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from tortie.api import formats
from tortie.api.fields import FIELDS
from tortie.api.formats import Format
from tortie.api.shapes import Between, OneOf, Pattern, Shape

V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).flatmap(
    lambda one: st.sampled_from([str(one), one.exploded, str(one).upper(), f"::ffff:{one.packed[0]}.1.2.3"])
)
LENGTHS = st.integers(0, 140)
ADDRESSES = V4 | V6
PREFIXES = ADDRESSES | st.tuples(ADDRESSES, LENGTHS).map(lambda pair: f"{pair[0]}/{pair[1]}")
MASKED = st.builds(lambda text, length: f"{text}/{length}", st.sampled_from(["0.0.0.0", "::"]), LENGTHS)
PEERS = PREFIXES | st.builds("{}:{}".format, ADDRESSES, LENGTHS) | st.builds("[{}]:{}".format, ADDRESSES, LENGTHS)
NUMBERS = st.integers(-2, 2**33) | st.integers(-2, 2**33).map(str)
DURATIONS = st.lists(
    st.tuples(
        st.sampled_from(["0", "1", "1.5", ".5", "2.", "007"]), st.sampled_from(["ns", "us", "µs", "ms", "s", "h"])
    ),
    max_size=3,
).map(lambda parts: "".join(map("".join, parts)))
WORDS = st.sampled_from(
    ["TCP", "sctp", "Udplite", "ICMPv6", "ef", "AF41", "CS1", "Auto", "0", "1.10", "A=true,", "all()"]
)
NAMES = st.text("abAB09-._/:*+=", max_size=12)
VALUES = PREFIXES | MASKED | PEERS | NUMBERS | DURATIONS | WORDS | NAMES | st.from_regex(r"[0-9]{1,5}:[0-9]{1,5}(:1)?")

ALL = {
    **{name: value for name, value in vars(formats).items() if isinstance(value, Format)},
    **{
        f"{struct.__name__}.{name}": field.format
        for struct, fields in FIELDS.items()
        for name, field in fields.items()
        if field.format is not None
    },
}


def fits(value: Any, shapes: tuple[Shape, ...]) -> bool:
    """Whether a value fits a shape for its type, or there is none for its type."""
    kinds = (Pattern, OneOf) if isinstance(value, str) else (Between, OneOf)
    ours = [one for one in shapes if isinstance(one, kinds) and _is_for(one, value)]
    return not ours or any(_fits(value, one) for one in ours)


def _is_for(shape: Shape, value: Any) -> bool:
    return not isinstance(shape, OneOf) or isinstance(shape.values[0], str) is isinstance(value, str)


def _fits(value: Any, shape: Shape) -> bool:
    match shape:
        case Between(low, high):
            return low <= value <= high
        case Pattern(expression, limit):
            return re.fullmatch(expression, value) is not None and (limit is None or len(value) <= limit)
    if shape.any_case:
        return value.lower() in [str(one).lower() for one in shape.values]
    return value in shape.values


@pytest.mark.parametrize("name", [name for name, value in vars(formats).items() if isinstance(value, Format)])
def test_what_a_format_accepts_fits_its_shapes(name: str) -> None:
    format = ALL[name]
    takes_numbers = any(isinstance(one, Between) for one in format.shapes)

    @given(VALUES if takes_numbers else VALUES.filter(lambda value: isinstance(value, str)))
    def fitting(value: Any) -> None:
        if format.accepts(value):
            assert fits(value, format.shapes)

    fitting()


def test_expressions_are_of_the_kind_that_every_tool_reads(for_each: Callable[..., None]) -> None:
    for_each(ALL, every_tool_reads)


def every_tool_reads(format: Format) -> None:
    for shape in format.shapes:
        if isinstance(shape, Pattern):
            re2.compile(shape.expression)
            assert "(?P" not in shape.expression
            assert "\\d" not in shape.expression


def test_only_regular_expressions_have_no_shape() -> None:
    assert {name for name, format in ALL.items() if not format.shapes and "." not in name} == {"REGEX"}
