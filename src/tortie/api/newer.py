"""Rules with conditions that this version does not know: marked when they are read, for those who judge packets.

Without its unknown condition a rule would match more than its author meant, and an Allow would open
what nobody allowed. Such fields come from newer writers of the same datastore only: what a person
hands in is refused for them (`tortie.api.documents`), and what is stored keeps them
(`tortie.api.foreign`).
"""

from __future__ import annotations

from functools import cache
from types import GenericAlias
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import inspect

from tortie.api.foreign import unknown_fields
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile
from tortie.api.resource import Resource
from tortie.api.rules import Rule
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy

DIRECTIONS = ("ingress", "egress")
"""The lists of rules of a policy or profile."""

NO_CONDITIONS = frozenset({"metadata"})
"""Fields of a rule that do not narrow what it matches."""

_NOTHING: tuple[object, ...] = (None, "", [])

_RULED = NetworkPolicy | GlobalNetworkPolicy | StagedNetworkPolicy | StagedGlobalNetworkPolicy | Profile

RULED_KINDS = frozenset(kind.kind for kind in get_args(_RULED))
"""Names of the kinds that have such lists."""

R = TypeVar("R", bound=Resource)


class NewerRule(Rule, frozen=True, kw_only=True):
    """A rule that has conditions besides those that stand here."""


def with_newer_rules(resource: R, data: bytes) -> R:
    """The resource, with those of its rules marked that have unknown conditions in the bytes that it was read from."""
    if not isinstance(resource, _RULED) or not (resource.spec.ingress or resource.spec.egress) or _is_known(data):
        return resource
    try:
        plain = msgspec.json.decode(data.decode(errors="replace"))["spec"]
    except (msgspec.DecodeError, RecursionError):
        # A part that cannot be read is not known either.
        plain = {}
    lists = {name: _marked(getattr(resource.spec, name), plain.get(name)) for name in DIRECTIONS}
    return msgspec.structs.replace(resource, spec=msgspec.structs.replace(resource.spec, **lists))


def _marked(rules: tuple[Rule, ...], plain: list[dict[str, Any]] | None) -> tuple[Rule, ...]:
    if plain is None:
        return tuple(map(_newer, rules))
    return tuple(
        _newer(rule) if _has_unknown_conditions(given) else rule for rule, given in zip(rules, plain, strict=True)
    )


def _has_unknown_conditions(given: dict[str, Any]) -> bool:
    conditions = {name: value for name, value in given.items() if name not in NO_CONDITIONS}
    return bool(unknown_fields(_said(conditions), Rule))


def _said(value: Any) -> Any:
    """Plain data without the fields that say nothing, as some writers store all that they know."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner not in _NOTHING}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _newer(rule: Rule) -> NewerRule:
    return NewerRule(**{name: getattr(rule, name) for name in Rule.__struct_fields__})


def _is_known(data: bytes) -> bool:
    """Whether all conditions are known: quickly, as they are in almost all that is ever read."""
    try:
        msgspec.json.decode(data, type=_strict_document())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


@cache
def _strict_document() -> Any:
    spec = msgspec.defstruct("Spec", [(name, _strict_list(Rule), None) for name in DIRECTIONS])
    return msgspec.defstruct("Document", [("spec", spec)])


def _strict(struct: type[msgspec.Struct]) -> Any:
    """A struct of the same names that takes no others; what the fields hold is not looked at, only what they have."""
    fields: list[tuple[str, Any, Any]] = [
        (
            field.name,
            msgspec.Raw if field.name in NO_CONDITIONS else _strict_value(inspect.type_info(field.type)),
            msgspec.field(name=field.encode_name, default=None),
        )
        for field in msgspec.structs.fields(struct)
    ]
    return msgspec.defstruct(struct.__name__, fields, forbid_unknown_fields=True, gc=False)


def _strict_value(node: inspect.Type) -> Any:
    if isinstance(node, inspect.UnionType):
        inner = [one for one in node.types if isinstance(one, inspect.StructType)]
        return _strict(inner[0].cls) | None if inner else msgspec.Raw
    if isinstance(node, inspect.StructType):
        return _strict(node.cls) | None
    if isinstance(node, inspect.VarTupleType) and isinstance(node.item_type, inspect.StructType):
        return _strict_list(node.item_type.cls)
    return msgspec.Raw


def _strict_list(struct: type[msgspec.Struct]) -> Any:
    return GenericAlias(list, (_strict(struct),)) | None
