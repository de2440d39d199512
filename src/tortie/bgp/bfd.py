"""Bidirectional forwarding detection (RFC 5880), for sessions that ask for it. Pure."""

from __future__ import annotations

from tortie.desired.bgp import Bfd, BGPNode

_IDLE = 1000
"""Milliseconds between two attempts to reach who does not answer."""


def render_bfd(node: BGPNode) -> str:
    """The protocol that sessions share; nothing where none asks for it."""
    return "protocol bfd { }\n" if any(session.bfd for session in node.sessions) else ""


def bfd_option(bfd: Bfd) -> str:
    """What a session asks of it."""
    interval = f"{bfd.interval} ms"
    timers = f"min rx interval {interval}; min tx interval {interval}; idle tx interval {max(_IDLE, bfd.interval)} ms;"
    return f"bfd {{ {timers} multiplier {bfd.multiplier}; }};"
