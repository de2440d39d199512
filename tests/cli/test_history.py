"""`tortie history` and `tortie rollback`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.api.resource import ResourceKey
from tortie.cli.origin import who
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]

DB = ResourceKey("NetworkPolicy", "shop", "db")
POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {selector: role == 'db', ingress: [{action: Deny}]}
"""
SET = """
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: shop}
spec: {nets: [192.0.2.0/24]}
"""


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """Everything below Calico's keys."""

    async def read() -> dict[str, bytes]:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        try:
            return {item.key: item.value for item in (await datastore.list("/calico/resources")).items}
        finally:
            await datastore.close()

    return lambda: asyncio.run(read())


def changes(run: Run, *words: str) -> list[str]:
    """Names of the changes, oldest first, each once."""
    told = json.loads(run("history", *words, "-o", "json").output or "[]")
    return list(dict.fromkeys(one["change"] for one in reversed(told)))


def test_every_command_that_writes_is_told_with_who_and_why(run: Run) -> None:
    run("apply", "-f", "-", "-m", "first", text=POLICY)
    run("patch", "np/db", "-n", "shop", "-p", '{"spec": {"order": 5}}', "--message", "in order")
    run("label", "np/db", "-n", "shop", "a=b")
    run("replace", "-f", "-", text=POLICY)
    run("delete", "np/db", "-n", "shop")
    run("create", "-f", "-", text=POLICY)
    told = json.loads(run("history", "-o", "json").output)[::-1]
    assert [(one["with"], one["why"]) for one in told] == [
        ("tortie apply", "first"),
        ("tortie patch", "in order"),
        ("tortie label", None),
        ("tortie replace", None),
        ("tortie delete", None),
        ("tortie create", None),
    ]
    assert {one["who"] for one in told} == {who({})}


def test_whoever_became_root_is_still_told() -> None:
    assert who({"SUDO_USER": "alice"}).startswith("alice@")


def test_a_difference_is_shown_as_yaml(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY)
    run("patch", "np/db", "-n", "shop", "-p", '{"spec": {"order": 5}}')
    shown = run("history", "np/db", "-n", "shop", "--diff").output
    assert "+  order: 5" in shown
    assert run("history", "np/other", "-n", "shop").output == "nothing is recorded of it\n"


def test_a_change_by_a_stranger_is_shown_as_far_as_it_is_known(run: Run, store_value: StoreValue) -> None:
    run("apply", "-f", "-", text=POLICY)
    store_value(resource_key(DB), b'{"kind": "NetworkPolicy", "spec": {"order": 1}}')
    shown = run("history", "--diff").output
    assert "unknown" in shown
    assert "keeps no record" in shown
    assert "+  order: 1" in shown


def test_a_rollback_restores_every_byte_and_is_recorded(run: Run, stored: Callable[[], dict[str, bytes]]) -> None:
    run("apply", "-f", "-", text=POLICY)
    before = stored()
    run("apply", "-f", "-", text=POLICY.replace("Deny", "Allow") + "---" + SET)
    (*_, change) = changes(run)
    assert "dry run" in run("rollback", change, "--dry-run").output
    assert stored() != before
    result = run("rollback", change, "-m", "oops")
    assert result.exit_code == 0, result.output
    assert stored() == before
    (*_, again) = changes(run)
    assert run("rollback", again).exit_code == 0
    assert b"Allow" in stored()[resource_key(DB)], "a rollback is a change that can be taken back"


def test_a_deleted_resource_comes_back_with_its_identity(run: Run, stored: Callable[[], dict[str, bytes]]) -> None:
    run("apply", "-f", "-", text=POLICY)
    before = stored()
    run("delete", "np/db", "-n", "shop")
    assert run("rollback", changes(run)[-1]).exit_code == 0
    assert stored() == before


def test_going_back_to_a_change_undoes_what_came_after_it(run: Run, stored: Callable[[], dict[str, bytes]]) -> None:
    run("apply", "-f", "-", text=POLICY)
    before, first = stored(), changes(run)[-1]
    for order in (1, 2, 3):
        run("patch", "np/db", "-n", "shop", "-p", f'{{"spec": {{"order": {order}}}}}')
    run("apply", "-f", "-", text=SET)
    assert run("rollback", "np/db", "-n", "shop", "--to", first).exit_code == 0
    assert stored()[resource_key(DB)] == before[resource_key(DB)]
    assert len(stored()) == len(before) + 1, "the set was not named"
    assert run("rollback", "--to", first).exit_code == 0
    assert stored() == before


def test_what_somebody_changed_since_is_left_alone_unless_forced(
    run: Run, store_value: StoreValue, stored: Callable[[], dict[str, bytes]]
) -> None:
    run("apply", "-f", "-", text=POLICY)
    run("patch", "np/db", "-n", "shop", "-p", '{"spec": {"order": 5}}')
    first, second = changes(run)
    refused = run("rollback", first)
    assert refused.exit_code == 1
    assert f"was changed since by {who({})} in {second} (tortie patch)" in refused.output
    store_value(resource_key(DB), b"{}")
    refused = run("rollback", second)
    assert refused.exit_code == 1
    assert "keeps no record" in refused.output
    assert "--force" in refused.output
    assert stored()[resource_key(DB)] == b"{}"
    assert run("rollback", second, "--force").exit_code == 0
    assert b"role == 'db'" in stored()[resource_key(DB)]


def test_a_rollback_that_would_break_what_refers_to_it_is_refused(run: Run) -> None:
    tier = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: front}, spec: {order: 1}}"
    run("apply", "-f", "-", text=tier)
    run("apply", "-f", "-", text=POLICY.replace("selector", "tier: front, selector"))
    first, _ = changes(run)
    refused = run("rollback", first)
    assert refused.exit_code == 1
    assert "still holds 1 policy: NetworkPolicy shop/db" in refused.output


def test_an_unknown_change_is_told_with_the_newest(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY)
    refused = run("rollback", "nothing")
    assert refused.exit_code == 1
    assert changes(run)[-1] in refused.output
    assert run("rollback").exit_code == 2
