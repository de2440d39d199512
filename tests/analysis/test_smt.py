"""An SMT solver, told what the compiled form means, proves of random policies that the analysis says the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings

from tortie.analysis.packets import Space
from tortie.analysis.symbolic import Compiled, Judge
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList, Rule, SetId
from tortie.desired.sets import IPSet


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS, SMT = load("forms"), load("smt")
Form = tuple[PolicyList, dict[PolicyId, Policy]]
EXAMPLES = settings.default.max_examples  # type: ignore[union-attr]


def check(form: Form, sets: dict[SetId, IPSet]) -> None:
    governing, policies = form
    found = Judge(Space(), Compiled.of(policies, sets)).allowed(governing, Direction.INGRESS)
    packet = SMT.difference(SMT.formula(found), SMT.allowed(governing, policies, sets))
    assert packet is None, packet


@given(FORMS.lists(), FORMS.SETS_HELD)
def test_the_solver_finds_no_packet_that_is_judged_otherwise(form: Form, sets: dict[SetId, IPSet]) -> None:
    check(form, sets)


@pytest.mark.soak
@settings(max_examples=EXAMPLES * 60)
@given(FORMS.lists(), FORMS.SETS_HELD)
def test_the_solver_finds_none_in_thousands_of_policies(form: Form, sets: dict[SetId, IPSet]) -> None:
    check(form, sets)


def test_the_solver_does_find_what_is_judged_otherwise() -> None:
    one = Policy(PolicyId("NetworkPolicy", "", "a"), "", ingress=(Rule(Action.ALLOW, 0, protocol=6),))
    other = Policy(one.id, "", ingress=(Rule(Action.ALLOW, 0, protocol=17),))
    governing = PolicyList((), (one.id,))
    found = Judge(Space(), Compiled.of({one.id: one}, {})).allowed(governing, Direction.INGRESS)
    packet = SMT.difference(SMT.formula(found), SMT.allowed(governing, {other.id: other}, {}))
    assert packet.protocol in (6, 17)
