"""BGP sessions as protocols of BIRD. Pure.

The text of a session depends on nothing but the session and its node's addresses, so that BIRD leaves it alone
when others change.
"""

from __future__ import annotations

from collections.abc import Iterator

from tortie.bgp.bfd import bfd_option
from tortie.bgp.filters import function_name, rules_of
from tortie.bgp.passwords import Known, find, is_usable
from tortie.desired.bgp import DEFAULT_PORT, BGPNode, NextHop, Session
from tortie.desired.bgpfilter import Filter

_HOLD_TIME = 240
"""BIRD's default, in seconds; a neighbour is given up after that long without a sign of life."""


def withheld(session: Session, passwords: Known) -> str:
    """Why a session must not be started; empty when it may."""
    wanted = session.password
    if session.withheld or wanted is None or wanted.optional or find(passwords, wanted) is not None:
        return session.withheld
    return f"the password, key {wanted.key} of secret {wanted.secret}, is not there or cannot be used"


def render_session(session: Session, node: BGPNode, passwords: Known) -> str:
    """The protocol of a session; one that must not be started is configured, but disabled.

    Raises:
        ValueError: a password that BIRD's syntax cannot hold.
    """
    lines = [*_ends(session, node), *_transport(session, passwords), *_timers(session), *_options(session, node)]
    if reason := withheld(session, passwords):
        lines += [f'description "{reason}";', "disabled;"]
    lines += [_channel(session, node, family) for family in session.families]
    return f"protocol bgp {session.name} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def _ends(session: Session, node: BGPNode) -> Iterator[str]:
    own = node.address(session.peer.family)
    # BIRD binds a listening socket to the session's own address only.
    source = f" {own.text}" if own is not None and (session.source or node.bind) else ""
    yield f"local{source}{_port(node.listen_port)} as {node.local_as(session)};"
    yield f"neighbor {session.peer.text}{_port(session.port)} as {session.peer_as};"
    if node.bind and source:
        yield "strict bind;"


def _port(number: int) -> str:
    return "" if number == DEFAULT_PORT else f" port {number}"


def _transport(session: Session, passwords: Known) -> Iterator[str]:
    yield _distance(session)
    if session.bfd is not None:
        yield bfd_option(session.bfd)
    if session.hops is not None:
        yield "ttl security;"
    if session.passive:
        yield "passive;"
    password = find(passwords, session.password)
    if password is not None:
        yield f'password "{_quoted(password)}";'


def _distance(session: Session) -> str:
    if session.bfd is not None and session.bfd.direct:
        return "direct;"
    return "multihop;" if session.hops is None else f"multihop {session.hops};"


def _timers(session: Session) -> Iterator[str]:
    yield "graceful restart;"
    if session.restart_time is not None:
        yield f"graceful restart time {session.restart_time};"
    if session.keepalive is not None:
        yield f"keepalive time {session.keepalive};"
        if session.keepalive * 3 > _HOLD_TIME:
            yield f"hold time {session.keepalive * 3};"
    yield "connect delay time 1;"
    yield "connect retry time 2;"
    yield "error wait time 1, 10;"


def _options(session: Session, node: BGPNode) -> Iterator[str]:
    if session.allowed_local_as is not None:
        yield f"allow local as {session.allowed_local_as};"
    if session.reflect:
        yield "rr client;"
    if node.cluster_id and node.is_internal(session):
        yield f"rr cluster id {node.cluster_id};"


def _channel(session: Session, node: BGPNode, family: int) -> str:
    internal = "true" if node.is_internal(session) else "false"
    by_name = {filter.name: filter for filter in node.filters}
    filters = [by_name[name] for name in session.filters if name in by_name]
    next_hop = "" if session.next_hop is NextHop.AUTO else f"next hop {session.next_hop.value}; "
    extended = "" if family == session.peer.family else "extended next hop; "
    incoming = _calls(filters, "import", family, internal)
    outgoing = _calls(filters, "export", family, internal)
    return (
        f"ipv{family} {{ {extended}{next_hop}import keep filtered; "
        f"import filter {{ {incoming}learned_priority{family}(); accept; }}; "
        f"export filter {{ own_priority{family}(); {outgoing}announce{family}({internal}); }}; }};"
    )


def _calls(filters: list[Filter], direction: str, family: int, internal: str) -> str:
    return "".join(
        f"{function_name(filter.name, direction, family)}({internal}); "
        for filter in filters
        if rules_of(filter, direction, family)
    )


def _quoted(text: str) -> str:
    if not is_usable(text):
        raise ValueError("a BGP password may not hold quotes, backslashes or control characters")
    return text
