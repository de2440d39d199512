"""`tortie explain` tells of kinds and fields, and helps whoever misspells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.kinds import KINDS
from tortie.api.reference.describe import describe, inner_struct
from tortie.base.errors import InvalidResource
from tortie.cli.explain import explain_text
from tortie.cli.reservations import FIELDS, STORED_ONLY


def refusal(kind: str, path: str = "") -> str:
    with pytest.raises(InvalidResource) as caught:
        explain_text(kind, path)
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_every_kind_is_explained(kind: str) -> None:
    def walk(struct: type, path: str) -> None:
        for field in describe(struct):
            here = f"{path}{field.name}"
            text = explain_text(kind, here)
            assert f"FIELD: {field.name} <" in text
            assert "DESCRIPTION:\n" in text
            inner = inner_struct(field.value)
            if inner is not None and field.name != "metadata":
                walk(inner, f"{here}.")

    walk(KINDS[kind], "")


def test_a_kind_is_told_by_its_names_scope_and_fields() -> None:
    text = explain_text("pools")
    assert text.startswith("GROUP:      projectcalico.org\nKIND:       IPPool\nVERSION:    v3\n")
    assert "NAMES:      ippools, pool, pools, ipp, ipps\nSCOPE:      Cluster\n" in text
    assert "\nFIELDS:\n  metadata <Metadata>\n" in text
    assert "  spec <IPPoolSpec> -required-\n    What is wanted.\n" in text


def test_a_kind_without_a_group_has_none() -> None:
    assert explain_text("svc").startswith("KIND:       Service\nVERSION:    v1\n")


def test_a_field_is_told_with_values_default_and_meaning() -> None:
    text = explain_text("ippool", "spec.vxlanMode")
    assert "FIELD: vxlanMode <string>\n\nENUM:\n    Never\n    Always\n    CrossSubnet\n" in text
    assert "DEFAULT:\n    Never\n" in text
    assert "ALLOWED" not in text
    assert "FIELDS" not in text


def test_limits_are_told() -> None:
    assert "ALLOWED:\n    a number from 1 to 65535\n" in explain_text("bgpconfig", "spec.listenPort")


def test_lists_are_looked_through_and_indexes_overlooked() -> None:
    assert explain_text("np", "spec.ingress[0].source.nets") == explain_text("np", "spec.ingress.source.nets")


def test_what_holds_between_fields_is_told_with_their_object() -> None:
    text = explain_text("ippool", "spec")
    assert "REFUSED, IN THESE WORDS:\n  - `vxlanMode` cannot be enabled together with ipipMode\n" in text
    assert "BETWEEN FIELDS:\n  - `cidr` has no bits behind its prefix" in text


def test_all_fields_below_are_listed_when_asked() -> None:
    text = explain_text("gnp", "spec", recursive=True)
    assert "\n  ingress <[]Rule>\n    action <string> -required-\n" in text
    assert "\n    source <EntityRule>\n      nets <[]string>\n" in text
    assert "enum" not in text


def test_no_line_is_wider_than_a_terminal() -> None:
    for kind in KINDS:
        assert max(map(len, explain_text(kind, "spec" if kind != "EndpointSlice" else "").splitlines())) <= 110


def test_what_has_no_effect_yet_is_said_to_have_none() -> None:
    assert "NOT CARRIED OUT YET" not in explain_text("ippool")
    for kind in KINDS:
        assert ("does not act on it" in explain_text(kind)) is (kind in STORED_ONLY)
        for field in FIELDS.get(kind, {}):
            assert "This release stores this field, but does not act on it." in explain_text(kind, f"spec.{field}")


@given(st.sampled_from(sorted(KINDS)), st.text("spec.ingr[0]ou~é", max_size=20), st.booleans())
def test_whatever_is_asked_is_answered_or_refused(kind: str, path: str, recursive: bool) -> None:
    try:
        assert explain_text(kind, path, recursive)
    except InvalidResource as refused:
        assert refused.problems[0].problem == "is not a field"


def test_an_unknown_kind_gets_near_ones() -> None:
    assert refusal("ipool") == "ipool: kind: is not a kind of resource (try IPPool)"


def test_an_unknown_field_gets_near_ones() -> None:
    assert refusal("ippool", "spec.vxlanmod") == "IPPool: spec.vxlanmod: is not a field (try spec.vxlanMode)"


def test_a_field_that_is_elsewhere_is_found_there() -> None:
    assert refusal("ippool", "cidr") == "IPPool: cidr: is not a field (try spec.cidr)"
    assert "try spec.bpfMapSizeRoute" in refusal("felixconfig", "bpfmapsizeroute")


def test_a_field_like_no_other_gets_some_of_the_known() -> None:
    assert refusal("tier", "spec.zzz") == "Tier: spec.zzz: is not a field (known are order, defaultAction)"
    assert refusal("felixconfig", "spec.zzz").endswith("and 168 more)")


def test_a_field_below_a_plain_value_is_refused() -> None:
    assert refusal("ippool", "spec.cidr.x") == "IPPool: spec.cidr.x: is not a field (spec.cidr has no fields)"
