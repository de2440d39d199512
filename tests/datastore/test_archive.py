"""The file that a datastore is moved in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.errors import InvalidResource
from tortie.datastore.archive import FORMAT, Archive, Header, is_moved, read_archive, write_archive

KEYS = st.builds("/calico/resources/{}".format, st.text(st.characters(codec="utf-8", exclude_characters="\n")))


def archive(values: dict[str, bytes]) -> Archive:
    header = Header(format=FORMAT, version=1, cluster="c1", revision=7, keys=len(values), taken="2026-11-23T00:00:00Z")
    return Archive(header, values)


@given(st.dictionaries(KEYS, st.binary()))
def test_any_keys_and_bytes_come_back(values: dict[str, bytes]) -> None:
    assert read_archive(write_archive(archive(values)), "file") == archive(values)


@given(st.dictionaries(KEYS, st.binary(), min_size=1), st.data())
def test_a_file_that_lost_or_changed_something_is_refused(values: dict[str, bytes], data: st.DataObject) -> None:
    whole = b"".join(write_archive(archive(values)))
    position = data.draw(st.integers(0, len(whole) - 2))
    broken = data.draw(st.sampled_from([whole[:position], whole[:position] + b"\x00" + whole[position + 1 :]]))
    with pytest.raises(InvalidResource):
        read_archive(broken.splitlines(keepends=True), "file")


@pytest.mark.parametrize("extra", [b"{}\n", b"\n"])
def test_a_file_with_more_behind_its_end_is_refused(extra: bytes) -> None:
    with pytest.raises(InvalidResource, match="keys"):
        read_archive([*write_archive(archive({"/calico/a": b"1"})), extra], "file")


@given(st.binary(max_size=200))
def test_any_other_file_is_refused_with_its_place(content: bytes) -> None:
    with pytest.raises(InvalidResource) as refused:
        read_archive(content.splitlines(keepends=True), "dump.bin")
    assert str(refused.value).startswith("dump.bin:")


def test_liveness_and_other_programs_keys_do_not_move() -> None:
    assert is_moved("/calico/ipam/v2/handle/a")
    assert is_moved("/tortie/kubernetes/v1/services/shop/web")
    assert not is_moved("/calico/felix/v2/no-region/host/n1/status")
    assert not is_moved("/registry/pods/x")
