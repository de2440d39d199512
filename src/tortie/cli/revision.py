"""Files as they were at a revision of git."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tortie.base.errors import InvalidResource, Problem


def files_at(revision: str, paths: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Write what paths held at a revision into a folder, and where; paths that were not there are left out.

    Raises:
        InvalidResource: git says no.
    """
    found = []
    for number, path in enumerate(paths):
        if str(path) == "-":
            raise InvalidResource(Problem("-", "", "is in no revision", "name files or folders that git knows"))
        there = _extracted(revision, path.resolve(), folder / str(number))
        found += [] if there is None else [there]
    return tuple(found)


def _extracted(revision: str, path: Path, where: Path) -> Path | None:
    near = path if path.is_dir() else path.parent
    while not near.is_dir():
        near = near.parent
    root = Path(_git(near, "rev-parse", "--show-toplevel").decode().strip())
    _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", problem=f"knows no revision {revision!r}")
    inside = path.relative_to(root.resolve())
    if inside.parts and not _git(root, "ls-tree", revision, "--", str(inside)):
        return None
    archive = _git(root, "archive", "--format=tar", revision, "--", str(inside))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(where, filter="data")
    return where / inside


def _git(folder: Path, *words: str, problem: str = "") -> bytes:
    try:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise InvalidResource(Problem("git", "", "is not installed", "compare files with --against")) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or f"fails with {error.returncode}"
        raise InvalidResource(Problem("git", "", problem or said, "name a commit, a branch or a tag")) from error
