"""Routes as the kernel keeps them: what is added is read back equal, and `ip` agrees."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.addresses import BITS, Cidr
from tortie.netlink import addresses, links, route
from tortie.netlink.batch import execute, send_batch
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.route import IPV6_METRIC, Route, RouteType, Scope, device_route
from tortie.netlink.socket import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel


def parse(text: str) -> Cidr:
    return Cidr.parse(text)


def kinds(veth: int) -> dict[str, Route]:
    gateway, gateway6, far = (Cidr.host(text) for text in ("10.0.0.9", "fd00::9", "192.0.2.1"))
    own = Cidr.host("10.0.0.1")
    return {
        "device": device_route(parse("10.65.0.1/32"), veth, 1024, 80),
        "device6": device_route(parse("fd65::1/128"), veth, 1024, 80),
        "device6 without metric": device_route(parse("fd65::2/128"), veth, 0, 80),
        "gateway": Route(parse("10.66.0.0/26"), veth, gateway, protocol=80),
        "gateway6": Route(parse("fd66::/122"), veth, gateway6, IPV6_METRIC, 80),
        "onlink": Route(parse("10.67.0.0/26"), veth, far, protocol=80, onlink=True),
        "default": Route(parse("0.0.0.0/0"), veth, gateway, protocol=80),
        "default6": Route(parse("::/0"), veth, gateway6, IPV6_METRIC, 80),
        "blackhole": Route(parse("10.68.0.0/26"), protocol=80, type=RouteType.BLACKHOLE),
        "blackhole6": Route(parse("fd68::/122"), metric=IPV6_METRIC, protocol=80, type=RouteType.BLACKHOLE),
        "unreachable": Route(parse("10.69.0.0/26"), protocol=80, type=RouteType.UNREACHABLE),
        "source": Route(parse("10.70.0.0/26"), veth, gateway, protocol=80, source=own),
        "IPv4 through IPv6": Route(parse("10.71.0.0/26"), veth, gateway6, protocol=80),
        "table": Route(parse("10.72.0.0/26"), veth, protocol=80, table=1000, scope=Scope.LINK),
    }


@pytest.fixture
def addressed(rtnetlink: NetlinkSocket, veth: int) -> int:
    own = [addresses.Address(veth, Cidr.host("10.0.0.1"), 24), addresses.Address(veth, Cidr.host("fd00::1"), 64)]
    execute(rtnetlink, *[addresses.add(one) for one in own])
    return veth


def listed(socket: NetlinkSocket, table: int = route.TABLE_MAIN) -> set[Route]:
    return {one for family in (4, 6) for one in route.list_routes(socket, family, protocol=80, table=table)}


@pytest.mark.parametrize("kind", kinds(0))
def test_a_route_of_each_kind_is_read_back_as_it_was_added(rtnetlink: NetlinkSocket, addressed: int, kind: str) -> None:
    wanted = kinds(addressed)[kind]
    execute(rtnetlink, route.add(wanted))
    assert listed(rtnetlink, wanted.table) == {wanted}
    execute(rtnetlink, route.replace(wanted), route.delete(wanted))
    assert listed(rtnetlink, wanted.table) == set()


def test_ip_shows_the_routes_that_we_made(
    rtnetlink: NetlinkSocket, addressed: int, ip: Callable[..., list[dict[str, Any]]]
) -> None:
    execute(rtnetlink, *[route.add(one) for one in kinds(addressed).values()])
    shown = {one["dst"]: one for one in ip("route", "show", "proto", "80") + ip("-6", "route", "show", "proto", "80")}
    assert shown["10.65.0.1"]["scope"] == "link" and shown["10.65.0.1"]["metric"] == 1024
    assert shown["fd65::2"]["metric"] == IPV6_METRIC
    assert shown["10.67.0.0/26"]["flags"] == ["onlink"]
    assert shown["10.68.0.0/26"]["type"] == "blackhole"
    assert shown["10.70.0.0/26"]["prefsrc"] == "10.0.0.1"


def test_only_the_protocol_asked_for_is_listed(rtnetlink: NetlinkSocket, addressed: int) -> None:
    ours, theirs = (device_route(parse("10.65.0.1"), addressed, metric, proto) for metric, proto in ((1, 80), (2, 12)))
    execute(rtnetlink, route.add(ours), route.add(theirs))
    assert listed(rtnetlink) == {ours}
    assert {ours, theirs} <= set(route.list_routes(rtnetlink, 4))


def test_an_empty_table_has_no_routes(rtnetlink: NetlinkSocket) -> None:
    assert [route.list_routes(rtnetlink, family, table=4711) for family in (4, 6)] == [[], []]


def test_replace_moves_a_route_and_add_does_not(rtnetlink: NetlinkSocket, addressed: int) -> None:
    destination = parse("10.65.0.1")
    execute(rtnetlink, links.change("lo", up=True))
    old, new = device_route(destination, addressed, 1024, 80), device_route(destination, 1, 1024, 80)
    refused, replaced = send_batch(rtnetlink, [route.add(old), route.add(new), route.replace(new)])[1:]
    assert refused is not None and refused.errno == errno.EEXIST
    assert replaced is None
    assert listed(rtnetlink) == {new}


def test_deleting_asks_for_exactly_the_route(rtnetlink: NetlinkSocket, addressed: int) -> None:
    ours = device_route(parse("10.65.0.1"), addressed, 1024, 80)
    execute(rtnetlink, route.add(ours))
    for other in (device_route(ours.destination, 1, 1024, 80), device_route(ours.destination, addressed, 7, 80)):
        error = send_batch(rtnetlink, [route.delete(other)])[0]
        assert error is not None and error.errno == errno.ESRCH
    assert listed(rtnetlink) == {ours}


def test_the_device_by_which_an_address_is_reached_is_found(rtnetlink: NetlinkSocket, addressed: int) -> None:
    nowhere = [Cidr.host(text) for text in ("192.0.2.9", "10.68.0.1", "fd68::1")]
    execute(rtnetlink, *[route.add(kinds(addressed)[kind]) for kind in ("blackhole", "blackhole6", "gateway")])
    assert {route.device_towards(rtnetlink, one) for one in nowhere} == {0}
    reached = [Cidr.host(text) for text in ("10.0.0.77", "10.66.0.5", "fd00::77")]
    assert {route.device_towards(rtnetlink, one) for one in reached} == {addressed}


def test_a_thousand_refused_routes_among_three_thousand_are_told_apart(
    rtnetlink: NetlinkSocket, addressed: int
) -> None:
    routes = [device_route(Cidr(4, 0x0A410000 + number, 32), addressed, 0, 80) for number in range(1, 3001)]
    requests = [route.add(one if number % 3 else routes[0]) for number, one in enumerate(routes)]
    results = send_batch(rtnetlink, requests)
    assert [error.errno for error in results if error] == [errno.EEXIST] * 999
    assert [number for number, error in enumerate(results) if error] == list(range(3, 3000, 3))
    assert len(listed(rtnetlink)) == 2001


prefixes = st.sampled_from([4, 6]).flatmap(
    lambda family: st.builds(
        lambda value, length: Cidr.from_bytes(value.to_bytes(BITS[family] // 8, "big"), length),
        st.integers(1, 2 ** BITS[family] - 1),
        st.integers(0, BITS[family]),
    )
)


@settings(max_examples=settings.default.max_examples // 2)
@given(st.dictionaries(prefixes, st.integers(1, 2**32 - 1), max_size=30))
def test_any_set_of_blackholes_is_read_back(metrics: dict[Cidr, int]) -> None:
    namespace = anonymous_namespace()
    wanted = {
        Route(destination, metric=metric, protocol=80, type=RouteType.BLACKHOLE)
        for destination, metric in metrics.items()
    }
    with inside(namespace), NetlinkSocket(NETLINK_ROUTE) as socket:
        execute(socket, links.change("lo", up=True), *[route.add(one) for one in wanted])
        assert listed(socket) == wanted
        execute(socket, *[route.delete(one) for one in wanted])
        assert listed(socket) == set()

    os.close(namespace)
