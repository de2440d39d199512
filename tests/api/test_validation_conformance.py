"""The public validation and defaulting cases of the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tortie.api.codec import to_mapping
from tortie.api.defaults import with_defaults
from tortie.api.documents import load_resource, read_documents
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource
from tortie.api.validation import validate
from tortie.base.errors import InvalidResource
from tortie.selector.check import selector_problem

DATA = Path(__file__).parent.parent / "conformance" / "data"


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": "test"}, "spec": spec}


def _with_nat(nat: dict[str, Any]) -> dict[str, Any]:
    return _resource("WorkloadEndpoint", {"ipNetworks": [nat["internalIP"]], "ipNATs": [nat]})


WRAPPERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "BGPConfigurationSpec": lambda spec: _resource("BGPConfiguration", spec),
    "IPNAT": _with_nat,
    "WorkloadEndpointPort": lambda port: _resource("WorkloadEndpoint", {"ports": [port]}),
    "WorkloadEndpointSpec": lambda spec: _resource("WorkloadEndpoint", spec),
}
"""Whole resources around the parts that the cases give alone."""


def _whole(case: dict[str, Any]) -> dict[str, Any] | None:
    if case["scope"] == "resource":
        return case["value"]
    if "resource" in case:
        return case["resource"]
    wrap = WRAPPERS.get(case["schema"])
    return wrap(case["value"]) if wrap else None


ENDPOINT = {"node": "n", "orchestrator": "k8s", "pod": "p", "workload": "w", "endpoint": "e"}
"""What a workload endpoint is named after. The cases judge single fields and leave it out; here a name must follow."""


def _named(mapping: dict[str, Any]) -> dict[str, Any]:
    """A workload endpoint that has all parts of a name, and the name that follows from them."""
    if mapping["kind"] != "WorkloadEndpoint":
        return mapping
    metadata = {field: value for field, value in mapping["metadata"].items() if field != "name"}
    return mapping | {"metadata": metadata, "spec": ENDPOINT | mapping["spec"]}


def _cases(file: str) -> list[dict[str, Any]]:
    return json.loads((DATA / file).read_text())["cases"]


def _ours() -> dict[str, tuple[dict[str, Any], str]]:
    wholes = [(case, _whole(case)) for case in _cases("validation.json")]
    return {
        f"{case['id']} {case['name']}": (whole, case["expect"])
        for case, whole in wholes
        if whole is not None and whole["kind"] in KINDS
    }


def load(mapping: dict[str, Any]) -> Resource:
    """As the command line does: the namespace of namespaced kinds is `default` unless given."""
    mapping = _named(mapping)
    metadata = dict(mapping["metadata"])
    if KINDS[mapping["kind"]].namespaced:
        metadata.setdefault("namespace", "default")
    (document,) = read_documents(json.dumps(mapping | {"metadata": metadata}))
    return with_defaults(load_resource(document))


def test_valid_is_taken_and_invalid_refused(for_each: Callable[..., None]) -> None:
    for_each(_ours(), valid_is_taken_and_invalid_refused)


def valid_is_taken_and_invalid_refused(case: tuple[dict[str, Any], str]) -> None:
    mapping, expect = case
    if expect == "valid":
        validate(load(mapping), selector_problem)
    else:
        with pytest.raises(InvalidResource):
            validate(load(mapping), selector_problem)


def test_every_case_is_run() -> None:
    assert len(_ours()) == len(_cases("validation.json")) == 436


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case["name"]) for case in _cases("defaulting.json") if case["resource"]["kind"] in KINDS],
)
def test_defaults_are_filled_in(case: dict[str, Any]) -> None:
    filled = to_mapping(load(case["resource"]))
    for path, expected in case["expect"].items():
        value: Any = filled
        for step in path.split("."):
            value = value[step]
        assert value == expected
