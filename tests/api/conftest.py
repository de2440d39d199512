"""Made-up instances of any struct, by its fields' types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from msgspec import inspect

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

SCALARS: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.StrType: TEXT,
    inspect.IntType: st.integers(-(2**63), 2**63 - 1),
    inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
    inspect.AnyType: st.just({}),
}


MANY = 30
"""Fields beyond which an instance has only a few of them, or none would be small."""


def _some(fields: dict[str, st.SearchStrategy[Any]], required: set[str]) -> st.SearchStrategy[dict[str, Any]]:
    always = {name: made for name, made in fields.items() if name in required}
    optional = {name: made for name, made in fields.items() if name not in required}
    if len(optional) <= MANY:
        return st.fixed_dictionaries(always, optional=optional)
    chosen = st.sets(st.sampled_from(sorted(optional)), max_size=5)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(always | {name: optional[name] for name in sorted(names)})
    )


def _instances(node: inspect.Type) -> st.SearchStrategy[Any]:
    match node:
        case inspect.StructType():
            fields = {field.name: _instances(field.type) for field in node.fields}
            required = {field.name for field in node.fields if field.required}
            return _some(fields, required).map(lambda values: node.cls(**values))
        case inspect.UnionType():
            return st.one_of([_instances(part) for part in node.types])
        case inspect.VarTupleType():
            return st.lists(_instances(node.item_type), max_size=2).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_instances(node.key_type), _instances(node.value_type), max_size=2)
        case _:
            return SCALARS[type(node)]


@pytest.fixture(scope="session")
def instances() -> Callable[[type[msgspec.Struct]], st.SearchStrategy[Any]]:
    """A strategy for each struct type; field names are the attributes'."""
    return lambda struct: _instances(inspect.type_info(struct))
