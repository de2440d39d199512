"""`tortie edit`: an editor that is a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Editor = Callable[..., Path]

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100, defaultAction: Pass}
"""


@pytest.fixture
def edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """`edits("s/a/b/", ...)`: what the editor does, one sed script for each time it is opened; then nothing.

    The file that it gives collects what the editor was shown.
    """
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def prepare(*scripts: str) -> Path:
        shown, counter, script = tmp_path / "shown", tmp_path / "count", tmp_path / "editor.sh"
        counter.write_text("0")
        lines = [f'  {index}) sed -i {json.dumps(one)} "$1";;' for index, one in enumerate(scripts)]
        script.write_text(
            "\n".join(
                [f'cat "$1" >> {shown}', f"n=$(cat {counter})", f"echo $((n + 1)) > {counter}", "case $n in", *lines]
            )
            + "\nesac\n"
        )
        monkeypatch.setenv("TORTIE_EDITOR", f"sh {script}")
        return shown

    return prepare


def order(run: Run) -> Any:
    return json.loads(run("get", "tier", "security", "-o", "json").output)["spec"]["order"]


def left(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("tortie-edit-*"))


def test_what_is_saved_is_written(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    edits("s/order: 100/order: 50/")
    assert run("edit", "tier", "security").output == "tier security edited\n"
    assert order(run) == 50
    assert left(tmp_path) == []


def test_saving_what_was_there_writes_nothing(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    edits()
    assert run("edit", "tier/security").output == "nothing was changed\n"
    edits("d")
    assert run("edit", "tier/security").output == "nothing was changed\n"
    assert left(tmp_path) == []


def test_the_editor_opens_again_with_the_errors_until_it_is_right(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    shown = edits("s/order: 100/ordr: 50/; s/Pass/Psas/", "s/ordr/order/", "s/Psas/Deny/")
    assert run("edit", "tier", "security").exit_code == 0
    assert "spec.ordr: is not a field (did you mean order?)" in shown.read_text()
    assert "spec.defaultAction: 'Psas' is not valid" in shown.read_text()
    assert order(run) == 50
    assert left(tmp_path) == []


def test_nothing_typed_is_lost_when_the_errors_stay(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    edits("s/order: 100/ordr: 50/")
    result = run("edit", "tier", "security")
    assert result.exit_code == 1
    (kept,) = left(tmp_path)
    assert f"what you wrote is kept in {kept}: apply it with tortie apply -f {kept}" in result.stderr
    assert "ordr: 50" in kept.read_text()
    assert order(run) == 100


def test_what_someone_else_wrote_meanwhile_is_an_error_to_decide_on(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    shown = edits("s/order: 100/order: 50/", "/resourceVersion/d")
    (tmp_path / "other.yaml").write_text(TIER.replace("100", "70"))
    other = f"{sys.executable} -m tortie.cli apply --datastore {tmp_path}/datastore.db -f {tmp_path}/other.yaml"
    script = tmp_path / "editor.sh"
    script.write_text(f"if [ ! -e {shown} ]; then {other} > /dev/null; fi\n{script.read_text()}")
    assert run("edit", "tier", "security").exit_code == 0
    assert "metadata.resourceVersion: is at revision" in shown.read_text()
    assert order(run) == 50


def test_an_edit_cannot_rename_or_add(run: Run, edits: Editor) -> None:
    run("apply", "-f", "-", text=TIER)
    shown = edits("s/name: security/name: safety/")
    assert run("edit", "tier", "security").exit_code == 1
    assert "Tier safety: metadata.name: was not opened (an edit cannot rename)" in shown.read_text()


def test_what_was_typed_into_an_editor_that_failed_is_kept(run: Run, edits: Editor, tmp_path: Path) -> None:
    run("apply", "-f", "-", text=TIER)
    edits("s/order: 100/order: 50/")
    script = tmp_path / "editor.sh"
    script.write_text(script.read_text() + "exit 1\n")
    result = run("edit", "tier", "security")
    (kept,) = left(tmp_path)
    assert f"what you wrote is kept in {kept}" in result.stderr
    assert order(run) == 100


def test_an_editor_that_fails_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run("apply", "-f", "-", text=TIER)
    monkeypatch.setenv("TORTIE_EDITOR", "/nowhere/editor")
    result = run("edit", "tier", "security")
    assert result.exit_code == 1
    assert result.stderr == (
        "the editor '/nowhere/editor' cannot be started: No such file or directory; name another in EDITOR\n"
    )
    for command, problem in (("false", "ended with status 1"), ("vi '", "is no command: No closing quotation")):
        monkeypatch.setenv("TORTIE_EDITOR", command)
        result = run("edit", "tier", "security")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"the editor {command!r} {problem}; name another in EDITOR\n"
    assert left(tmp_path) == []
    assert "did you mean" in run("edit", "tier", "secuirty").stderr
    assert run("edit", "tiers").exit_code == 2
