"""`tortie datastore migrate` as people use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]

TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100}}"


@pytest.fixture
def filled(run: Run) -> None:
    assert run("apply", "-f", "-", text=TIER).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_a_datastore_moves_and_stays_locked_until_unlocked(run: Run, tmp_path: Path) -> None:
    file, target = str(tmp_path / "cluster.jsonl"), ("--datastore", str(tmp_path / "other.db"))
    refused = run("datastore", "migrate", "export", "-f", file)
    assert refused.exit_code == 1
    assert "run `tortie datastore migrate lock` first" in refused.output
    assert run("datastore", "migrate", "lock").output == "Datastore locked.\n"
    assert run("datastore", "migrate", "lock").output == "Datastore was locked already.\n"
    assert run("datastore", "migrate", "export", "-f", file).exit_code == 0
    imported = run("datastore", "migrate", "import", "-f", file, *target)
    assert imported.exit_code == 0, imported.output
    assert "0 were there already" in imported.output
    assert "run `tortie datastore migrate unlock`" in imported.output
    assert "Datastore:         locked" in run("version", *target).output
    assert run("datastore", "migrate", "unlock", *target).output == "Datastore unlocked.\n"
    assert run("get", "tier", "security", "-o", "yaml", *target).exit_code == 0


@pytest.mark.usefixtures("filled")
def test_a_backup_needs_no_lock_and_goes_to_standard_output(run: Run, tmp_path: Path) -> None:
    result = run("datastore", "migrate", "export", "--unlocked")
    assert result.exit_code == 0
    assert result.stdout.startswith('{"format":"tortie-datastore","version":1,')
    again = run("datastore", "migrate", "import", "-f", "-", "--datastore", str(tmp_path / "b.db"), text=result.stdout)
    assert again.exit_code == 0, again.output


@pytest.mark.usefixtures("filled")
def test_a_datastore_in_use_is_not_written_to(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "cluster.jsonl")
    run("datastore", "migrate", "export", "--unlocked", "-f", file)
    run("apply", "-f", "-", text=TIER.replace("security", "other"))
    result = run("datastore", "migrate", "import", "-f", file)
    assert result.exit_code == 1
    assert "tiers/other" in result.output or "clusterinformations/default" in result.output
    assert "import into an empty datastore; nothing was overwritten" in result.output


def test_what_cannot_be_read_or_written_is_told(run: Run, filled: None, tmp_path: Path) -> None:
    missing = run("datastore", "migrate", "import", "-f", str(tmp_path / "none"))
    assert missing.exit_code == 1
    assert "cannot be read" in missing.output
    unwritable = run("datastore", "migrate", "export", "--unlocked", "-f", str(tmp_path / "no" / "folder"))
    assert unwritable.exit_code == 1
    assert "cannot be written" in unwritable.output


IMPORTING = ("/tortie/import", b"{}")


@pytest.mark.parametrize(
    "words",
    [
        ("apply", "-f", "-"),
        ("create", "-f", "-", "--skip-exists"),
        ("replace", "-f", "-"),
        ("patch", "tier", "security", "-p", '{"spec": {"order": 7}}'),
        ("label", "tier", "security", "a=b"),
        ("delete", "tier", "security"),
        ("ipam", "configure", "--strictaffinity=true"),
        ("ipam", "release", "--ip", "10.0.0.1"),
        ("datastore", "migrate", "lock"),
        ("datastore", "migrate", "unlock"),
        ("datastore", "migrate-policy-names"),
    ],
)
def test_nothing_is_written_into_a_half_imported_datastore(
    run: Run, filled: None, store_value: StoreValue, words: tuple[str, ...]
) -> None:
    before = run("datastore", "migrate", "export", "--unlocked").stdout
    store_value(*IMPORTING)
    refused = run(*words, text=TIER)
    assert refused.exit_code == 1
    assert "is being imported into, and not complete" in refused.stderr
    assert "`tortie datastore migrate unlock --force`" in refused.stderr
    keys = [line for line in run("datastore", "migrate", "export", "--unlocked").stdout.splitlines() if "key" in line]
    assert keys[1:] == [line for line in before.splitlines() if "key" in line][1:]


def test_an_import_can_be_given_up(run: Run, filled: None, store_value: StoreValue) -> None:
    run("datastore", "migrate", "lock")
    store_value(*IMPORTING)
    assert run("get", "tiers").exit_code == 0
    assert run("datastore", "migrate", "unlock", "--force").output == "Datastore unlocked.\n"
    assert run("apply", "-f", "-", text=TIER).exit_code == 0


def test_whoever_writes_into_a_locked_datastore_is_told(run: Run, filled: None) -> None:
    run("datastore", "migrate", "lock")
    told = "warning: the datastore is locked (datastoreReady is false): agents take no notice of what is written until"
    changed = TIER.replace("100", "200")
    for words in (("apply", "-f", "-"), ("label", "tier", "security", "a=b"), ("delete", "tier", "security")):
        written = run(*words, text=changed)
        assert written.exit_code == 0
        assert written.stderr.startswith(told)
    run("datastore", "migrate", "unlock")
    assert run("apply", "-f", "-", text=TIER).stderr == ""


def test_a_policy_that_calls_itself_something_else_keeps_its_name(
    run: Run, filled: None, store_value: StoreValue
) -> None:
    key = "/calico/resources/v3/projectcalico.org/networkpolicies/shop/default.web"
    store_value(key, b'{"metadata":{"name":"default.other","namespace":"shop"},"spec":{"tier":"default"}}')
    result = run("datastore", "migrate-policy-names")
    assert result.exit_code == 1
    assert result.stderr == (
        f"NetworkPolicy shop/default.web stays as it is: the value under {key} calls itself NetworkPolicy shop/other\n"
    )


def test_no_policy_of_today_is_renamed(run: Run, filled: None) -> None:
    assert run("datastore", "migrate-policy-names").output == "No policy has an old name.\n"
