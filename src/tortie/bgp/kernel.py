"""What BIRD exchanges with the kernel's routing table, and with the host's connected routes. Pure.

What it learns goes into the kernel, but for two kinds: addresses of services, which something else forwards, and
pools whose routes are not BGP's to program. Routes outlive the daemon (`persist`), and a restarted one takes them
over (graceful restart). Of routes that are equally good all are programmed (ECMP).

Where a workload is attached its own route counts, also while others still announce it from where it was; but for one
that a host announces with a better priority: there it runs now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.bgp.statics import SERVICES
from tortie.desired.bgp import BGPNode, Pool
from tortie.desired.bgpfilter import LOWEST_PREFERENCE

LEARNED_METRIC = 32
"""Kernel metric of static routes, and of learned ones outside pools that say nothing of their priority: BIRD's own, but
that takes no notice of the attribute of a route unless the protocol has `metric 0`."""

AGENT_ROUTE_PROTOCOL = 80
"""Kernel route protocol of workload routes."""

ATTACHED, ELEVATED, RUNNING = 150, 200, 210
"""Preferences (BIRD's word): of a workload attached here, of a route that another host prefers, and of one that runs
here since a moment ago; BIRD's own are 100 for what BGP learned and 10 for what the kernel has."""

_LEAST_PREFERENCE_THAT_IS_A_PRIORITY = 2**30
"""Neighbours that know nothing of priorities use local preferences far below."""

SKIPPED_INTERFACES = ("kube-ipvs*",)
"""Interfaces that hold addresses of services, which are no connected networks."""


def render_direct(node: BGPNode, workload_prefix: str) -> str:
    """Connected routes, which next hops are resolved by; those of workload interfaces are left out."""
    skipped = [*node.ignored_interfaces, f"{workload_prefix}*", *SKIPPED_INTERFACES]
    patterns = ", ".join(f'-"{pattern}"' for pattern in skipped)
    return f'protocol direct {{ ipv4; ipv6; interface {patterns}, "*"; }}\n'


def render_kernel(node: BGPNode, family: int, workload_prefix: str) -> str:
    """The kernel protocol of a family, and the filters of what it learns and programs."""
    return f"""{_from_kernel(node, family, workload_prefix)}{_filter(node, family)}protocol kernel kernel{family} {{
    learn;
    metric 0;
    persist;
    merge paths;
    scan time 10;
    graceful restart;
    ipv{family} {{ import filter from_kernel{family}; export filter to_kernel{family}; }};
}}
"""


def _from_kernel(node: BGPNode, family: int, workload_prefix: str) -> str:
    return f"""filter from_kernel{family} {{
    if krt_source = {AGENT_ROUTE_PROTOCOL} && defined(ifname) && ifname ~ "{workload_prefix}*" then
        if krt_metric < {node.normal_priority(family)} then preference = {RUNNING}; else preference = {ATTACHED};
    accept;
}}
"""


def render_learned(node: BGPNode, family: int) -> str:
    """The function that every session calls on what it learned, after its filters."""
    normal = LOWEST_PREFERENCE - node.normal_priority(family)
    return f"""function learned_priority{family}() {{
    if defined(bgp_local_pref) && bgp_local_pref > {normal} && bgp_local_pref < {LOWEST_PREFERENCE}
        then preference = {ELEVATED};
}}
"""


def _filter(node: BGPNode, family: int) -> str:
    lines = "".join(f"    {line}\n" for line in _statements(node, family))
    return f"filter to_kernel{family} {{\n{lines}}}\n"


def _statements(node: BGPNode, family: int) -> Iterator[str]:
    yield f'if proto = "{SERVICES}{family}" then reject;'
    yield f"if source = RTS_STATIC then {{ krt_metric = {LEARNED_METRIC}; accept; }}"
    yield "if source != RTS_BGP then reject;"
    yield from (f"if net ~ [ {one}+ ] then reject;" for one in node.services.ranges if one.family == family)
    normal = node.normal_priority(family)
    yield f"krt_metric = {LEARNED_METRIC};"
    yield f"if {_has_priority(LOWEST_PREFERENCE)} then krt_metric = {LOWEST_PREFERENCE} - bgp_local_pref;"
    for pool in node.pools:
        if pool.cidr.family == family:
            # One metric whatever the priority: BIRD leaves the old route behind when a metric changes.
            worse = _has_priority(LOWEST_PREFERENCE - normal)
            yield f"if net ~ [ {pool.cidr}+ ] && !({worse}) then krt_metric = {max(1, normal - 1)};"
    for pool in most_specific_first(pool for pool in node.pools if pool.cidr.family == family):
        yield f"if net ~ [ {pool.cidr}+ ] then {'accept' if pool.program else 'reject'};"
    yield "accept;"


def _has_priority(bound: int) -> str:
    """Whether a neighbour said one, as a local preference below a bound."""
    least = _LEAST_PREFERENCE_THAT_IS_A_PRIORITY
    return f"defined(bgp_local_pref) && bgp_local_pref > {least} && bgp_local_pref < {bound}"


def most_specific_first(pools: Iterable[Pool]) -> list[Pool]:
    """In an order in which the first pool that holds a route is the one that it belongs to."""
    return sorted(pools, key=lambda pool: (-pool.cidr.length, pool))
