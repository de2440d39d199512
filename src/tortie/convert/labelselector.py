"""Kubernetes label selectors as texts of the selector language."""

from __future__ import annotations

from functools import partial

from tortie.api import formats
from tortie.convert.converted import Unconvertible, each
from tortie.convert.objects import Expression, LabelSelector
from tortie.selector.scoping import NODE
from tortie.selector.tokens import is_label

PODS = "projectcalico.org/orchestrator == 'k8s'"
"""What Kubernetes means by pods: host endpoints and other orchestrators' workloads are none."""

NODES = f"has({NODE})"
"""What is a node: nothing else has the label, and only selectors that ask for it mean nodes."""

_OPERATORS = {
    "In": "{key} in {{ {values} }}",
    "NotIn": "{key} not in {{ {values} }}",
    "Exists": "has({key})",
    "DoesNotExist": "! has({key})",
}

_WITH_VALUES = frozenset({"In", "NotIn"})


def pod_selector(selector: LabelSelector | None, path: str) -> str:
    """The pods that a selector selects; all pods when there is none.

    Args:
        path: where the selector stands.

    Raises:
        Unconvertible: a key, value or operator is not Kubernetes'.
    """
    return " && ".join([PODS, *_terms(selector, path)])


def namespace_selector(selector: LabelSelector | None, path: str) -> str:
    """The namespaces that a selector selects; empty when there is none, which means the policy's own.

    Raises:
        Unconvertible: a key, value or operator is not Kubernetes'.
    """
    if selector is None:
        return ""
    return " && ".join(_terms(selector, path)) or "all()"


def node_selector(selector: LabelSelector, path: str) -> str:
    """The nodes that a selector selects.

    Raises:
        Unconvertible: a key, value or operator is not Kubernetes'.
    """
    return " && ".join([NODES, *_terms(selector, path)])


def _terms(selector: LabelSelector | None, path: str) -> list[str]:
    if selector is None:
        return []
    labels = sorted((selector.match_labels or {}).items())
    expressions = enumerate(selector.match_expressions or ())
    return each(
        (
            *(partial(_label, key, value, f"{path}.matchLabels[{key}]") for key, value in labels),
            *(partial(_term, expression, f"{path}.matchExpressions[{index}]") for index, expression in expressions),
        )
    )


def _label(key: str, value: str, path: str) -> str:
    key, value = each((partial(_key, key, path), partial(_value, value, path)))
    return f"{key} == {value}"


def _term(expression: Expression, path: str) -> str:
    values = enumerate(expression.values or ())
    template, key, *texts = each(
        (
            partial(_template, expression, path),
            partial(_key, expression.key, f"{path}.key"),
            *(partial(_value, value, f"{path}.values[{index}]") for index, value in values),
        )
    )
    return template.format(key=key, values=", ".join(texts))


def _template(expression: Expression, path: str) -> str:
    if expression.operator not in _OPERATORS:
        problem = f"{expression.operator!r} is not an operator"
        raise Unconvertible(f"{path}.operator", problem, f"use one of {', '.join(_OPERATORS)}")
    if (expression.operator in _WITH_VALUES) != bool(expression.values):
        problem = "has values" if expression.values else "has no values"
        remedy = "give values to In and NotIn, and to no other operator"
        raise Unconvertible(f"{path}.values", f"{expression.operator} {problem}", remedy)
    return _OPERATORS[expression.operator]


def _key(key: str, path: str) -> str:
    if not formats.LABEL_KEY.accepts(key) or not is_label(key):
        raise Unconvertible(path, f"{key!r} is not a label name", formats.LABEL_KEY.expected)
    return key


def _value(value: str, path: str) -> str:
    if not formats.LABEL_VALUE.accepts(value):
        raise Unconvertible(path, f"{value!r} is not a label value", formats.LABEL_VALUE.expected)
    return f"'{value}'"
