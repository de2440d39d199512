"""What BIRD exchanges with the kernel's routing table, and with the host's connected routes. Pure.

What it learns goes into the kernel, but for two kinds: addresses of services, which something else forwards, and
pools whose routes are not BGP's to program. Routes outlive the daemon (`persist`), and a restarted one takes them
over (graceful restart).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.bgp.statics import SERVICES
from tortie.desired.bgp import BGPNode, Pool
from tortie.desired.bgpfilter import LOWEST_PREFERENCE

LEARNED_METRIC = 32
"""Kernel metric of learned routes of normal priority, and of those that say nothing of it."""

_LEAST_PREFERENCE_THAT_IS_A_PRIORITY = 2**30
"""Neighbours that know nothing of priorities use local preferences far below."""

SKIPPED_INTERFACES = ("kube-ipvs*",)
"""Interfaces that hold addresses of services, which are no connected networks."""


def render_direct(node: BGPNode, workload_prefix: str) -> str:
    """Connected routes, which next hops are resolved by; those of workload interfaces are left out."""
    skipped = [*node.ignored_interfaces, f"{workload_prefix}*", *SKIPPED_INTERFACES]
    patterns = ", ".join(f'-"{pattern}"' for pattern in skipped)
    return f'protocol direct {{ ipv4; ipv6; interface {patterns}, "*"; }}\n'


def render_kernel(node: BGPNode, family: int) -> str:
    """The kernel protocol of a family, and the filter of what it programs."""
    return f"""{_filter(node, family)}protocol kernel kernel{family} {{
    learn;
    persist;
    scan time 10;
    graceful restart;
    ipv{family} {{ import all; export filter to_kernel{family}; }};
}}
"""


def _filter(node: BGPNode, family: int) -> str:
    lines = "".join(f"    {line}\n" for line in _statements(node, family))
    return f"filter to_kernel{family} {{\n{lines}}}\n"


def _statements(node: BGPNode, family: int) -> Iterator[str]:
    yield f'if proto = "{SERVICES}{family}" then reject;'
    yield "if source = RTS_STATIC then accept;"
    yield "if source != RTS_BGP then reject;"
    yield from (f"if net ~ [ {one}+ ] then reject;" for one in node.services.ranges if one.family == family)
    normal = LOWEST_PREFERENCE - node.normal_priority(family)
    yield f"krt_metric = {LEARNED_METRIC};"
    yield (
        f"if defined(bgp_local_pref) && bgp_local_pref > {_LEAST_PREFERENCE_THAT_IS_A_PRIORITY} "
        f"&& bgp_local_pref < {LOWEST_PREFERENCE} && bgp_local_pref != {normal} "
        f"then krt_metric = {LOWEST_PREFERENCE} - bgp_local_pref;"
    )
    for pool in most_specific_first(pool for pool in node.pools if pool.cidr.family == family):
        yield f"if net ~ [ {pool.cidr}+ ] then {'accept' if pool.program else 'reject'};"
    yield "accept;"


def most_specific_first(pools: Iterable[Pool]) -> list[Pool]:
    """In an order in which the first pool that holds a route is the one that it belongs to."""
    return sorted(pools, key=lambda pool: (-pool.cidr.length, pool))
