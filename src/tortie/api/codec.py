"""Resources and address management values as stored bytes, and resources as JSON for people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec

from tortie.api.blockaffinity import BlockAffinity
from tortie.api.ipam import IPAMBlock, contradiction
from tortie.api.kinds import KINDS
from tortie.api.resource import Metadata, Resource
from tortie.base.errors import InvalidResource, Problem

NAME_ANNOTATION = "projectcalico.org/metadata"
"""Annotation of a stored policy that keeps its name; never shown to readers."""

LEGACY_PREFIX = "default."
"""What old writers put before the names of policies of the default tier."""

NAMED_KINDS = frozenset({"GlobalNetworkPolicy", "NetworkPolicy", "StagedGlobalNetworkPolicy", "StagedNetworkPolicy"})
"""Kinds whose stored form carries the name annotation."""

# Neither these characters nor empty sides of a rule can occur in JSON with another meaning: the
# characters stand only inside strings, and inside a string the quotes of a side would be escaped.
_STORED_SPELLING = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_EMPTY_SIDES = (b',"source":{}', b',"destination":{}')

_ENCODER = msgspec.json.Encoder(order="deterministic")

T = TypeVar("T")


def encode(resource: Resource) -> bytes:
    """The bytes that etcd holds for a resource, without `resourceVersion` and `selfLink`.

    Raises:
        InvalidResource: a text holds half a surrogate pair and so has no UTF-8 form.
    """
    try:
        stored = _with_flag_as_text(resource)
        fields = _fields(msgspec.structs.replace(stored, metadata=_stored_metadata(resource)))
    except UnicodeEncodeError as error:
        raise InvalidResource(
            Problem(repr(str(resource.key)), "", f"holds text that is not Unicode: {error}")
        ) from error
    return b'{"kind":"%s","apiVersion":"%s",%s' % (
        resource.kind.encode(),
        resource.api_version.encode(),
        _respell(fields)[1:],
    )


def to_json(resource: Resource) -> bytes:
    """A resource with its `resourceVersion` as compact JSON in UTF-8, for people and programs of theirs."""
    return b'{"apiVersion":"%s","kind":"%s",%s' % (
        resource.api_version.encode(),
        resource.kind.encode(),
        _fields(resource)[1:],
    )


def to_mapping(resource: Resource) -> dict[str, Any]:
    """A resource as plain dictionaries and lists in the order that people know, empty fields left out."""
    return cast(dict[str, Any], msgspec.json.decode(to_json(resource)))


def decode(kind: str, data: bytes) -> Resource:
    """A resource from stored bytes, whoever wrote them: unknown fields and nulls are ignored.

    The policy's name annotation is applied and removed. `resource_version` is left for the caller.

    Raises:
        InvalidResource: not a kind, not JSON, or a field of the wrong type.
    """
    if kind not in KINDS:
        raise InvalidResource(Problem(kind, "kind", "is not a kind of resource"))
    resource = cast(Resource, _decode(KINDS[kind], data, kind))
    return _with_policy_name(resource) if kind in NAMED_KINDS else resource


def encode_value(value: msgspec.Struct) -> bytes:
    """The bytes that etcd holds for a block, affinity, handle or configuration of address management."""
    return _respell(_ENCODER.encode(value))


def encode_plain(value: Any) -> bytes:
    """Dictionaries and lists, in their order, in the spelling of stored bytes."""
    return _respell(msgspec.json.encode(value))


def decode_value(type: type[T], data: bytes) -> T:
    """A value of address management from stored bytes; no bytes at all stand for an empty value.

    Raises:
        InvalidResource: not JSON, a field missing or of the wrong type, or a block that contradicts itself.
    """
    value = _decode(type, data or b"{}", type.__name__)
    problem = contradiction(value) if isinstance(value, IPAMBlock) else ""
    if problem:
        raise InvalidResource(Problem(type.__name__, "", problem))
    return cast(T, value)


def _decode(type: type[Any], data: bytes, object: str) -> Any:
    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.ValidationError:
        return _decode_with_nulls(type, data, object)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidResource(Problem(object, "", str(error))) from error


def _decode_with_nulls(type: type[Any], data: bytes, object: str) -> Any:
    """The slow way, for writers that spell an empty field as null, and for the flag that is stored as text."""
    try:
        plain = _without_nulls(msgspec.json.decode(data))
        return msgspec.convert(_with_plain_flag(plain) if type is BlockAffinity else plain, type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidResource(Problem(object, "", str(error))) from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _with_flag_as_text(resource: Resource) -> Resource:
    """The stored `deleted` of a block affinity is a text, for reasons of the field's own."""
    if not isinstance(resource, BlockAffinity):
        return resource
    spec: Any = resource.spec
    return msgspec.structs.replace(
        resource, spec=msgspec.structs.replace(spec, deleted="true" if spec.deleted else "false")
    )


