"""Names of cluster-wide policies: none is lost, no two become one, all are valid."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api import formats
from tortie.convert.converted import Unconvertible
from tortie.convert.policynames import global_policy_name, original_name

LABELS = st.from_regex(re.compile(rf"{formats.LABEL}", re.ASCII), fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 200)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("web", "kcnp.web"),
        ("web-shop", "kcnp.web-shop"),
        ("web.shop", "kcnp-3.web-shop"),
        ("a.b-c.d", "kcnp-1-5.a-b-c-d"),
        ("3.web-shop", "kcnp-1.3-web-shop"),
        ("default", "kcnp.default"),
    ],
)
def test_names_are_kept_and_dots_are_counted(name: str, stored: str) -> None:
    assert global_policy_name("kcnp", name) == stored


@given(NAMES)
def test_a_stored_name_is_valid_and_says_which_name_it_was(name: str) -> None:
    stored = global_policy_name("kcnp", name)
    assert formats.GLOBAL_POLICY_NAME.accepts(stored)
    assert original_name(stored) == name


@given(NAMES, NAMES)
def test_different_names_stay_different(first: str, second: str) -> None:
    assert (global_policy_name("kanp", first) == global_policy_name("kanp", second)) is (first == second)


def test_names_that_only_differ_in_dots_stay_different() -> None:
    names = ["a-b-c", "a.b-c", "a-b.c", "a.b.c"]
    assert len({global_policy_name("kcnp", name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["", "Web", "a..b", ".a", "a.", "-a", "a_b", "a/b", "a" * 254])
def test_what_is_no_name_in_kubernetes_is_refused(name: str) -> None:
    with pytest.raises(Unconvertible, match=r"metadata\.name: .*is not a name \(use lower-case letters"):
        global_policy_name("kcnp", name)


def test_a_name_is_as_long_as_there_is_room_for() -> None:
    assert len(global_policy_name("kcnp", "a" * 248)) == 253
    with pytest.raises(Unconvertible, match=r"is too long: as kcnp\.a+… it has 254 characters .*shorten it by 1\)"):
        global_policy_name("kcnp", "a" * 249)
