"""One route of a BGP daemon, as people and tools see it."""

from __future__ import annotations

import msgspec


class RouteStatus(msgspec.Struct, frozen=True):
    """One route.

    Args:
        prefix: where it leads to.
        kind: `unicast`, `blackhole`, `unreachable` or `prohibit`.
        protocol: the session, or the other part of BIRD, that it comes from.
        since: when it came, as BIRD prints it.
        best: whether it is the one that is used.
        preference: BIRD's own, looked at before everything else.
        next_hops: such as `via 10.0.0.1 on eth0` or `dev eth0`; several for ECMP.
        source: BIRD's word: BGP, static, device or inherit (learned from the kernel).
        origin, as_path, local_preference, med, communities, large_communities, originator, clusters, bgp_next_hop:
            attributes of BGP (RFC 4271, 1997, 8092, 4456).
        metric: to the next hop.
        internal: whether it was learned inside this AS.
        why: why it is used, or is not; empty when that was not asked.
    """

    prefix: str
    kind: str
    protocol: str
    since: str
    best: bool
    preference: int
    next_hops: tuple[str, ...] = ()
    source: str = ""
    origin: str = ""
    as_path: str = ""
    local_preference: int | None = None
    med: int | None = None
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()
    originator: str = ""
    clusters: tuple[str, ...] = ()
    metric: int | None = None
    bgp_next_hop: str = ""
    internal: bool = False
    why: str = ""

    @property
    def is_bgp(self) -> bool:
        """Whether a neighbour told of it."""
        return self.source == "BGP"

    @property
    def path_length(self) -> int:
        """AS numbers in its path; a set of them counts once (RFC 4271, 9.1.2.2)."""
        depth = length = 0
        for word in self.as_path.replace("{", " { ").replace("}", " } ").split():
            if word == "{":
                length += 1
            depth += {"{": 1, "}": -1}.get(word, 0)
            length += not depth and word != "}"
        return length
