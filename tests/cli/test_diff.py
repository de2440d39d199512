"""`tortie diff`: what applying would change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result

Run = Callable[..., Result]

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100, defaultAction: Pass}
"""


def test_what_is_stored_already_is_no_difference(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("diff", "-f", "-", text=TIER)
    assert (result.exit_code, result.output) == (0, "")


def test_a_change_is_shown_with_its_surroundings(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("diff", "-f", "-", text=TIER.replace("100", "50"))
    assert result.exit_code == 1
    assert result.output.splitlines()[:2] == ["--- stored/tier/security", "+++ wanted/tier/security"]
    changed = [line for line in result.output.splitlines()[3:] if line[0] != " "]
    assert changed == ["-  order: 100", "+  order: 50"]
    assert run("get", "tier", "security", "-o", "jsonpath={.spec.order}").output.strip() == "100"


def test_what_does_not_exist_is_all_new_even_without_a_datastore(run: Run) -> None:
    result = run("diff", "-f", "-", text=TIER)
    assert result.exit_code == 1
    assert "+  name: security" in result.output


@pytest.mark.parametrize("text", [TIER.replace("Pass", "Pss"), "{", ""])
def test_what_cannot_be_applied_is_an_error_and_no_difference(run: Run, text: str) -> None:
    result = run("diff", "-f", "-", text=text)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_what_the_datastore_would_refuse_is_an_error(run: Run) -> None:
    policy = "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: x}, spec: {tier: security}}"
    assert run("diff", "-f", "-", text=policy).exit_code == 2
    assert run("diff").exit_code == 2
