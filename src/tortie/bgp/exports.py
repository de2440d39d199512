"""What a node announces, in both families, after the filters of a session had no opinion. Pure.

Its own blocks as they are; single addresses of its workloads that lie in other nodes' blocks (borrowed, or moved
here), or whose priority is better than normal (being moved here); addresses of services; what it learned inside
pools, for neighbours that may have it. Nothing outside the pools that may be exported, and nothing from the
kernel's table but workload routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from tortie.bgp.filters import add_community
from tortie.bgp.kernel import AGENT_ROUTE_PROTOCOL, most_specific_first, render_learned
from tortie.bgp.statics import BLOCKS, SERVICES, held
from tortie.desired.bgp import BGPNode
from tortie.desired.bgpfilter import LOWEST_PREFERENCE

# In parentheses, as `&&` binds no closer than `||` does.
_WORKLOAD = f"(source = RTS_INHERIT && krt_source = {AGENT_ROUTE_PROTOCOL})"

_TUNNELS = ("*.cali", "*.calico")
"""Devices of overlays: what is reached through them is known to every node already."""

_IPIP_TUNNEL = "tunl0"
"""The same, where it is not BGP that programs its routes."""

_LOCAL_DEVICES = ("bpf*.cali",)


def render_exports(node: BGPNode, family: int) -> str:
    """The functions that every session of a family calls: before its filters, and after them."""
    return f"{render_learned(node, family)}{_priority(node, family)}{_announce(node, family)}"


def _priority(node: BGPNode, family: int) -> str:
    """Routes of this node get the preference that stands for their kernel metric."""
    normal = LOWEST_PREFERENCE - node.normal_priority(family)
    return f"""function own_priority{family}() {{
    if source != RTS_BGP then {{
        if defined(krt_metric) && krt_metric > 0 then bgp_local_pref = {LOWEST_PREFERENCE} - krt_metric;
        else bgp_local_pref = {normal};
    }}
}}
"""


def _announce(node: BGPNode, family: int) -> str:
    parts = (_withhold(node, family), _mark(node, family), _own(node, family), _learned(node, family))
    lines = "".join(f"    {line}\n" for part in parts for line in part)
    return f"function announce{family}(bool is_internal) {{\n{lines}    reject;\n}}\n"


def _withhold(node: BGPNode, family: int) -> Iterator[str]:
    for pool in most_specific_first(pool for pool in node.pools if pool.cidr.family == family):
        if not pool.export:
            yield f"if net ~ [ {pool.cidr}+ ] then reject;"
    for device in _TUNNELS if node.programs_ipip else (*_TUNNELS, _IPIP_TUNNEL):
        yield f'if is_internal && defined(ifname) && ifname ~ "{device}" then reject;'
    for device in _LOCAL_DEVICES:
        yield f'if defined(ifname) && ifname ~ "{device}" then reject;'


def _mark(node: BGPNode, family: int) -> Iterator[str]:
    for one in node.advertisements:
        if one.cidr.family == family:
            yield f"if net ~ [ {one.cidr}+ ] then {{ {' '.join(map(add_community, one.communities))} }}"


def _own(node: BGPNode, family: int) -> Iterator[str]:
    normal = node.normal_priority(family)
    for block in held(node.blocks, family):
        yield f"if net = {block} then accept;"
        if not block.is_host:
            better = f"{_WORKLOAD} && krt_metric > 0 && krt_metric < {normal}"
            yield f"if net ~ [ {block}+ ] && !({better}) then reject;"
    yield f'if proto = "{SERVICES}{family}" then accept;'
    yield f'if proto = "{BLOCKS}{family}" then reject;'


def _learned(node: BGPNode, family: int) -> Iterator[str]:
    if node.cluster_id:
        for one in node.services.ranges:
            if one.family == family:
                yield f"if source = RTS_BGP && net ~ [ {one}+ ] then accept;"
    for pool in node.pools:
        if pool.cidr.family == family and pool.export:
            yield f"if net ~ [ {pool.cidr}+ ] && (source = RTS_BGP || {_WORKLOAD}) then accept;"
