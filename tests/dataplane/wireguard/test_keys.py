"""Key pairs, and the files that keep them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tortie.base.errors import Unavailable
from tortie.dataplane.wireguard.keys import KeyFiles, generate, public_key


def test_the_public_key_is_that_of_the_standard() -> None:
    """RFC 7748, section 6.1."""
    private = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert public_key(private).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"


def test_new_keys_are_clamped_and_never_the_same() -> None:
    found = {generate() for _ in range(20)}
    assert len(found) == 20
    assert all(key[0] & 7 == 0 and key[31] & 192 == 64 and len(key) == 32 for key in found)


def test_a_file_is_for_its_owner_alone_and_comes_in_the_place_of_the_last(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    assert files.read(4) is None
    first = files.make(4)
    assert files.read(4) == first
    assert stat.S_IMODE(files.path(4).stat().st_mode) == 0o600
    assert files.make(4) != first
    assert files.read(6) is None
    assert [one.name for one in tmp_path.iterdir()] == ["wireguard-v4.key"]


def test_what_is_no_key_counts_as_none(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    files.path(4).write_bytes(b"short")
    assert files.read(4) is None


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"write .*nowhere"):
        KeyFiles(tmp_path / "nowhere").make(4)
