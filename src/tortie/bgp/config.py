"""BIRD 2 configuration of one node, rendered from its desired BGP state: one daemon for both families. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tortie.bgp.bfd import render_bfd
from tortie.bgp.exports import render_exports
from tortie.bgp.filters import render_filter
from tortie.bgp.kernel import render_direct, render_kernel
from tortie.bgp.passwords import Known
from tortie.bgp.peers import render_session
from tortie.bgp.statics import render_statics
from tortie.desired.bgp import BGPNode

_SEVERITIES: Mapping[str, str] = {
    "Debug": "{ debug, trace, info, remote, warning, error, auth, fatal, bug }",
    "Info": "{ info, remote, warning, error, auth, fatal, bug }",
    "Warning": "{ warning, error, auth, fatal, bug }",
    "Error": "{ error, auth, fatal, bug }",
    "Fatal": "{ fatal, bug }",
}
"""Classes of BIRD's messages by the least severity that is wanted; other words silence it."""


def render(node: BGPNode, workload_prefix: str = "cali", passwords: Known | None = None) -> str:
    """The whole configuration file; equal state gives equal text.

    Args:
        node: what to do.
        workload_prefix: first letters of the names of workload interfaces, whose connected routes are left out.
        passwords: those that are known; sessions that need others are disabled.

    Raises:
        ValueError: a password that BIRD's syntax cannot hold.
    """
    families = node.families
    parts = [_preamble(node), render_bfd(node), render_direct(node, workload_prefix)]
    for family in families:
        parts += [render_statics(node, family), render_exports(node, family)]
        parts.append(render_kernel(node, family, workload_prefix))
    parts += [text for filter in node.filters if (text := render_filter(filter, families))]
    parts += [
        render_session(one, node, passwords or {}) for one in node.sessions if node.address(one.peer.family) is not None
    ]
    return "\n".join(parts)


def minimal(router_id: str) -> str:
    """A configuration that does nothing, for a daemon that starts before its node's agent."""
    return f"router id {router_id};\nprotocol device {{ }}\n"


def _preamble(node: BGPNode) -> str:
    severities = _SEVERITIES.get(node.log_severity)
    return f"""# Written by tortie-agent for node {node.node}; changes made by hand are lost.
router id {node.router_id};
{f"log stderr {severities};" if severities else "log stderr { bug };"}
timeformat protocol iso long ms;
timeformat route iso long ms;
graceful restart wait 30;
protocol device {{ scan time 5; }}
"""
