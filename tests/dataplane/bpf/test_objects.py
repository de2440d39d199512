"""Programs and maps, asked of the kernel."""

from __future__ import annotations

import errno
import os
import platform

import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unsupported
from tortie.dataplane.bpf.assembler import R0, R3, Size, assemble, leave, load, move
from tortie.dataplane.bpf.objects import load_classifier, prefix_map

pytestmark = pytest.mark.kernel


def test_a_program_is_taken() -> None:
    os.close(load_classifier(assemble([move(R0, 0), leave()]), "tt-nothing"))


def test_a_program_that_the_kernel_does_not_believe_is_refused_with_its_reason() -> None:
    with pytest.raises(KernelError, match=r"load BPF program tt-bad: .*R3 !read_ok"):
        load_classifier(assemble([load(Size.WORD, R0, R3, 0), leave()]), "tt-bad")


def test_a_map_takes_prefixes_and_may_be_empty() -> None:
    os.close(prefix_map([Cidr.parse("10.0.0.0/8"), Cidr.host("192.0.2.1")], "tt-map"))
    os.close(prefix_map([], "tt-map"))


def test_a_machine_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(Unsupported, match="not known for vax"):
        prefix_map([], "tt-map")


def test_a_refusal_carries_its_number() -> None:
    with pytest.raises(KernelError) as caught:
        load_classifier(b"", "tt-empty")
    assert caught.value.errno in (errno.EINVAL, errno.E2BIG)
