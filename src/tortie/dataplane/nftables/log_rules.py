"""What rules with action Log make the kernel do: a prefix that says whose rule it is, and a limit on messages."""

from __future__ import annotations

import re

import msgspec

from tortie.desired.policy import Policy
from tortie.netlink.nftables_expressions import limit, log

LONGEST_PREFIX = 127
"""Characters that the kernel keeps (NF_LOG_PREFIXLEN, linux/netfilter/nf_log.h)."""

SHORT_KINDS = {
    "NetworkPolicy": "np",
    "GlobalNetworkPolicy": "gnp",
    "KubernetesNetworkPolicy": "knp",
    "KubernetesClusterNetworkPolicy": "kcnp",
    "Profile": "pro",
}
"""What `%k` stands for."""

_END = ": "
_INFO = 6
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,3})/(second|minute|hour|day)")
_TOKEN = re.compile(r"%[tknp]")
_GENERATED = {"knp.default.": "KubernetesNetworkPolicy", "kcnp": "KubernetesClusterNetworkPolicy"}


class LogRate(msgspec.Struct, frozen=True, gc=False):
    """So many messages of a rule in so many seconds, and `burst` at once beyond that."""

    messages: int
    seconds: int
    burst: int = 5

    @classmethod
    def parse(cls, text: str, burst: int = 5) -> LogRate:
        """From such as `10/second` or `100/hour`. Raises ValueError."""
        found = _RATE.fullmatch(text)
        if not found:
            raise ValueError("use a rate such as 10/second, 60/minute, 100/hour or 5/day")
        return cls(int(found[1]), _SECONDS[found[2]], burst)


def log_expressions(prefix: str, policy: Policy, rate: LogRate | None, group: int | None) -> bytes:
    """Log, within the rate, to an nflog group or, when it is None, to the kernel's log at level info.

    The prefix may hold `%t` (tier), `%k` (kind, short), `%n` (name) and `%p` (namespace and name).
    """
    within = limit(rate.messages, rate.seconds, rate.burst) if rate else b""
    return within + log(log_text(prefix, policy), group, level=None if group is not None else _INFO)


def log_text(prefix: str, policy: Policy) -> str:
    """The prefix as the kernel has it, cut to the length that it keeps."""
    kind = _kind(policy.id.kind, policy.id.name)
    namespace, name = policy.id.namespace, policy.id.name
    words = {
        "%t": policy.tier or "profile",
        "%k": SHORT_KINDS.get(kind, kind.lower()),
        "%n": name,
        "%p": f"{namespace}/{name}" if namespace else name,
    }
    text = _TOKEN.sub(lambda token: words[token[0]], prefix)
    return text[: LONGEST_PREFIX - len(_END)] + _END


def _kind(kind: str, name: str) -> str:
    """Policies of Kubernetes are known by how their stored names begin."""
    return next((known for prefix, known in _GENERATED.items() if name.startswith(prefix) and "Policy" in kind), kind)
