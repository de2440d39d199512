"""The MTU of workloads."""

from __future__ import annotations

import re

from tortie.dataplane.mtu import Chosen, outer_mtus, workload_mtu
from tortie.desired.network import Tunnels
from tortie.netlink.links import Link

HOSTS = re.compile("^eth.*")


def test_it_is_the_smallest_of_the_host_less_what_the_largest_tunnel_needs() -> None:
    links = [
        Link(1, "lo", up=True, mtu=65536),
        Link(2, "eth0", up=True, mtu=9000),
        Link(3, "eth1", up=True, mtu=1500),
        Link(4, "eth2", up=False, mtu=576),
        Link(5, "cali1", up=True, mtu=1000),
    ]
    expected = {
        Tunnels(): 1500,
        Tunnels(ipip=True): 1480,
        Tunnels(ipip=True, vxlan=(4,)): 1450,
        Tunnels(vxlan=(4, 6)): 1430,
        Tunnels(vxlan=(4,), wireguard=(4,)): 1440,
        Tunnels(wireguard=(4, 6)): 1420,
    }
    assert {tunnels: workload_mtu(links, HOSTS, tunnels) for tunnels in expected} == expected


def test_without_an_interface_that_is_up_nothing_is_known() -> None:
    assert workload_mtu([Link(1, "lo", up=True, mtu=65536)], HOSTS, Tunnels(ipip=True)) == 0


def test_what_is_chosen_for_a_tunnel_counts_in_place_of_what_fits() -> None:
    host, both = [Link(1, "eth0", up=True, mtu=9000)], Tunnels(vxlan=(4, 6))
    assert workload_mtu(host, HOSTS, both, Chosen(vxlan={4: 1400, 6: 0})) == 1400
    assert workload_mtu(host, HOSTS, both, Chosen(vxlan={4: 0, 6: 0})) == 8930
    assert workload_mtu(host, HOSTS, Tunnels(vxlan=(4,)), Chosen(vxlan={4: 8990, 6: 1400})) == 8990
    chosen = Chosen(ipip=1300, wireguard={4: 1380})
    assert workload_mtu(host, HOSTS, Tunnels(ipip=True), chosen) == 1300
    assert workload_mtu(host, HOSTS, Tunnels(wireguard=(4,)), chosen) == 1380
    assert workload_mtu(host, HOSTS, Tunnels(wireguard=(4, 6)), chosen) == 1380
    assert workload_mtu(host, HOSTS, Tunnels(), chosen) == 9000


def test_hosts_send_each_other_what_workloads_may_send_and_the_headers() -> None:
    host = [Link(1, "eth0", up=True, mtu=1500)]
    assert outer_mtus(host, HOSTS, Tunnels()) == {4: 1500, 6: 1500}
    assert outer_mtus(host, HOSTS, Tunnels(vxlan=(4,))) == {4: 1500, 6: 1450}
    assert outer_mtus(host, HOSTS, Tunnels(vxlan=(4,), ipip=True), Chosen(vxlan={4: 1400})) == {4: 1450, 6: 1400}
    assert outer_mtus(host, HOSTS, Tunnels(wireguard=(4, 6))) == {4: 1480, 6: 1500}
    assert outer_mtus([], HOSTS, Tunnels()) == {}
