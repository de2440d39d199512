"""Rules of our own, in words for people: what happened to packets that no policy's rule decided."""

from __future__ import annotations

import enum

import msgspec

from tortie.dataplane.nftables.layout import ANTISPOOFING, TO_HOST
from tortie.dataplane.nftables.limit_rules import CONNECTIONS, PACKET_RATES
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rules import DISCOVERY, ENCAPSULATED, END, ESTABLISHED, FAILSAFE, INVALID, UNKNOWN
from tortie.dataplane.nftables.service_loops import SERVICE_LOOPS
from tortie.dataplane.nftables.tunnel_rules import ADMISSION


class Fate(enum.Enum):
    """What a rule of our own does."""

    DENY = "Deny"
    ALLOW = "Allow"
    PENDING = "Would deny"
    """Only if everything staged were enforced."""


class Words(msgspec.Struct, frozen=True, gc=False):
    """What happens, and why."""

    fate: Fate
    reason: str


_BY_INDEX = {
    ESTABLISHED: Words(Fate.ALLOW, "connection allowed before"),
    INVALID: Words(Fate.DENY, "belongs to no connection (conntrack: invalid)"),
    UNKNOWN: Words(Fate.DENY, "unknown interface"),
    DISCOVERY: Words(Fate.ALLOW, "IPv6 neighbour discovery"),
    FAILSAFE: Words(Fate.ALLOW, "failsafe port of the host"),
    ENCAPSULATED: Words(Fate.DENY, "VXLAN or IP in IP from a workload"),
}
_BASE_ENDS = {
    ANTISPOOFING: Words(Fate.DENY, "spoofed source"),
    ADMISSION: Words(Fate.DENY, "VXLAN or IP in IP from elsewhere than a node of the cluster"),
    SERVICE_LOOPS: Words(Fate.DENY, "no service has this address (serviceLoopPrevention)"),
    PACKET_RATES: Words(Fate.DENY, "packet rate of the workload"),
    CONNECTIONS: Words(Fate.DENY, "connection limit of the workload"),
    TO_HOST: Words(Fate.DENY, "workload to its host (defaultEndpointToHostAction)"),
}


def words(name: RuleName) -> Words | None:
    """None for the rules that people write, and for those that only lead the way."""
    if name.index != END:
        return _BY_INDEX.get(name.index)
    match name.kind:
        case "Tier":
            return Words(Fate.DENY, f"end of tier {name.name}")
        case "PendingTier":
            return Words(Fate.PENDING, f"end of tier {name.name}")
        case "Endpoint":
            return Words(Fate.DENY, "no profile matched")
        case "HostEndpoint":
            return Words(Fate.DENY, f"no profile matched ({name.name})")
        case "Layout" if name.name in _BASE_ENDS:
            return _BASE_ENDS[name.name]
    return Words(Fate.DENY, f"end of {name.name}")
