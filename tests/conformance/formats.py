"""How one case of each format is judged: by the functions that the tests themselves use.

A judge gets a case and its document; it returns what differs from the expectation, line by line, and
raises Unsupported for what is not built yet. Imports its neighbours.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import collection
import packets
import pytest
import reachability
import verifier
import workloads

import bgp

TESTS = Path(__file__).parents[1]

Case = Mapping[str, Any]
Document = Mapping[str, Any]
Judge = Callable[[Case, Document], list[str]]


class Unsupported(Exception):
    """A case needs something that is not built yet; the message says what."""


def judge(case: Case, document: Document) -> list[str]:
    """What differs from the expectation; empty when all is well. A crash is a difference too. Raises Unsupported."""
    known = JUDGES.get(document["format"])
    if known is None:
        raise Unsupported(f"format {document['format']}")
    return differences(known, case, document)


def differences(judge: Judge, case: Case, document: Document) -> list[str]:
    """As the judge says; whatever goes wrong in it is a difference. Raises Unsupported."""
    try:
        return judge(case, document)
    except Unsupported:
        raise
    except AssertionError as error:
        return [_explained(error)]
    except pytest.fail.Exception as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - one case that crashes must not hide the verdict on all others
        return [f"{type(error).__name__}: {error}"]


def _explained(error: AssertionError) -> str:
    """The assertion that does not hold: plain ones carry no message."""
    return str(error) or f"does not hold: {traceback.extract_tb(error.__traceback__)[-1].line}"


@functools.cache
def load(path: str) -> Any:
    """A file of the tests, by its path below them."""
    spec = importlib.util.spec_from_file_location(f"conformance_{path.replace('/', '_')}", TESTS / f"{path}.py")
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _supported(why_not: str) -> None:
    if why_not:
        raise Unsupported(why_not)


def _one_of(table: Mapping[str, Any], kind: str) -> Any:
    if kind not in table:
        raise Unsupported(kind)
    return table[kind]


SELECTOR_TESTS = {
    "match": "labels_are_matched",
    "parse": "test_texts_are_accepted_or_refused",
    "canonical": "test_the_canonical_text_and_the_identity_are_the_same_everywhere",
    "rename": "test_labels_are_renamed",
    "restrictions": "test_restrictions_are_found",
}


def _selector(case: Case, document: Document) -> list[str]:
    getattr(load("selector/test_conformance"), _one_of(SELECTOR_TESTS, case["kind"]))(case)
    return []


def _validation(case: Case, document: Document) -> list[str]:
    tests = load("api/test_validation_conformance")
    whole = tests._whole(case)
    if whole is None:
        raise Unsupported(f"a {case['schema']} alone")
    _one_of(tests.KINDS, whole["kind"])
    tests.valid_is_taken_and_invalid_refused((whole, case["expect"]))
    return []


def _defaulting(case: Case, document: Document) -> list[str]:
    tests = load("api/test_validation_conformance")
    _one_of(tests.KINDS, case["resource"]["kind"])
    tests.test_defaults_are_filled_in(case)
    return []


def _conversion(case: Case, document: Document) -> list[str]:
    tests = load("convert/test_conformance")
    _one_of(tests.CONVERSIONS | {"LabelSelector": None}, case["kind"])
    tests.test_an_object_becomes_what_others_make_of_it(case)
    return []


def _reachability(case: Case, document: Document) -> list[str]:
    _supported(reachability.unsupported(case))
    return reachability.run_case(case, document["clusters"])


def _packets(case: Case, document: Document) -> list[str]:
    return packets.run_case(case)


def _bgp(case: Case, document: Document) -> list[str]:
    return bgp.run_case(case)


IPAM_TESTS = {
    "select-pools": "test_the_expected_pools_are_selected",
    "utilisation": "test_the_expected_usage_is_counted",
    "partial-fulfilment": "test_a_shortfall_is_an_error_for_those_who_want_all",
    "assign": "test_the_expected_addresses_are_assigned",
}


def _ipam(case: Case, document: Document) -> list[str]:
    test = getattr(load("ipam/test_conformance"), _one_of(IPAM_TESTS, case["kind"]))
    if inspect.iscoroutinefunction(test):
        asyncio.run(_in_a_cluster(test, case))
    else:
        test(case)
    return []


async def _in_a_cluster(test: Callable[..., Any], case: Case) -> None:
    async with load("ipam/conftest").open_cluster() as cluster:
        await test(case, cluster)


def _calculation(case: Case, document: Document) -> list[str]:
    tests = load("calculation/test_conformance")
    tests.DATA = document  # where the tests look up what the identities of sets mean
    tests.BY_ID = {one["id"]: one for one in document["cases"]}
    supported, test = {
        "state": (tests.supported, tests.test_the_desired_state_is_the_published_one),
        "sequence": (tests.supported_throughout, tests.test_so_it_is_after_other_states),
    }[case["kind"]]
    test(case, load("calculation/conftest").World)
    if not supported(case):
        raise Unsupported("all but what is about a service mesh or WireGuard holds")
    return []


def _workloads(case: Case, document: Document) -> list[str]:
    return workloads.run_case(case, document)


def _verifier(case: Case, document: Document) -> list[str]:
    _supported(verifier.unsupported(case, document))
    return verifier.run_case(case, document)


def _collection(case: Case, document: Document) -> list[str]:
    return collection.run_case(case, document)


JUDGES: dict[str, Judge] = {
    "selector-cases": _selector,
    "validation-cases": _validation,
    "defaulting-cases": _defaulting,
    "conversion-cases": _conversion,
    "reachability-cases": _reachability,
    "probe-cases": _reachability,
    "packet-verdict-cases": _packets,
    "bgp-render-cases": _bgp,
    "ipam-cases": _ipam,
    "calculation-cases": _calculation,
    "workload-connectivity-cases": _workloads,
    "verifier-query-cases": _verifier,
    "policy-collection": _collection,
}
"""By the `format` of a file."""
