"""Judging labels, against the language's definition written down a second time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tortie.selector import ast
from tortie.selector.selector import Selector


def _meaning(node: ast.Node, labels: dict[str, str]) -> bool:
    """Case by case, with the label's absence spelt out."""
    if isinstance(node, ast.All):
        return True
    if isinstance(node, ast.Not):
        return not _meaning(node.operand, labels)
    if isinstance(node, ast.And):
        return False not in [_meaning(operand, labels) for operand in node.operands]
    if isinstance(node, ast.Or):
        return True in [_meaning(operand, labels) for operand in node.operands]
    assert isinstance(node, ast.Condition)
    if node.label not in labels:
        return isinstance(node, ast.NotEqual | ast.NotIn)
    value = labels[node.label]
    if isinstance(node, ast.Has):
        return True
    if isinstance(node, ast.In | ast.NotIn):
        return any(value == one for one in node.values) == isinstance(node, ast.In)
    tests = {
        ast.Equal: value == node.value,
        ast.NotEqual: value != node.value,
        ast.Contains: value.find(node.value) >= 0,
        ast.StartsWith: value[: len(node.value)] == node.value,
        ast.EndsWith: node.value == "" or value[-len(node.value) :] == node.value,
    }
    return tests[type(node)]


@given(st.data())
def test_a_tree_judges_labels_as_the_language_says(
    nodes: st.SearchStrategy[ast.Node], labels: st.SearchStrategy[dict[str, str]], data: st.DataObject
) -> None:
    node, having = data.draw(nodes), data.draw(labels)
    assert node.matches(having) == _meaning(node, having)


@given(st.data())
def test_a_prefix_moves_every_label(
    nodes: st.SearchStrategy[ast.Node], labels: st.SearchStrategy[dict[str, str]], data: st.DataObject
) -> None:
    node, having = data.draw(nodes), data.draw(labels)
    renamed = {f"pcns.{label}": value for label, value in having.items()}
    assert node.prefixed("pcns.").matches(renamed) == node.matches(having)


@given(st.data())
def test_restrictions_hold_for_everything_that_is_selected(
    nodes: st.SearchStrategy[ast.Node], labels: st.SearchStrategy[dict[str, str]], data: st.DataObject
) -> None:
    node, having = data.draw(nodes), data.draw(labels)
    if not node.matches(having):
        return
    for label, known in Selector.of(node).restrictions().items():
        assert not (known.present and label not in having)
        assert not (known.absent and label in having)
        assert known.values is None or having[label] in known.values