def _with_plain_flag(plain: Any) -> Any:
    spec = plain.get("spec") if isinstance(plain, dict) else None
    if not isinstance(spec, dict) or spec.get("deleted") not in ("true", "false"):
        return plain
    return plain | {"spec": spec | {"deleted": spec["deleted"] == "true"}}


def _fields(resource: Resource) -> bytes:
    order = getattr(_spec(resource), "order", None)
    if isinstance(order, float):
        spelt = msgspec.structs.replace(_spec(resource), order=msgspec.Raw(number(order).encode()))
        resource = msgspec.structs.replace(resource, spec=spelt)
    data = _ENCODER.encode(resource)
    for empty in _EMPTY_SIDES:
        data = data.replace(empty, b"")
    return data


def _spec(resource: Resource) -> Any:
    """The specification, or None: an EndpointSlice has none."""
    return getattr(resource, "spec", None)


def _respell(data: bytes) -> bytes:
    for plain, stored in _STORED_SPELLING:
        data = data.replace(plain, stored)
    return data


def number(value: float) -> str:
    """The shortest decimal that reads back the same: no `.0`, no `-0`, an exponent only below 1e-6 or from 1e21."""
    if value == 0:
        return "0"
    digits = repr(value)
    if 1e-6 <= abs(value) < 1e21:
        plain = format(Decimal(digits), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa, exponent = format(Decimal(digits), "e").split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent):+d}"


def _stored_metadata(resource: Resource) -> Metadata:
    metadata = msgspec.structs.replace(resource.metadata, resource_version="", self_link="")
    if resource.kind not in NAMED_KINDS:
        return metadata
    name = _ENCODER.encode({"name": metadata.name}).decode()
    return msgspec.structs.replace(metadata, annotations={**metadata.annotations, NAME_ANNOTATION: name})


def _with_policy_name(resource: Resource) -> Resource:
    metadata = resource.metadata
    kept = metadata.annotations.get(NAME_ANNOTATION)
    if kept is not None:
        annotations = {name: value for name, value in metadata.annotations.items() if name != NAME_ANNOTATION}
        name = _kept_name(resource, kept) or metadata.name
        metadata = msgspec.structs.replace(metadata, name=name, annotations=annotations)
    elif metadata.name.startswith(LEGACY_PREFIX) and _spec(resource).tier in ("", "default"):
        metadata = msgspec.structs.replace(metadata, name=metadata.name.removeprefix(LEGACY_PREFIX))
    else:
        return resource
    return msgspec.structs.replace(resource, metadata=metadata)


class _KeptMetadata(msgspec.Struct, gc=False):
    name: str = ""


def _kept_name(resource: Resource, annotation: str) -> str:
    try:
        return msgspec.json.decode(annotation, type=_KeptMetadata).name
    except (msgspec.DecodeError, RecursionError) as error:
        path = f"metadata.annotations[{NAME_ANNOTATION}]"
        raise InvalidResource(Problem(str(resource.key), path, str(error))) from error
