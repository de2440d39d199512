"""Rows of the matrix of who reaches whom say what is said of each pair alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given

from tortie.analysis import rows
from tortie.analysis.cluster import Cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.rows import Calculus, Rows
from tortie.analysis.universe import differing, groups, pairs


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLUSTERS = load("test_reachability").clusters


@pytest.mark.parametrize("small", [1024, 2])
@given(CLUSTERS())
def test_a_row_is_its_pairs(small: int, cluster: Cluster) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_SMALL", small)
        space = Space()
        reach = Reachability(space, cluster, ~space.protocol(17))
        among = groups([reach])
        calculus = Calculus(space)
        matrix = Rows(reach, [one.kinds[0] for one in among], calculus)
        for place, source in enumerate(among):
            row = matrix.row(place).tolist()
            for number, destination in zip(row, among, strict=True):
                sender, receiver = source.kinds[0], destination.kinds[0]
                assert sender is not None
                assert receiver is not None
                assert calculus.catalogue.sets[number] == reach.connection(sender, receiver)


@given(CLUSTERS(), CLUSTERS())
def test_pairs_that_differ_are_those_that_are_not_the_same(one: Cluster, other: Cluster) -> None:
    space = Space()
    reaches = (Reachability(space, one), Reachability(space, other))
    found = {(pair.source.kinds, pair.destination.kinds): pair.packets for pair in differing(reaches)}
    every = pairs(reaches)
    assert found == {
        (pair.source.kinds, pair.destination.kinds): pair.packets
        for pair in every
        if pair.packets[0] != pair.packets[1]
    }
