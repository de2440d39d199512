"""Write what is generated from tables: definitions for Kubernetes, schemas, and reference pages of API and command.

python tools/generate.py           write what has changed, remove what is no longer generated
python tools/generate.py --check   only tell what is not current, and fail when something is not
"""

from __future__ import annotations

import sys
from pathlib import Path

from tortie.api.export.files import FOLDERS, generated
from tortie.api.kinds import KINDS
from tortie.cli import reference
from tortie.cli.reservations import FIELDS, STORED_ONLY

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs/reference/examples"


def wanted() -> dict[Path, str]:
    """Every generated file."""
    examples = {kind: (EXAMPLES / f"{kind.lower()}.yaml").read_text() for kind in KINDS}
    files = generated(examples, {kind: _notes(kind) for kind in KINDS}) | reference.pages()
    return {ROOT / path: text for path, text in files.items()}


def _notes(kind: str) -> list[str]:
    whole = ["This kind is stored, but has no effect yet."] if kind in STORED_ONLY else []
    return whole + [f"`spec.{field}` is stored, but has no effect yet." for field in FIELDS.get(kind, {})]


def differences(files: dict[Path, str]) -> list[Path]:
    """Files that are not as they would be generated, or would not be generated."""
    present = {path for folder in (*FOLDERS, reference.FOLDER) for path in (ROOT / folder).glob("*") if path.is_file()}
    stale = present - set(files)
    changed = {path for path, text in files.items() if path not in present or path.read_text() != text}
    return sorted(stale | changed)


def main() -> int:
    """Compare, and write unless only a check is asked for; how many files differ decides on success."""
    files = wanted()
    different = differences(files)
    for path in different:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    if "--check" in sys.argv[1:]:
        return 1 if different else 0
    for path in different:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
