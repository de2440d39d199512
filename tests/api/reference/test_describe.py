"""Every field is described: its limits and defaults are those that count, and it has a meaning."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.api.constraints import SEARCHES
from tortie.api.defaults import with_defaults
from tortie.api.ippool import IPPool, IPPoolSpec
from tortie.api.kinds import KINDS
from tortie.api.reference import words
from tortie.api.reference.describe import (
    FieldDescription,
    Listing,
    Mapping,
    Part,
    Scalar,
    describe,
    field_at,
    filled_in,
    structs_below,
)
from tortie.api.reference.meanings import combinations
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.reference.text import default_text, limits_text, type_text, values_text
from tortie.api.resource import Resource

STRUCTS = {struct for kind in KINDS.values() for struct in structs_below(kind)}


def field(kind: str, path: str) -> FieldDescription:
    return field_at(KINDS[kind], path.split("."))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_has_a_meaning_of_one_sentence(kind: str) -> None:
    for struct in structs_below(KINDS[kind]):
        for one in describe(struct):
            place = f"{struct.__name__}.{one.name}"
            assert one.meaning.endswith("."), place
            assert 8 < len(one.meaning) < 160, place
            assert ". " not in one.meaning, place


def test_every_kind_is_said_to_be_for_something() -> None:
    assert set(ABOUT) == set(KINDS)


def test_the_tables_name_structs_and_fields_that_exist() -> None:
    for table in (words.MEANINGS, words.WHEN_ABSENT):
        assert set(table) <= STRUCTS
        for struct, fields in table.items():
            assert set(fields) <= set(struct.__struct_fields__), struct


def test_no_field_is_both_filled_in_and_said_to_be_absent() -> None:
    both = [one.name for struct in STRUCTS for one in describe(struct) if one.default is not None and one.when_absent]
    assert both == []


def test_every_search_between_fields_is_said_in_words() -> None:
    assert set(combinations.SEARCHES) == set(SEARCHES)


@pytest.mark.parametrize("struct", sorted(filled_in(), key=lambda struct: struct.__name__))
def test_described_defaults_are_those_that_are_filled_in(struct: type) -> None:
    for attribute, value in filled_in()[struct].items():
        (described,) = (one for one in describe(struct) if one.attribute == attribute)
        assert described.default == value


def test_a_stored_object_holds_the_described_defaults() -> None:
    pool = with_defaults(IPPool(spec=IPPoolSpec(cidr="10.0.0.0/16")))
    for one in describe(IPPoolSpec):
        if one.default is not None:
            assert getattr(pool.spec, one.attribute) == one.default


@pytest.mark.parametrize(
    ("kind", "path", "required"),
    [
        ("IPPool", "spec.cidr", True),
        ("IPPool", "spec", True),
        ("Tier", "spec", False),
        ("NetworkPolicy", "spec.ingress.action", True),
        ("WorkloadEndpoint", "spec.ports.protocol", False),
        ("WorkloadEndpoint", "spec.ports.port", True),
        ("StagedKubernetesNetworkPolicy", "spec.ingress.from.ipBlock.cidr", True),
    ],
)
def test_required_is_what_validation_requires(kind: str, path: str, required: bool) -> None:
    assert field(kind, path).required is required


@pytest.mark.parametrize(
    ("kind", "path", "type", "limits", "default", "values"),
    [
        ("IPPool", "spec.vxlanMode", "string", "one of Never, Always, CrossSubnet", "Never", 3),
        ("Tier", "spec.order", "number", "", "1000000", 0),
        ("GlobalNetworkPolicy", "spec.ingress", "[]Rule", "1024 at most", "", 0),
        ("GlobalNetworkPolicy", "spec.selector", "string", "a selector; 1024 characters at most", "all()", 0),
        ("BGPConfiguration", "spec.listenPort", "integer", "a number from 1 to 65535", "179", 0),
        ("FelixConfiguration", "spec.floatingIPs", "string", "one of Enabled, Disabled", "Disabled", 2),
        ("FelixConfiguration", "spec.chainInsertMode", "string", "one of Insert, Append, in any case", "Insert", 2),
        (
            "CalicoNodeStatus",
            "spec.classes",
            "[]string",
            "each one of Agent, BGP, Routes; 1 at least; none twice",
            "",
            3,
        ),
        ("IPAMConfiguration", "spec.autoAllocateBlocks", "boolean", "", "true", 0),
        ("Node", "metadata.managedFields.fieldsV1", "map[string]anything", "", "", 0),
    ],
)
def test_types_limits_and_defaults_in_words(
    kind: str, path: str, type: str, limits: str, default: str, values: int
) -> None:
    one = field(kind, path)
    assert (type_text(one.value), limits_text(one.value), default_text(one)) == (type, limits, default)
    assert len(values_text(one.value)) == values


def test_keys_and_values_of_maps_have_limits() -> None:
    labels = field("Node", "metadata.labels").value
    assert limits_text(labels).startswith("keys: 63 letters")
    assert "values: 63 characters" in limits_text(labels)


@pytest.mark.parametrize("path", ["spec.nothing", "nothing", "spec.cidr.deeper"])
def test_what_is_no_field_is_not_found(path: str) -> None:
    with pytest.raises(KeyError):
        field("IPPool", path)


def test_every_value_is_of_a_known_form() -> None:
    def form(value: Any) -> bool:
        match value:
            case Listing(item) | Mapping(item):
                return form(item)
            case Part(struct):
                return struct in STRUCTS and not issubclass(struct, Resource)
            case Scalar(types):
                return bool(types)
        return True

    assert all(form(one.value) for struct in STRUCTS for one in describe(struct))
