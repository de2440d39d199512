"""The pages say what the code does: tables are current, links lead somewhere, nothing is told that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tortie.agent.settings import TABLE

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_table_of_settings_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "agent.md").read_text()
    for setting in TABLE:
        shown = setting.default.replace("|", r"\|")
        default = f"`{shown}`" if shown else "empty"
        also = ", ".join(f"`{name}`" for name in setting.also)
        assert f"| `{setting.name}` | {default} | {setting.meaning} | {also} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def headings(page: Path) -> set[str]:
    """What links may name of a page: its headings, as GitHub spells them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings_that_exist(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        there = page.parent / target if target else page
        if there.suffix == ".md":
            assert heading in headings(there), f"{target}#{heading}"


def test_the_make_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert named
    assert named <= targets
