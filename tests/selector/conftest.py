"""Random selectors and labels."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tortie.selector import ast

NAMES = ("a", "b", "in", "x.y/z")
VALUES = ("", "v", "w", "vw", "'", '"', " ", "é")


def _conditions() -> st.SearchStrategy[ast.Node]:
    label, value = st.sampled_from(NAMES), st.sampled_from(VALUES)
    values = st.frozensets(value, max_size=3)
    compared = [ast.Equal, ast.NotEqual, ast.Contains, ast.StartsWith, ast.EndsWith]
    return st.one_of(
        st.sampled_from([ast.All(), ast.Global()]),
        st.builds(ast.Has, label),
        *[st.builds(kind, label, value) for kind in compared],
        *[st.builds(kind, label, values) for kind in (ast.In, ast.NotIn)],
    )


def _groups(inner: st.SearchStrategy[ast.Node]) -> st.SearchStrategy[ast.Node]:
    operands = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(ast.negation, inner), st.builds(ast.And, operands), st.builds(ast.Or, operands))


@pytest.fixture(scope="session")
def nodes() -> st.SearchStrategy[ast.Node]:
    """Trees of every kind of node."""
    return st.recursive(_conditions(), _groups, max_leaves=8)


@pytest.fixture(scope="session")
def labels() -> st.SearchStrategy[dict[str, str]]:
    """Labels of which many meet the conditions of `nodes`."""
    return st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES))
