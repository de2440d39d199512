"""No reader of what others wrote is broken by what it reads: it takes it, or raises its own error."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
READERS = (
    *("resource", "key", "block", "affinity", "handle", "ipam settings", "archive", "etcd", "cni", "bird", "netlink"),
    *("manifest", "selector", "calicoctl.cfg", "agent settings", "kubernetes", "pod", "duration"),
    *("jsonpath", "go template", "label selector"),
)
MILLION = 1_000_000


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("fuzz")
    for name in ("fuzz", "mutation", "target", "targets", "stored_targets", "typed_targets", "wire_targets"):
        del sys.modules[name]


def test_every_reader_is_tried(fuzz: ModuleType) -> None:
    assert set(READERS) == set(fuzz.TARGETS)


@pytest.mark.parametrize("reader", READERS)
def test_every_good_input_is_taken(fuzz: ModuleType, reader: str) -> None:
    target = fuzz.TARGETS[reader]
    taken = [fuzz.try_input(target, seed) for seed in target.seeds()]
    assert sum(taken) >= len(taken) / 2


@pytest.mark.parametrize("reader", READERS)
def test_what_once_broke_a_reader_no_longer_does(fuzz: ModuleType, reader: str) -> None:
    folder = fuzz.FOUND / reader.replace(" ", "_")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        fuzz.try_input(fuzz.TARGETS[reader], path.read_bytes())


@pytest.mark.parametrize("reader", READERS)
def test_broken_inputs_are_taken_or_refused(fuzz: ModuleType, reader: str) -> None:
    inputs = settings.default.max_examples * 120
    assert fuzz.run(reader, inputs, seed=0) > 0


def test_the_same_seed_gives_the_same_inputs(fuzz: ModuleType) -> None:
    one, other = (fuzz.Mutator([b'{"a":[1]}', b"x"], seed=5) for _ in range(2))
    assert [one.next() for _ in range(200)] == [other.next() for _ in range(200)]


@pytest.mark.soak
@pytest.mark.parametrize("reader", READERS)
def test_a_million_broken_inputs_are_taken_or_refused(fuzz: ModuleType, reader: str) -> None:
    assert fuzz.run(reader, MILLION, seed=1) > 0
