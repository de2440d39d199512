"""Passwords from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.bgp.passwords import find, read_passwords
from tortie.desired.bgp import Password


def test_files_of_a_directory_are_passwords_by_secret_and_key(tmp_path: Path) -> None:
    (tmp_path / "rack").mkdir()
    (tmp_path / "rack" / "tor-a").write_text("hunter 2\n")
    (tmp_path / "rack" / ".hidden").write_text("no")
    (tmp_path / "file").write_text("no")
    known = read_passwords(tmp_path)
    assert known == {("rack", "tor-a"): "hunter 2"}
    assert find(known, Password("rack", "tor-a")) == "hunter 2"
    assert find(known, Password("rack", "tor-b")) is None
    assert find(known, None) is None


def test_secrets_as_kubernetes_mounts_them_are_read_through_their_links(tmp_path: Path) -> None:
    held = tmp_path / "rack" / "..2026"
    held.mkdir(parents=True)
    (held / "tor-a").write_text("hunter2")
    (tmp_path / "rack" / "..data").symlink_to("..2026")
    (tmp_path / "rack" / "tor-a").symlink_to("..data/tor-a")
    assert read_passwords(tmp_path) == {("rack", "tor-a"): "hunter2"}


@pytest.mark.parametrize("content", [b"", b"\n", b'say "x"', b"back\\slash", b"two\nlines", b"\xff", b"x" * 81])
def test_what_cannot_be_used_counts_as_missing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "k").write_bytes(content)
    assert read_passwords(tmp_path) == {}


def test_without_a_directory_there_are_none(tmp_path: Path) -> None:
    assert read_passwords(None) == read_passwords(tmp_path / "missing") == {}
