"""BIRD 2 configuration of one node, rendered from its desired BGP state. Pure.

What a node announces, in both families: its own blocks as they are; single addresses of its
workloads that lie in other nodes' blocks (borrowed, or moved here); never a longer route inside one
of its own blocks, and nothing outside the pools that may be exported.

What it learns goes into the kernel as it is. Next hops of internal sessions are resolved in BIRD's
own table, so it knows the host's connected and other kernel routes too. Routes outlive the daemon
(`persist`), and a restarted one takes them over (graceful restart).
"""

from __future__ import annotations

from tortie.base.addresses import Cidr
from tortie.desired.bgp import BGPNode, Pool, Session

AGENT_ROUTE_PROTOCOL = 80
"""Kernel route protocol of workload routes."""

LEARNED_METRIC = 32
"""Kernel metric of routes learned by BGP."""

DEFAULT_PORT = 179
"""TCP port of BGP (RFC 4271)."""

_UNSAFE_IN_STRINGS = frozenset('"\\\n\r')


def render(node: BGPNode, workload_prefix: str = "cali") -> str:
    """The whole configuration file; equal state gives equal text.

    Args:
        node: what to do.
        workload_prefix: first letters of the names of workload interfaces, whose connected routes are left out.

    Raises:
        ValueError: a password that BIRD's syntax cannot hold.
    """
    families = [family for family, address in ((4, node.address4), (6, node.address6)) if address is not None]
    parts = [_preamble(node, workload_prefix)]
    for family in families:
        parts.append(_static(family, node.blocks))
        parts.append(_export_filter(family, node))
        parts.append(_kernel(family))
    parts.extend(_session(session, node) for session in sorted(node.sessions) if session.peer.family in families)
    return "\n".join(parts)


def minimal(router_id: str) -> str:
    """A configuration that does nothing, for a daemon that starts before its node's agent."""
    return f"router id {router_id};\nprotocol device {{ }}\n"


def _preamble(node: BGPNode, workload_prefix: str) -> str:
    return f"""# Written by tortie-agent for node {node.node}; changes made by hand are lost.
router id {node.router_id};
log stderr all;
graceful restart wait 30;
protocol device {{ scan time 5; }}
protocol direct {{ ipv4; ipv6; interface -"{workload_prefix}*", "*"; }}

filter to_kernel {{
    if source = RTS_STATIC then accept;
    if source = RTS_BGP then {{ krt_metric = {LEARNED_METRIC}; accept; }}
    reject;
}}
"""


def _static(family: int, blocks: tuple[Cidr, ...]) -> str:
    # Traffic to an address of a block that nobody holds must end here, not leave by the default route.
    routes = "".join(
        f"    route {block} blackhole;\n" for block in sorted(blocks) if block.family == family and not block.is_host
    )
    return f"protocol static blocks{family} {{\n    ipv{family};\n{routes}}}\n"


def _export_filter(family: int, node: BGPNode) -> str:
    blocks = [block for block in sorted(node.blocks) if block.family == family and not block.is_host]
    pools = [pool for pool in sorted(node.pools) if pool.cidr.family == family]
    lines = [f"filter to_peers{family} {{"]
    lines += [f"    if net ~ [ {pool.cidr}+ ] then reject;" for pool in _most_specific_first(pools) if not pool.export]
    for block in blocks:
        lines.append(f"    if net = {block} then accept;")
        lines.append(f"    if net ~ [ {block}+ ] then reject;")
    lines += [
        f"    if source = RTS_INHERIT && krt_source = {AGENT_ROUTE_PROTOCOL} && net ~ [ {pool.cidr}+ ] then accept;"
        for pool in pools
        if pool.export
    ]
    lines += ["    reject;", "}", ""]
    return "\n".join(lines)


def _most_specific_first(pools: list[Pool]) -> list[Pool]:
    return sorted(pools, key=lambda pool: -pool.cidr.length)


def _kernel(family: int) -> str:
    return f"""protocol kernel kernel{family} {{
    learn;
    persist;
    scan time 10;
    graceful restart;
    ipv{family} {{ import all; export filter to_kernel; }};
}}
"""


def _session(session: Session, node: BGPNode) -> str:
    family = session.peer.family
    source = node.address4 if family == 4 else node.address6
    assert source is not None
    listen = "" if node.listen_port == DEFAULT_PORT else f" port {node.listen_port}"
    port = "" if session.port == DEFAULT_PORT else f" port {session.port}"
    options = [
        f"    local {source.text}{listen} as {node.as_number};",
        f"    neighbor {session.peer.text}{port} as {session.peer_as};",
        "    multihop;",
        "    graceful restart;",
        "    connect delay time 1;",
        "    connect retry time 2;",
        "    error wait time 1, 10;",
    ]
    if session.passive:
        options.append("    passive;")
    if session.password is not None:
        options.append(f'    password "{_quoted(session.password)}";')
    options.append(f"    ipv{family} {{ import all; export filter to_peers{family}; }};")
    return f"protocol bgp {session.name} {{\n" + "\n".join(options) + "\n}\n"


def _quoted(text: str) -> str:
    if _UNSAFE_IN_STRINGS.intersection(text) or not text.isprintable():
        raise ValueError("a BGP password may not hold quotes, backslashes or control characters")
    return text
