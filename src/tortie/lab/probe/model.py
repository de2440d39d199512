"""What a probe is and what can become of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Transport(StrEnum):
    """What a probe sends."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    SCTP = "sctp"


class Verdict(StrEnum):
    """What became of a probe: answered, never answered, or answered with a refusal (reset, abort, ICMP error)."""

    ALLOWED = "allowed"
    DENIED = "denied"
    REFUSED = "refused"


class Probe(msgspec.Struct, frozen=True, gc=False):
    """One question: may `source` open this to `address`?

    Args:
        source: name of the station that sends.
        address: IPv4 or IPv6 address; its family decides that of the probe (ICMP becomes ICMPv6).
        port: destination port; ICMP ignores it.
        source_port: 0 lets the prober choose one that it has not used lately.
    """

    source: str
    address: str
    transport: Transport = Transport.TCP
    port: int = 80
    source_port: int = 0

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4

    def __str__(self) -> str:
        if self.transport is Transport.ICMP:
            return f"{self.source} -> {self.address} {self.transport}"
        address = f"[{self.address}]" if self.family == 6 else self.address
        return f"{self.source} -> {address}:{self.port} {self.transport}"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back: verdict, moment on the monotonic clock, reason of a refusal, name of who answered if it said."""

    verdict: Verdict
    at: float
    reason: str = ""
    by: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a probe.

    Args:
        latency: seconds from the first packet to the answer; the whole wait when there was none.
        reason: what a refusal said, such as ECONNREFUSED or `abort`.
        answered_by: the station that answered, where the transport can carry its name (all but ICMP).
    """

    probe: Probe
    verdict: Verdict
    latency: float
    reason: str = ""
    answered_by: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the other side answered as a server does."""
        return self.verdict is Verdict.ALLOWED

    def __str__(self) -> str:
        more = " ".join(filter(None, (self.reason, self.answered_by and f"by {self.answered_by}")))
        return f"{self.probe}: {self.verdict} after {self.latency * 1000:.1f} ms{f' ({more})' if more else ''}"
