"""Ids, contributions and owners of items."""

from __future__ import annotations

from tortie.api.resource import ResourceKey
from tortie.calculation.columns import EMPTY, Columns
from tortie.calculation.items import Item
from tortie.calculation.labels import LabelIndex

ADDRESS = bytes([10, 0, 0, 1])


def key(name: str) -> ResourceKey:
    return ResourceKey("WorkloadEndpoint", "shop", name)


def test_an_id_is_used_again_but_not_before_every_set_knows() -> None:
    columns = Columns(LabelIndex())
    first = columns.put(key("a"), Item((), (), ADDRESS))
    columns.remove(key("a"))
    assert columns.put(key("b"), Item((), (), ADDRESS)) != first
    columns.settle()
    assert columns.put(key("c"), Item((), ())) == first


def test_what_an_item_contributed_is_remembered_until_every_set_knows() -> None:
    columns = Columns(LabelIndex())
    item = columns.put(key("a"), Item((), (), ADDRESS))
    assert columns.row_before(item) == EMPTY
    columns.settle()
    columns.put(key("a"), Item((), ()))
    columns.put(key("a"), Item((), (), ADDRESS * 2))
    assert columns.row_before(item).hosts4 == ADDRESS
    columns.settle()
    assert columns.row_before(item) == columns.row(item)


def test_owners_of_an_address_come_and_go() -> None:
    columns = Columns(LabelIndex())
    one, two, three = (columns.put(key(name), Item((), (), ADDRESS)) for name in "abc")
    assert set(columns.owners(ADDRESS)) == {one, two, three}
    columns.remove(key("a"))
    columns.remove(key("c"))
    assert set(columns.owners(ADDRESS)) == {two}
    columns.remove(key("b"))
    assert not columns.owners(ADDRESS)
    assert columns.is_empty()
