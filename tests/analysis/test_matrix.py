"""The matrix of groups says what the pairs in them say one by one."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from tortie.analysis.cluster import Cluster, End
from tortie.analysis.matrix import Matrix, by_class, by_label, by_namespace, by_workload, matrix
from tortie.analysis.packets import FAMILIES, Space
from tortie.analysis.reachability import Kind, Reachability


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLUSTERS = load("test_reachability").clusters


@given(CLUSTERS(), st.lists(st.sampled_from("abc"), min_size=4, max_size=4))
def test_a_cell_is_all_of_its_pairs(cluster: Cluster, names: list[str]) -> None:
    reach = Reachability(Space(), cluster)
    named = names[: len(cluster.ends)]
    whole = matrix(reach, lambda _: named)
    members: dict[str, list[tuple[Kind, End | None]]] = {name: [] for name in whole.names}
    for name, end in zip(named, cluster.ends.values(), strict=True):
        members[name].append((reach.kind(end), end))
    members["outside"] += [(kind, None) for kind in reach.elsewhere()]
    for row, source in enumerate(whole.names):
        for column, destination in enumerate(whole.names):
            check_cell(reach, whole, (row, column), (members[source], members[destination]))


Members = list[tuple[Kind, End | None]]


def check_cell(reach: Reachability, whole: Matrix, place: tuple[int, int], groups: tuple[Members, Members]) -> None:
    cell = whole.cells[place[0]][place[1]]
    every, some, families = reach.space.none, reach.space.none, set()
    for family in FAMILIES:
        shared = reach.space.family(family)
        for (sender, end), (receiver, other) in product(*groups):
            common = {one for one, _ in sender.classes} & {one for one, _ in receiver.classes}
            if family in common and end is not other:
                families.add(family)
                shared &= reach.connection(sender, receiver)
                some |= reach.connection(sender, receiver)
        every |= shared if family in families else reach.space.none
    assert (cell.every, cell.some, set(cell.families)) == (every, some, families)


@given(CLUSTERS())
def test_every_end_is_in_one_group(cluster: Cluster) -> None:
    reach = Reachability(Space(), cluster)
    for grouping in (by_class, by_namespace, by_workload, by_label("app")):
        whole = matrix(reach, grouping)
        assert sum(whole.sizes) == len(cluster.ends)
        assert len(whole.sizes) == len(whole.names) == len(set(whole.names))
    assert len(set(by_class(reach))) == len(reach.kinds())
