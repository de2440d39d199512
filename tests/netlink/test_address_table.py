"""Addresses of devices: what events and complete lists leave in the table."""

from __future__ import annotations

from tortie.base.addresses import Cidr
from tortie.netlink.address_table import AddressTable
from tortie.netlink.addresses import Address

ONE, TWO = Cidr.host("192.0.2.1"), Cidr.host("fd00::1")


def test_only_what_is_new_is_news() -> None:
    table = AddressTable()
    assert table.note(Address(7, ONE, 24))
    assert not table.note(Address(7, ONE, 24))
    assert table.note(Address(7, TWO, 64))
    assert table.of(7) == {ONE, TWO}
    assert table.note(Address(7, ONE, 24), gone=True)
    assert not table.note(Address(7, ONE, 24), gone=True)
    assert (table.of(7), table.of(8)) == ({TWO}, frozenset())


def test_an_address_with_two_lengths_stays_until_both_are_gone() -> None:
    table = AddressTable()
    table.note(Address(7, ONE, 24))
    table.note(Address(7, ONE, 32))
    table.note(Address(7, ONE, 24), gone=True)
    assert table.of(7) == {ONE}


def test_a_complete_list_names_the_devices_that_differ() -> None:
    table = AddressTable()
    table.note(Address(7, ONE, 24))
    table.note(Address(8, TWO, 64))
    assert table.replace([Address(8, TWO, 64), Address(9, ONE, 24)]) == {7, 9}
    assert (table.of(7), table.of(8), table.of(9)) == (frozenset(), {TWO}, {ONE})
