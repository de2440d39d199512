"""Why a route is the best of its prefix: the first step of BIRD's decision that tells two routes apart. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tortie.bgp.route import RouteStatus

_ORIGINS = ("IGP", "EGP", "Incomplete")
_REACHABLE = "reachable next hop"
_FROM_OUTSIDE = "learned from another AS"
_WORDS = {
    (_REACHABLE, True): "its next hop is reachable",
    (_REACHABLE, False): "its next hop is not reachable",
    (_FROM_OUTSIDE, True): "learned from another AS",
    (_FROM_OUTSIDE, False): "learned inside the AS",
}
_DEFAULT_LOCAL_PREFERENCE = 100


class Step(msgspec.Struct, frozen=True):
    """One step: what is compared, whether the larger value wins, the value, and whether only BGP has it."""

    name: str
    larger: bool
    value: Callable[[RouteStatus], int]
    of_bgp: bool = True


def _origin(route: RouteStatus) -> int:
    return _ORIGINS.index(route.origin) if route.origin in _ORIGINS else len(_ORIGINS)


def _local_preference(route: RouteStatus) -> int:
    return _DEFAULT_LOCAL_PREFERENCE if route.local_preference is None else route.local_preference


STEPS = (
    Step("preference", True, lambda route: route.preference, of_bgp=False),
    Step(_REACHABLE, True, lambda route: route.kind != "unreachable"),
    Step("local preference", True, _local_preference),
    Step("AS path length", False, lambda route: route.path_length),
    Step("origin", False, _origin),
    Step("MED", False, lambda route: route.med or 0),
    Step(_FROM_OUTSIDE, True, lambda route: not route.internal),
    Step("metric to the next hop", False, lambda route: route.metric or 0),
    Step("cluster list length", False, lambda route: len(route.clusters)),
)
"""In this order (RFC 4271, 9.1.2.2, after BIRD's own preference); the router id and address decide what is left."""


def reason(route: RouteStatus, rivals: Sequence[RouteStatus]) -> str:
    """Why a route is used, or is not, among all routes of its prefix."""
    others = [other for other in rivals if other is not route]
    if not others:
        return "the only route" if route.best else "not used"
    if route.best:
        return f"best: {_comparison(route, others[0])}"
    winner = next((other for other in others if other.best), None)
    return f"not best: {_comparison(route, winner)}" if winner else "not used"


def _comparison(route: RouteStatus, other: RouteStatus) -> str:
    for step in STEPS:
        mine, theirs = step.value(route), step.value(other)
        if mine == theirs or not _counts(step, route, other):
            continue
        sign = ">" if mine > theirs else "<"
        return _WORDS.get((step.name, mine > theirs), f"{step.name} {mine} {sign} {theirs}")
    return "router id or address of the neighbour" if route.is_bgp and other.is_bgp else "all else being equal"


def _counts(step: Step, route: RouteStatus, other: RouteStatus) -> bool:
    if step.of_bgp and not (route.is_bgp and other.is_bgp):
        return False
    # Numbers that different neighbours give are not compared.
    return step.name != "MED" or _neighbour(route) == _neighbour(other)


def _neighbour(route: RouteStatus) -> str:
    return route.as_path.partition(" ")[0]
