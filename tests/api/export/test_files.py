"""What is committed is what would be generated, and pages lead where they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tortie.api.export.files import FOLDERS, generated
from tortie.api.kinds import KINDS

ROOT = Path(__file__).parents[3]


def test_committed_files_are_current() -> None:
    command = [sys.executable, str(ROOT / "tools/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run make generate"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """All files, with examples and notes made up."""
    return generated({kind: f"kind: {kind}\n" for kind in KINDS}, {"Tier": ["`spec.order` does nothing."]})


def test_every_file_is_in_a_folder_for_generated_files(files: dict[str, str]) -> None:
    assert {str(Path(path).parent) for path in files} == set(FOLDERS)


def test_every_kind_has_a_page_and_a_schema(files: dict[str, str]) -> None:
    for kind in KINDS:
        assert f"docs/reference/schema/{kind.lower()}.json" in files
        assert f"docs/reference/kinds/{kind.lower()}.md" in files


def test_example_and_notes_are_on_the_page(files: dict[str, str]) -> None:
    page = files["docs/reference/kinds/tier.md"]
    assert "```yaml\nkind: Tier\n```" in page
    assert "## Not carried out yet\n\n- `spec.order` does nothing.\n" in page
    assert "Not carried out yet" not in files["docs/reference/kinds/profile.md"]


def test_a_field_has_a_row_with_type_default_limits_and_meaning(files: dict[str, str]) -> None:
    row = "| `defaultAction` | string | Deny | one of Deny, Pass | What happens to traffic"
    assert row in files["docs/reference/kinds/tier.md"]


def test_links_lead_to_files_and_headings(files: dict[str, str]) -> None:
    pages = {path: text for path, text in files.items() if path.endswith(".md")}
    for path, text in pages.items():
        for target, _, heading in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text)):
            where = str((ROOT / path).parent.joinpath(target).resolve().relative_to(ROOT)) if target else path
            assert where in files or where in FOLDERS, (path, target)
            assert not heading or re.search(rf"^### {heading}$", files[where], re.M | re.I), (path, heading)


def test_definitions_are_written_without_references(files: dict[str, str]) -> None:
    for path, text in files.items():
        if path.endswith(".yaml"):
            assert not re.search(r"[:-] [&*]id\d", text)
            assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"


def test_every_example_would_be_applied(examples: dict[str, dict[str, Any]], judge: Any) -> None:
    for kind, document in examples.items():
        assert document["kind"] == kind
        assert judge.accepts(document), kind
